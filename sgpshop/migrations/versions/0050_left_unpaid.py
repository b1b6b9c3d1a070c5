"""A person may say of an unpaid number of a subscription that its buyer left: the next one is used.

And the index of the first page's picture goes: it adds up money_movements by now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "unknown_numbers",
        sa.Column("is_left", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.drop_index("ix_card_transactions_captured_at", "card_transactions")
