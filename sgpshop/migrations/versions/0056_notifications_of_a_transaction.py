"""Every look-up asks for the notifications of its order's transactions along this index.

So does a transaction that is deleted.
"""

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_notifications_transaction_id", "notifications", ["transaction_id"])
