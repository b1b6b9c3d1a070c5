"""The id of a row that is gone is given to no other one, where somebody may still have it in hand.

SQLite gave the greatest id of a table anew once its row was gone.  Whoever had asked for the order that was
declined, and waited for how it ended, could find the next one in its place; who still sent to a receiver
that was deleted went on with the messages of the next; and a page that asks whose a payment is could answer
the question that came after it.
"""

from sgpshop.migrations.words import number_once

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number_once("orders", "card_transactions", "attempts", "unknown_numbers")
    number_once("webhooks", "webhook_messages", "passkeys", "saved_views")
