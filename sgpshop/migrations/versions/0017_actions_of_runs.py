"""Bulk runs name their action by a word of the program, which a database does not know beforehand."""

from sgpshop.migrations.words import take_any_word

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    take_any_word("bulk_runs", check="ck_bulk_runs_action")
