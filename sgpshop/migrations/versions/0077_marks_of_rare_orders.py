"""修正額が未送信, 発送済み・売上処理待ち and 未完了 are counted along indexes of those few.

Whether a transaction holds another amount than its order's total is kept beside it, by whoever changes the
order or the transaction: it depends on both.
"""

# ruff: noqa: S608 - names of our own

import sqlalchemy as sa
from alembic import op

revision = "0077"
down_revision = "0076"
branch_labels = None
depends_on = None

_HOLDING = "payment_status IN ('authorized', 'capture_failed', 'needs_review')"
_DIFFERS = (
    "({0}is_current AND {0}gateway_amount IS NOT NULL AND EXISTS (SELECT 1 FROM orders"
    f" WHERE orders.id = {{0}}order_id AND orders.{_HOLDING}"
    " AND orders.total <> {0}gateway_amount))"
)
_ITS_OWN = _DIFFERS.format("card_transactions.")
#: With the columns of its condition beside them, SQLite reads no order to look at that once more.
_COUNTED = ("ordered_at", "id", "payment_status", "total")
_SHIPPED_UNCAPTURED = sa.text(
    "CAST(payment_status AS VARCHAR) IN ('authorized', 'capture_failed')"
    " AND (processing_class = 'delivered'"
    " OR processing_class = 'returned' AND cancel_waived_at IS NOT NULL)"
)

_UNFINISHED = sa.text(
    "processing_class = 'unprocessed'"
    " OR payment_status IN ('authorized', 'capture_failed', 'needs_review', 'awaiting_billing')"
    " OR (cancel_waived_at IS NULL AND (processing_class = 'returned' AND payment_status = 'captured'"
    " OR processing_class IN ('returned', 'cancelled') AND payment_status = 'billing_reported'"
    " AND refunded_on IS NULL))"
)


def upgrade() -> None:
    op.add_column(
        "card_transactions",
        sa.Column("differs", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute(
        f"UPDATE card_transactions SET differs = {_ITS_OWN}"
        f" WHERE order_id IN (SELECT id FROM orders WHERE {_HOLDING})"
    )
    differs = sa.text("differs")
    op.create_index(
        "ix_card_transactions_differs",
        "card_transactions",
        ["order_id"],
        sqlite_where=differs,
        postgresql_where=differs,
    )
    op.create_index(
        "ix_orders_shipped_uncaptured",
        "orders",
        [*_COUNTED, "kind", "processing_class", "cancel_waived_at"],
        sqlite_where=_SHIPPED_UNCAPTURED,
        postgresql_where=_SHIPPED_UNCAPTURED,
    )
    op.drop_index("ix_orders_unfinished", "orders")
    op.create_index(
        "ix_orders_unfinished",
        "orders",
        [*_COUNTED, "processing_class", "cancel_waived_at", "refunded_on"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    (_keep_on_sqlite if is_sqlite else _keep_on_postgresql)()


def _keep_on_sqlite() -> None:
    for name, when, whose, only in (
        (
            "card_transactions_differs_insert",
            "INSERT ON card_transactions",
            "id = NEW.id",
            "WHEN NEW.gateway_amount IS NOT NULL OR NEW.differs",
        ),
        (
            "card_transactions_differs_update",
            "UPDATE OF gateway_amount, is_current, order_id ON card_transactions",
            "id = NEW.id",
            "",
        ),
        (
            "orders_differs_update",
            "UPDATE OF payment_status, total ON orders",
            "order_id = NEW.id",
            "WHEN NEW.payment_status IS NOT OLD.payment_status OR NEW.total <> OLD.total",
        ),
    ):
        op.execute(
            f"CREATE TRIGGER {name} AFTER {when} {only} BEGIN"
            f" UPDATE card_transactions SET differs = {_ITS_OWN}"
            f" WHERE {whose} AND differs <> {_ITS_OWN}; END"
        )


def _keep_on_postgresql() -> None:
    for name, steps in (
        ("card_transactions_differs", f"NEW.differs := {_DIFFERS.format('NEW.')}; RETURN NEW"),
        (
            "orders_differs",
            f"UPDATE card_transactions SET differs = {_ITS_OWN}"
            f" WHERE order_id = NEW.id AND differs <> {_ITS_OWN}; RETURN NULL",
        ),
    ):
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {steps}; END $$"
        )
    for act, columns in (("insert", ""), ("update", " OF gateway_amount, is_current, order_id")):
        op.execute(
            f"CREATE TRIGGER card_transactions_differs_{act} BEFORE {act.upper()}{columns}"
            " ON card_transactions FOR EACH ROW EXECUTE FUNCTION card_transactions_differs()"
        )
    op.execute(
        "CREATE TRIGGER orders_differs_update AFTER UPDATE OF payment_status, total ON orders"
        " FOR EACH ROW WHEN (NEW.payment_status IS DISTINCT FROM OLD.payment_status"
        " OR NEW.total <> OLD.total) EXECUTE FUNCTION orders_differs()"
    )
