"""Any field of an order is found by two characters of it: one text an order, and an index of its grams.

Triggers note which orders' texts are out of date, whoever writes; the worker renews them.  All orders
that are there are noted here, the newest first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_FIELDS = ("buyer", "tel", "email", "number", "member", "recipient", "slip", "item")
#: table -> its column with the order's id, and the columns that are searched
_WATCHED = {
    "orders": (
        "id",
        "order_no ordered_at member_id buyer_name buyer_kana buyer_company buyer_tel buyer_email",
    ),
    "deliveries": ("order_id", "name tel slip_no more_slips"),
    "order_lines": ("order_id", "code name option jan"),
}


def upgrade() -> None:
    op.create_table(
        "order_texts",
        sa.Column("order_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sort_key", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _FIELDS),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_texts")),
    )
    op.create_index(op.f("ix_order_texts_sort_key"), "order_texts", ["sort_key"], unique=True)
    due = op.create_table(
        "order_texts_due",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_texts_due")),
    )
    op.create_index(op.f("ix_order_texts_due_order_id"), "order_texts_due", ["order_id"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        # Without content: the text stands in order_texts.  Nothing asks where in it a gram is.
        op.execute(
            "CREATE VIRTUAL TABLE order_grams USING fts5"
            "(grams, content='', detail='none', columnsize=0, tokenize='ascii')"
        )
    else:
        op.create_table(
            "order_grams",
            sa.Column("rowid", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column("grams", postgresql.ARRAY(sa.Text()), nullable=False),
            sa.PrimaryKeyConstraint("rowid", name=op.f("pk_order_grams")),
        )
        op.execute(
            "CREATE INDEX ix_order_grams_grams ON order_grams USING gin (grams)"
            " WITH (fastupdate = off)"
        )
        _note_on_postgresql()
    for table, (key, columns) in _WATCHED.items():
        (_watch_on_sqlite if is_sqlite else _watch_on_postgresql)(table, key, columns.split())
    # B11: numbers are found in capitals and small letters
    op.execute("CREATE INDEX ix_orders_lower_order_no ON orders (lower(order_no))")
    orders = sa.table("orders", sa.column("id"))
    newest_first = sa.select(orders.c.id).order_by(orders.c.id.desc())
    op.execute(sa.insert(due).from_select(["order_id"], newest_first))


def _watch_on_sqlite(table: str, key: str, columns: list[str]) -> None:
    changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in columns)
    for act, row, when in (
        ("INSERT", "NEW", ""),
        ("DELETE", "OLD", ""),
        (f"UPDATE OF {', '.join(columns)}", "NEW", f"WHEN {changed}"),
    ):
        # One writes at a time here, so what is noted already stays noted until it is renewed.
        noted = f"SELECT 1 FROM order_texts_due WHERE order_id = {row}.{key}"  # noqa: S608
        op.execute(
            f"CREATE TRIGGER {table}_text_{act.partition(' ')[0].lower()} AFTER {act} ON {table}"
            f" {when} BEGIN INSERT INTO order_texts_due (order_id)"
            f" SELECT {row}.{key} WHERE NOT EXISTS ({noted}); END"
        )


def _note_on_postgresql() -> None:
    # Always a row of its own: one that is there may be taken away by whoever renews the text just now
    # from what was before this transaction.
    op.execute(
        "CREATE FUNCTION order_texts_note() RETURNS trigger LANGUAGE plpgsql AS $$"
        " DECLARE changed record; BEGIN"
        " IF TG_OP = 'DELETE' THEN changed := OLD; ELSE changed := NEW; END IF;"
        " IF TG_TABLE_NAME = 'orders' THEN"
        " INSERT INTO order_texts_due (order_id) VALUES (changed.id); ELSE"
        " INSERT INTO order_texts_due (order_id) VALUES (changed.order_id); END IF;"
        " RETURN NULL; END $$"
    )


def _watch_on_postgresql(table: str, _key: str, columns: list[str]) -> None:
    changed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in columns)
    for name, act, when in (
        ("text_row", "INSERT OR DELETE", ""),
        ("text_update", f"UPDATE OF {', '.join(columns)}", f"WHEN ({changed})"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_{name} AFTER {act} ON {table} FOR EACH ROW {when}"
            " EXECUTE FUNCTION order_texts_note()"
        )
