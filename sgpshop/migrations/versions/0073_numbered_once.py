"""An order that was declined is gone, and its id with it: the next order gets another one; so do webhooks.

SQLite gave the greatest id of a table anew once its row was gone.  Whoever had asked for the order that
was declined, and waited for how it ended, could find the next one in its place; and who still sent to a
receiver that was deleted went on with the messages of the next.
"""

from sgpshop.migrations.words import number_once

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number_once("orders", "card_transactions", "attempts", "webhooks", "webhook_messages")
