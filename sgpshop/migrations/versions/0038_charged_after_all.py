"""An alert for what was charged after somebody was told that it was not."""

from sgpshop.migrations.words import add_words

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("alerts", "kind", ["charged_after_all"], check="ck_alerts_kind")
