"""PostgreSQL: what is kept of an order that waits (0079) is reckoned once nobody else is at it.

A look-up that begins, and a card that is kept, change a transaction without the order's lock.  Who did so while
another's parcels or status were about to be committed had reckoned without them, waited for the row, and then
wrote what it had reckoned: an order that was cancelled just then waited on.  And only what a transaction says of
it is reckoned anew, which no look-up but the first changes: the others wait for nobody, and in no circle.
SQLite has one writer at a time.
"""

from alembic import op

revision = "0083"
down_revision = "0082"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute("ALTER FUNCTION keep_order_wait(integer) RENAME TO reckon_order_wait")
    # Each statement of a function sees what was committed before it.
    op.execute(
        "CREATE FUNCTION keep_order_wait(its integer) RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM order_id FROM order_waits WHERE order_id = its FOR UPDATE;"
        " PERFORM reckon_order_wait(its); END $$"
    )
    op.execute("DROP TRIGGER card_transactions_wait_update ON card_transactions")
    op.execute(
        "CREATE TRIGGER card_transactions_wait_update"
        " AFTER UPDATE OF gateway_state, looks, card_seq, member_id ON card_transactions FOR EACH ROW"
        " WHEN (NEW.gateway_state IS DISTINCT FROM OLD.gateway_state"
        " OR (NEW.looks > 0) <> (OLD.looks > 0) OR NEW.card_seq IS DISTINCT FROM OLD.card_seq"
        " OR NEW.member_id <> OLD.member_id) EXECUTE FUNCTION card_transactions_wait_update()"
    )
