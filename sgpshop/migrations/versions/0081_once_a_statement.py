"""PostgreSQL: what many rows written with one statement bring about is noted once, not for each of them.

An order file brings hundreds of orders with each COPY, and takes hundreds of parcels away.  SQLite has
triggers of rows alone.
"""

from alembic import op

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None

_MANY = (("INSERT", "NEW"), ("DELETE", "OLD"))


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _note_texts()
        _keep_waits()
        _keep_holds()
        _note_changes()


def _note_texts() -> None:
    """Whose texts are out of date (0033).  Of an update only some columns matter: row by row, as before."""
    for function, those in (
        ("order_texts_note", "VALUES (NEW.{0})"),
        ("order_texts_note_many", "SELECT {0} FROM changed"),
    ):
        note = f"INSERT INTO order_texts_due (order_id) {those}"
        _function(
            function,
            f"IF TG_TABLE_NAME = 'orders' THEN {note.format('id')};"
            f" ELSE {note.format('order_id')}; END IF; RETURN NULL",
        )
    for table in ("orders", "deliveries", "order_lines"):
        op.execute(f"DROP TRIGGER {table}_text_row ON {table}")
        _once_a_statement(table, "text", "order_texts_note_many")


def _keep_waits() -> None:
    """What is kept of orders that wait for their money (0079), which most do not."""
    # As an array: a join that was planned for hundreds of rows reads all that waits for a single one too.
    _function(
        "keep_order_waits",
        "PERFORM keep_order_wait(order_id) FROM order_waits"
        " WHERE order_id = ANY (ARRAY(SELECT order_id FROM changed)); RETURN NULL",
    )
    for table in ("deliveries", "card_transactions"):
        for act, _ in _MANY:
            op.execute(f"DROP TRIGGER {table}_wait_{act.lower()} ON {table}")
            op.execute(f"DROP FUNCTION {table}_wait_{act.lower()}()")
        _once_a_statement(table, "wait", "keep_order_waits")


def _keep_holds() -> None:
    """When the hold of a new transaction ends (0069), and whether its amount differs (0077): one look for both."""
    _function(
        "card_transactions_kept",
        "SELECT kind, payment_status, total INTO its FROM orders WHERE id = NEW.order_id;"
        " NEW.hold_ends_at := CASE WHEN NEW.is_current AND its.kind = 'normal'"
        " AND its.payment_status IN ('authorized', 'capture_failed') THEN NEW.auth_expires_at END;"
        " NEW.differs := coalesce(NEW.is_current AND its.total <> NEW.gateway_amount"
        " AND its.payment_status IN ('authorized', 'capture_failed', 'needs_review'), FALSE);"
        " RETURN NEW",
        "its record",
    )
    for kept in ("differs", "hold"):
        op.execute(f"DROP TRIGGER card_transactions_{kept}_insert ON card_transactions")
    # What a file brings claims neither amount nor hold, most often.
    op.execute(
        "CREATE TRIGGER card_transactions_kept_insert BEFORE INSERT ON card_transactions FOR EACH ROW"
        " WHEN (NEW.gateway_amount IS NOT NULL OR NEW.auth_expires_at IS NOT NULL"
        " OR NEW.differs IS NOT FALSE OR NEW.hold_ends_at IS NOT NULL)"
        " EXECUTE FUNCTION card_transactions_kept()"
    )


def _note_changes() -> None:
    """As in 0041, less DISTINCT and ORDER BY: a statement changes an order once, and has locked it already."""
    _function(
        "order_changes_note",
        "INSERT INTO order_changes (order_id) SELECT id FROM changed"
        " ON CONFLICT (order_id) DO UPDATE SET position = NULL; RETURN NULL",
    )


def _function(name: str, steps: str, declared: str = "") -> None:
    declare = f"DECLARE {declared};" if declared else ""
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ {declare} BEGIN {steps}; END $$"
    )


def _once_a_statement(table: str, name: str, function: str) -> None:
    for act, rows in _MANY:
        op.execute(
            f"CREATE TRIGGER {table}_{name}_{act.lower()} AFTER {act} ON {table}"
            f" REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
