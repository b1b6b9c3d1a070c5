"""An alert for a subscription whose card will not pay on its day."""

from sgpshop.migrations.words import add_words

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("alerts", "kind", ["card_unfit"], check="ck_alerts_kind")
