"""One person's request: which orders are theirs, and everything these say of them, as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.csv_writing import Value, csv_file
from sgpshop.domain.errors import OrderNotFound
from sgpshop.domain.personal_data import ERASED
from sgpshop.domain.words import Labelled
from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services.order_files.reading.columns import COLUMNS, Part
from sgpshop.services.personal_data.erasing import why_stays

#: More orders of one buyer are not shown at once.
MOST = 200
_TITLES = ("注文番号", "項目", "内容")
#: What says how the order is paid at SMBC-GP is not the buyer's.
_NOT_WRITTEN = {"access_id", "access_pass", "ordered_time", "order_state", "processing"}


@dataclass(frozen=True)
class TheirOrder:
    """One order that may be of the same buyer."""

    order: Order
    #: what it has in common with the order that was opened; "" for that one
    same: str
    #: why its data is still needed; "" when it can be erased
    stays: str

    #: the names agree as well: a 会員ID or an address may be a family's
    is_same_name: bool

    @property
    def is_erased(self) -> bool:
        """Whether nothing of the buyer is left in it."""
        return self.order.erased_at is not None and self.order.buyer_name == ERASED


def orders_of_buyer(order_no: str) -> list[TheirOrder]:
    """The order and others with the same 会員ID, mail address, or name and telephone; newest first.

    Raises NotFound.
    """
    order = db.session.scalar(sa.select(Order).filter_by(order_no=order_no))
    if order is None:
        raise OrderNotFound
    same: list[tuple[str, sa.ColumnElement[bool]]] = []
    if order.member_id:
        same.append(("会員ID", Order.member_id == order.member_id))
    if order.buyer_email:
        is_same = sa.func.lower(Order.buyer_email) == order.buyer_email.lower()
        same.append(("メールアドレス", is_same))
    if order.tel_search and order.buyer_name != ERASED:
        is_same = sa.and_(
            Order.tel_search == order.tel_search, Order.buyer_name == order.buyer_name
        )
        same.append(("氏名と電話番号", is_same))
    found = [order]
    if same:
        others = sa.select(Order).where(
            Order.id != order.id, sa.or_(*(condition for _, condition in same))
        )
        newest = others.order_by(Order.ordered_at.desc(), Order.id.desc()).limit(MOST - 1)
        found += db.session.scalars(newest)
    return [
        TheirOrder(
            one, _same(order, one), why_stays(db.session(), one), one.buyer_name == order.buyer_name
        )
        for one in found
    ]


def _same(order: Order, other: Order) -> str:
    """In words what both have in common."""
    if order.id == other.id:
        return ""
    parts = [
        ("会員ID", order.member_id and order.member_id == other.member_id),
        (
            "メールアドレス",
            order.buyer_email and order.buyer_email.lower() == other.buyer_email.lower(),
        ),
        ("電話番号", order.tel_search and order.tel_search == other.tel_search),
    ]
    return "・".join(name for name, is_same in parts if is_same)


def written_out(orders: Sequence[Order]) -> bytes:
    """Everything these orders say of their buyer and of what was bought, as a CSV file."""
    return b"".join(csv_file(_TITLES, [_rows(order) for order in orders]))


def _rows(order: Order) -> Iterator[tuple[Value, ...]]:
    parts: list[tuple[Part, str, object]] = [(Part.ORDER, "", order)]
    several = len(order.deliveries) > 1
    for delivery in order.deliveries:
        parts.append((Part.DELIVERY, f"お届け先{delivery.number} " if several else "", delivery))
    for place, line in enumerate(order.lines, start=1):
        parts.append((Part.ITEM, f"商品{place} ", line))
    for part, prefix, row in parts:
        for column in COLUMNS:
            if column.part is not part or column.field in _NOT_WRITTEN:
                continue
            value = getattr(row, column.field, None)
            if value not in (None, ""):
                yield order.order_no, f"{prefix}{column.title}", _shown(value)
    if order.memo:
        yield order.order_no, "社内メモ", order.memo


def _shown(value: Any) -> Value:
    if isinstance(value, bool):
        return "はい" if value else "いいえ"
    if isinstance(value, Labelled):
        return value.label
    shown: Value = value
    return shown
