"""What was captured on a day is found without reading every transaction."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_card_transactions_captured_at", "card_transactions", ["captured_at", "captured_amount"]
    )
