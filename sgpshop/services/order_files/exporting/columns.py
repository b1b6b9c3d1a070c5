"""What the columns of an exported file say about an order, its parcels and its items (§14.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sgpshop.domain.csv_writing import Value
from sgpshop.domain.payment_status import CAPTURABLE
from sgpshop.models import CardTransaction, Delivery, Order, OrderKind, OrderLine
from sgpshop.services.order_files.reading.columns import COLUMNS, FileColumn, Part

if TYPE_CHECKING:
    from sgpshop.services.order_files.exporting.reading import ExportedOrder

#: secret, or said by another column already
_LEFT_OUT = frozenset({"access_pass", "ordered_time", "order_state"})
_OF_TRANSACTION = frozenset({"access_id", "authorized_at", "gateway_amount"})
#: field of an order file -> column of our table, where the names differ
_OTHER_NAMES = {"processing": "processing_class"}
#: yes and no that a file has other words for than 1 and 0
_WORDS = {"prices_include_tax": {True: "税込", False: "税別"}}


def _columns_of(part: Part) -> tuple[FileColumn, ...]:
    return tuple(c for c in COLUMNS if c.part is part and c.field not in _LEFT_OUT)


_ORDER, _DELIVERY, _ITEM = (_columns_of(part) for part in (Part.ORDER, Part.DELIVERY, Part.ITEM))

#: What happened since the order came in; the importer passes over these.
_SINCE: dict[str, Callable[[Any], Value]] = {
    "修正額": lambda order: _correction(order),
    "SMBC-GP側金額": lambda order: order.gateway_amount,
    "金額送信日時": lambda order: order.amount_sent_at,
    "売上日時": lambda order: order.captured_at,
    "取消日時": lambda order: order.cancelled_at,
    "オーソリ期限": lambda order: _deadline(order),
}
_ERROR_TITLES = ("エラーコード", "エラー内容")

TITLES: tuple[str, ...] = (
    *(column.title for column in (*_ORDER, *_DELIVERY, *_ITEM)),
    *_SINCE,
    *_ERROR_TITLES,
)
#: columns in yen
MONEY = frozenset(
    {
        "送料",
        "手数料",
        "まとめ買い割引",
        "クーポン",
        "使用ポイント",
        "値引き",
        "消費税8%",
        "消費税10%",
        "合計金額",
        "オーソリ金額",
        "単価",
        "修正額",
        "SMBC-GP側金額",
    }
)


def _selected(columns: Iterable[FileColumn], model: Any) -> list[Any]:
    return [
        getattr(CardTransaction if column.field in _OF_TRANSACTION else model, name).label(
            column.field
        )
        for column in columns
        if (name := _OTHER_NAMES.get(column.field, column.field))
        not in ("ordered_at", "is_reduced")
    ]


ORDER_FIELDS: list[sa.Label[Any]] = [
    *_selected(_ORDER, Order),
    Order.kind.label("kind"),
    Order.original_total.label("original_total"),
    CardTransaction.amount_sent_at.label("amount_sent_at"),
    CardTransaction.captured_at.label("captured_at"),
    CardTransaction.cancelled_at.label("cancelled_at"),
    CardTransaction.auth_expires_at.label("auth_expires_at"),
]
DELIVERY_FIELDS: list[sa.Label[Any]] = _selected(_DELIVERY, Delivery)
ITEM_FIELDS: list[sa.Label[Any]] = _selected(_ITEM, OrderLine)


def rows(orders: Iterable[ExportedOrder]) -> Iterator[list[Value]]:
    """One row an item, in the order of TITLES; order and delivery columns repeat."""
    for exported in orders:
        of_order = [_of_order(exported.order, column) for column in _ORDER]
        since = [value(exported.order) for value in _SINCE.values()]
        error = exported.error
        since += ["|".join(error.codes), error.sentence] if error else ["", ""]
        parcels = {number: _of_parcel(parcel) for number, parcel in exported.parcels.items()}
        for line in exported.lines:
            of_parcel = parcels.get(line.delivery_number, _NO_PARCEL)
            yield [*of_order, *of_parcel, *(_of_item(line, column) for column in _ITEM), *since]


def _of_order(order: Any, column: FileColumn) -> Value:
    value = getattr(order, column.field)
    words = _WORDS.get(column.field)
    return words[value] if words else _plain(value)


def _of_parcel(parcel: Any) -> list[Value]:
    return [_plain(getattr(parcel, column.field)) for column in _DELIVERY]


_NO_PARCEL: list[Value] = [None] * len(_DELIVERY)


def _of_item(line: Any, column: FileColumn) -> Value:
    return (
        int(line.tax_rate == 8)
        if column.field == "is_reduced"
        else _plain(getattr(line, column.field))
    )


#: most values by far: nothing is looked for in them
_PLAIN = (str, int)


def _plain(value: Any) -> Value:
    """Words as the screen says them, yes and no as 1 and 0."""
    if value is None or type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return int(value)
    label: str | None = getattr(value, "label", None)
    return value if label is None else label


def _correction(order: Any) -> int | None:
    """The corrected total, where there was a correction (R64)."""
    first = order.original_total
    return order.total if first is not None and first != order.total else None


def _deadline(order: Any) -> datetime | None:
    """The end of the hold, where one is waited for (R111, R130)."""
    is_waited_for = order.payment_status in CAPTURABLE and order.kind is OrderKind.NORMAL
    return order.auth_expires_at if is_waited_for else None
