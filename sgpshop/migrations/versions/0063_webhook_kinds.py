"""Which kinds of events a webhook is told of: all of them, where nobody chose."""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("kinds", sa.String(100), server_default="", nullable=False))
