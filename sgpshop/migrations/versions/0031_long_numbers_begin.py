"""The first entry of a history keeps its order's number, however long other programs make it."""

from sgpshop.migrations.words import widen

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    widen("beginnings", "order_no", 28)
