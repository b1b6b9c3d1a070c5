"""Whether a call of ours may have entered a transaction at SMBC-GP, and whether it did, is written down."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("card_transactions", sa.Column("entry_sent_at", sa.DateTime(timezone=True)))
    op.add_column("card_transactions", sa.Column("entered_at", sa.DateTime(timezone=True)))
    # Until now nobody wrote down who entered a number: what was seen before it was paid may have been
    # the line of a file.  So a call of ours only may have; the time of the line says the rest.
    op.execute(
        "UPDATE card_transactions SET entry_sent_at = ("
        "SELECT min(attempts.created_at) FROM attempts"
        " WHERE attempts.transaction_id = card_transactions.id AND attempts.state_seen <> '')"
        " WHERE is_charge"
    )
