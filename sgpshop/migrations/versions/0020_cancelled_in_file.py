"""An alert for orders that a file calls 注文キャンセル while their payment stands."""

from sgpshop.migrations.words import add_words

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("alerts", "kind", ("cancelled_in_file",), check="ck_alerts_kind")
