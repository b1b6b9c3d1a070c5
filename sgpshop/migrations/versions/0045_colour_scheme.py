"""Which colours a person wants: those of the device, light or dark ones."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "people", sa.Column("scheme", sa.String(8), nullable=False, server_default="auto")
    )
