"""People who only ship, and people who only do the books."""

from sgpshop.migrations.words import add_words

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("people", "role", ["shipper", "accountant"], check="ck_people_role")
