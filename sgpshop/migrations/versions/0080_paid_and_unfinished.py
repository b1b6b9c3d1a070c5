"""What is unfinished though its payment is not awaited has an index: the list's sums read these few alone."""

import sqlalchemy as sa
from alembic import op

revision = "0080"
down_revision = "0079"
branch_labels = None
depends_on = None

_ROWS = sa.text(
    "coalesce(CAST(payment_status AS VARCHAR), '')"
    " NOT IN ('authorized', 'awaiting_billing', 'capture_failed', 'needs_review')"
    " AND (processing_class = 'unprocessed'"
    " OR payment_status IN ('authorized', 'capture_failed', 'needs_review', 'awaiting_billing')"
    " OR (cancel_waived_at IS NULL AND (processing_class = 'returned' AND payment_status = 'captured'"
    " OR processing_class IN ('returned', 'cancelled') AND payment_status = 'billing_reported'"
    " AND refunded_on IS NULL)))"
)


def upgrade() -> None:
    op.create_index(
        "ix_orders_paid_unfinished",
        "orders",
        ["payment_status", "total", "processing_class", "cancel_waived_at", "refunded_on"],
        sqlite_where=_ROWS,
        postgresql_where=_ROWS,
    )
