"""What an order file says of a payment is kept until a look-up, and told where that cannot prove it."""

from alembic import op

from sgpshop.migrations.words import add_words

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_STATUSES = (
    "authorized",
    "captured",
    "capture_failed",
    "cancelled",
    "needs_review",
    "awaiting_billing",
    "billing_reported",
)


def upgrade() -> None:
    words = ", ".join(f"'{word}'" for word in _STATUSES)
    op.execute(
        "ALTER TABLE orders ADD COLUMN claimed_status VARCHAR(32) "
        f"CONSTRAINT ck_orders_claimed_status CHECK (claimed_status IN ({words}))"
    )
    add_words("alerts", "kind", ("claim_unproved",), check="ck_alerts_kind")
