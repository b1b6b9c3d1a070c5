"""More that a person has to acknowledge: what look-ups of earlier transactions show."""

from sgpshop.migrations.words import add_words

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("alerts", "kind", ("earlier_is_live", "cancelled_unbilled"), check="ck_alerts_kind")
