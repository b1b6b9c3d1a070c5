"""Unfinished orders have an index: the order list shows them first, and they are few."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text(
    "processing_class = 'unprocessed'"
    " OR payment_status IN ('authorized', 'capture_failed', 'needs_review', 'awaiting_billing')"
    " OR (processing_class = 'returned' AND cancel_waived_at IS NULL"
    " AND payment_status IN ('captured', 'billing_reported'))"
)


def upgrade() -> None:
    op.create_index(
        "ix_orders_unfinished",
        "orders",
        ["ordered_at", "id", "payment_status", "total"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
