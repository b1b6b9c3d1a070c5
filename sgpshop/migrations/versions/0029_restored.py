"""What was restored from a backup is looked up at SMBC-GP before anything is sent for it."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "card_transactions",
        sa.Column("is_restored", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
