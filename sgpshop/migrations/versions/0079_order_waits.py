"""ホーム, 定期購入 and 予約 ask of the orders that wait for their money what lies side by side.

Of each such order one row is kept, by whoever changes the order, its parcels or its transactions: of what
all of them say together.
"""

# ruff: noqa: S608 - names of our own

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None

_WAITS = (
    "(orders.kind = 'subscription' AND orders.payment_status = 'awaiting_billing'"
    " OR orders.kind = 'preorder' AND orders.payment_status IN ('authorized', 'capture_failed'))"
)
_PARCELS = "FROM deliveries WHERE deliveries.order_id = orders.id"
#: column -> what it is of a row of `orders`
_KEPT = {
    "order_id": "orders.id",
    "kind": "orders.kind",
    "status": "orders.payment_status",
    "total": "orders.total",
    "is_through": (
        "(orders.processing_class = 'delivered'"
        " OR orders.processing_class = 'returned' AND orders.cancel_waived_at IS NOT NULL)"
    ),
    "ships_on": f"coalesce((SELECT min(deliveries.wish_date) {_PARCELS}), '9999-12-31')",
    "left_at": f"(SELECT max(deliveries.delivered_at) {_PARCELS})",
    "seems_gone": (
        f"(orders.processing_class = 'unprocessed' AND EXISTS (SELECT 1 {_PARCELS}"
        " AND (deliveries.slip_no <> '' OR deliveries.status IN ('delivered', 'returned'))))"
    ),
    "is_suspect": (
        "EXISTS (SELECT 1 FROM card_transactions WHERE card_transactions.order_id = orders.id"
        " AND (card_transactions.gateway_state IN ('AUTH', 'CAPTURE', 'SALES', 'SAUTH')"
        " OR card_transactions.looks > 0 AND card_transactions.card_seq IS NULL"
        " AND card_transactions.member_id = ''"
        " AND coalesce(card_transactions.gateway_state, '') <> 'CHECK'))"
    ),
}
_FILL = (
    f"INSERT INTO order_waits ({', '.join(_KEPT)})"
    f" SELECT {', '.join(_KEPT.values())} FROM orders WHERE {_WAITS}"
)
#: What else than an order itself says it, and which of its columns do.
_SAID_BY = {
    "deliveries": "wish_date, delivered_at, slip_no, status",
    "card_transactions": "gateway_state, looks, card_seq, member_id",
}
_OF_ORDERS = "kind, payment_status, total, processing_class, cancel_waived_at"


def upgrade() -> None:
    op.create_table(
        "order_waits",
        sa.Column("order_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("is_through", sa.Boolean(), nullable=False),
        sa.Column("ships_on", sa.Date(), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seems_gone", sa.Boolean(), nullable=False),
        sa.Column("is_suspect", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_waits_order_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_waits")),
    )
    op.create_index(
        "ix_order_waits_ships_on",
        "order_waits",
        ["kind", "status", "ships_on", "order_id", "total"],
    )
    op.create_index(
        "ix_order_waits_left_at",
        "order_waits",
        ["kind", "is_through", "left_at", "total", "seems_gone", "is_suspect", "order_id"],
    )
    # The registrations that may be tried again, of the last months: not of all years.
    is_put_off = sa.text("CAST(state AS VARCHAR) IN ('postponed', 'refused', 'not_paid')")
    op.create_index(
        "ix_billings_put_off",
        "billings",
        ["planned_at", "order_id"],
        sqlite_where=is_put_off,
        postgresql_where=is_put_off,
    )
    # What is held says what its order comes to, where that does not differ.
    is_held = sa.text("hold_ends_at IS NOT NULL")
    op.drop_index("ix_card_transactions_hold_ends_at", "card_transactions")
    op.create_index(
        "ix_card_transactions_hold_ends_at",
        "card_transactions",
        ["hold_ends_at", "order_id", "gateway_amount", "differs"],
        sqlite_where=is_held,
        postgresql_where=is_held,
    )
    op.execute(_FILL)
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    (_keep_on_sqlite if is_sqlite else _keep_on_postgresql)()


def _acts() -> Iterator[tuple[str, str, str, str]]:
    """Table, what is done with a row of it, whose order that is, and where it matters."""
    of_kind = "NEW.kind <> 'normal'"
    yield "orders", "INSERT", "NEW.id", of_kind
    yield "orders", f"UPDATE OF {_OF_ORDERS}", "NEW.id", f"{of_kind} OR OLD.kind <> 'normal'"
    for table, columns in _SAID_BY.items():
        for act, row in (("INSERT", "NEW"), (f"UPDATE OF {columns}", "NEW"), ("DELETE", "OLD")):
            its = f"{row}.order_id"
            yield table, act, its, f"EXISTS (SELECT 1 FROM order_waits WHERE order_id = {its})"


def _keep_on_sqlite() -> None:
    for table, act, its, only in _acts():
        op.execute(
            f"CREATE TRIGGER {table}_wait_{act.split()[0].lower()} AFTER {act} ON {table}"
            f" WHEN {only} BEGIN DELETE FROM order_waits WHERE order_id = {its};"
            f" {_FILL} AND orders.id = {its}; END"
        )


def _keep_on_postgresql() -> None:
    changed = ", ".join(f"{name} = EXCLUDED.{name}" for name in _KEPT if name != "order_id")
    op.execute(
        "CREATE FUNCTION keep_order_wait(its integer) RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
        " DELETE FROM order_waits WHERE order_id = its AND NOT EXISTS"
        f" (SELECT 1 FROM orders WHERE orders.id = its AND {_WAITS});"
        f" {_FILL} AND orders.id = its ON CONFLICT (order_id) DO UPDATE SET {changed}; END $$"
    )
    for table, act, its, only in _acts():
        name = f"{table}_wait_{act.split()[0].lower()}"
        # Of other rows than its own no WHEN may ask; but where one can, no function is called.
        asked, when = ("TRUE", f"WHEN ({only})") if table == "orders" else (only, "")
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {asked} THEN PERFORM keep_order_wait({its}); END IF; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} AFTER {act} ON {table} FOR EACH ROW {when}"
            f" EXECUTE FUNCTION {name}()"
        )
