"""What moved money says of its tax rates and its kind, for sums by day; 取消日時 of a transaction.

What is there gets the rates that the files had until now, by the order as it is.
"""

import datetime as dt
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from sgpshop.domain.amounts import (
    AMOUNT_COLUMNS,
    FEES,
    REDUCTIONS,
    TAXES,
    TaxRounding,
    break_down_order,
)

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

_JST = dt.timezone(dt.timedelta(hours=9))
_BATCH = 500
_NEW = ("at_8", "tax_8", "tax_10")


def upgrade() -> None:
    for name in ("is_refund", "is_subscription"):
        op.add_column(
            "money_movements",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()),
        )
    for name in _NEW:
        op.add_column(
            "money_movements", sa.Column(name, sa.Integer(), nullable=False, server_default="0")
        )
    op.add_column("money_movements", sa.Column("owed_since", sa.Date(), nullable=True))
    op.add_column(
        "card_transactions", sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True)
    )
    triggers = _let_change()
    _fill()
    for statement in triggers:
        op.execute(statement)
    op.execute(_CANCELLED)
    op.create_index(
        "ix_money_movements_day",
        "money_movements",
        [
            "day",
            "is_refund",
            "is_subscription",
            "kept_before",
            "kept_after",
            "at_8",
            "order_id",
        ],
    )
    op.create_index(
        "ix_money_movements_owed_since",
        "money_movements",
        ["day", "owed_since"],
        sqlite_where=sa.text("owed_since IS NOT NULL"),
        postgresql_where=sa.text("owed_since IS NOT NULL"),
    )
    op.create_index(
        "ix_money_movements_late",
        "money_movements",
        ["day", "booked_on"],
        sqlite_where=sa.text("booked_on > day"),
        postgresql_where=sa.text("booked_on > day"),
    )
    op.create_index("ix_card_transactions_cancelled_at", "card_transactions", ["cancelled_at"])


#: The latest cancel of an order whose transaction was released or given back.
_CANCELLED = """
UPDATE card_transactions SET cancelled_at = (
 SELECT max(h.at) FROM history h WHERE h.order_id = card_transactions.order_id
 AND h.status_after = 'cancelled' AND h.status_before <> 'cancelled')
WHERE is_current AND gateway_state IN ('VOID', 'RETURN', 'RETURNX', 'CANCEL')
"""


def _let_change() -> list[str]:
    """Take away what refuses changes of the table; the statements that bring it back."""
    if op.get_bind().dialect.name == "sqlite":
        query = sa.text(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'money_movements'"
        )
        found = op.get_bind().execute(query).all()
        for name, _ in found:
            op.execute(f"DROP TRIGGER {name}")
        return [sql for _, sql in found]
    op.execute("ALTER TABLE money_movements DISABLE TRIGGER USER")
    return ["ALTER TABLE money_movements ENABLE TRIGGER USER"]


def _table(name: str, **columns: type[sa.types.TypeEngine]) -> sa.TableClause:
    return sa.table(name, *(sa.column(word, kind()) for word, kind in columns.items()))


def _fill() -> None:
    database = op.get_bind()
    whole, text = sa.Integer, sa.String
    moved = _table(
        "money_movements",
        **dict.fromkeys(("id", "order_id", "kept_before", "kept_after", *_NEW), whole),
        **dict.fromkeys(("is_by_hand", "is_refund", "is_subscription"), sa.Boolean),
        **dict.fromkeys(("day", "owed_since"), sa.Date),
    )
    orders = _table(
        "orders",
        **dict.fromkeys(("id", *FEES, *REDUCTIONS, *TAXES.values()), whole),
        kind=text,
        processing_class=text,
        tax_rounding=text,
        prices_include_tax=sa.Boolean,
    )
    lines = _table(
        "order_lines", **dict.fromkeys(("order_id", "unit_price", "quantity", "tax_rate"), whole)
    )
    parcels = sa.table(
        "deliveries",
        sa.column("order_id", whole()),
        sa.column("delivered_at", sa.DateTime(timezone=True)),
    )
    change = (
        sa.update(moved)
        .where(moved.c.id == sa.bindparam("row"))
        .values(
            {
                name: sa.bindparam(f"new_{name}")
                for name in (*_NEW, "is_refund", "is_subscription", "owed_since")
            }
        )
    )
    last = 0
    while rows := database.execute(
        sa.select(moved).where(moved.c.id > last).order_by(moved.c.id).limit(_BATCH)
    ).all():
        last = rows[-1].id
        ids = {row.order_id for row in rows}
        amounts = (orders.c[name] for name in AMOUNT_COLUMNS)
        known = {
            row.id: row
            for row in database.execute(
                sa.select(
                    orders.c.id,
                    orders.c.kind,
                    orders.c.processing_class,
                    *amounts,
                    sa.select(sa.func.max(parcels.c.delivered_at))
                    .where(parcels.c.order_id == orders.c.id)
                    .scalar_subquery()
                    .label("gone_at"),
                ).where(orders.c.id.in_(ids))
            )
        }
        amount = (lines.c.unit_price * lines.c.quantity).label("amount")
        items: dict[int, list[sa.Row]] = {}
        for item in database.execute(
            sa.select(lines.c.order_id, amount, lines.c.tax_rate).where(lines.c.order_id.in_(ids))
        ):
            items.setdefault(item.order_id, []).append(item)
        database.execute(
            change, [_filled(row, known[row.order_id], items.get(row.order_id, [])) for row in rows]
        )


def _filled(row: sa.Row, order: sa.Row, items: list[sa.Row]) -> dict:
    before, after = (dict(_shares(order, items, yen)) for yen in (row.kept_before, row.kept_after))
    found = {
        f"new_{name}": after.get(name, 0) - before.get(name, 0)
        for name in ("at_8", "tax_8", "tax_10")
    }
    is_sale = row.kept_after > row.kept_before
    gone = order.gone_at if is_sale and order.processing_class == "delivered" else None
    gone_on = _aware(gone).astimezone(_JST).date() if gone else None
    return found | {
        "row": row.id,
        "new_is_refund": bool(row.is_by_hand) or not is_sale,
        "new_is_subscription": order.kind == "subscription",
        "new_owed_since": gone_on if gone_on and gone_on < row.day.replace(day=1) else None,
    }


def _shares(order: sa.Row, items: list[sa.Row], yen: int) -> Iterator[tuple[str, int]]:
    if yen:
        columns = {**order._mapping, "tax_rounding": TaxRounding(order.tax_rounding)}
        for share in break_down_order(columns, items, total=yen).shares:
            yield f"at_{share.rate}", share.amount
            yield f"tax_{share.rate}", share.tax


def _aware(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment
