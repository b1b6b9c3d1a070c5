"""A buyer who paid by another card is not awaited at 3-D Secure any more: 0013 would refuse a capture."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE card_transactions SET challenge_url = ''"
        " WHERE NOT is_current AND challenge_url <> ''"
    )
