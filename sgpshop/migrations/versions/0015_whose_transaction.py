"""Whose transaction an AccessID belongs to: found quickly, and told when it is another order's."""

from alembic import op

from sgpshop.migrations.words import add_words

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("alerts", "kind", ("other_transaction",), check="ck_alerts_kind")
    op.create_index("ix_card_transactions_access_id", "card_transactions", ["access_id"])
