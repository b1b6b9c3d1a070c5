"""Changes of settings say from what to what; those of before say which alone."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("setting_changes", sa.Column("told", sa.JSON(none_as_null=True), nullable=True))
