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
    " OR (cancel_waived_at IS NULL AND (processing_class = 'returned' AND payment_status = 'captured'"
    " OR processing_class IN ('returned', 'cancelled') AND payment_status = 'billing_reported'"
    " AND refunded_on IS NULL))"
)


def upgrade() -> None:
    op.create_index(
        "ix_orders_unfinished",
        "orders",
        ["ordered_at", "id", "payment_status", "total"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
