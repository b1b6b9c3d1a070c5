"""What an order says apart from its payment: the file's words laid over what is stored.

Columns that a file does not have keep what is stored, so a short file may follow a full one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from sgpshop.domain.amounts import AMOUNT_COLUMNS, TAX_INCLUDED, TaxRule, calculated_of
from sgpshop.domain.delivery_status import (
    OPEN_STATUSES,
    DeliveryStatus,
    ProcessingClass,
    processing_class,
)
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import SUBSCRIPTION_STATUSES
from sgpshop.domain.spreadsheets import is_left_of
from sgpshop.domain.text import digits_only, search_key
from sgpshop.models import Delivery, Order, OrderKind, OrderLine
from sgpshop.services.order_files.reading import ParsedOrder
from sgpshop.services.order_files.reading.columns import COLUMNS, Part

Values = dict[str, Any]


def _defaults(part: Part, model: type[Any], **others: Any) -> Values:
    columns = {
        column.field: column.empty
        for column in COLUMNS
        if column.part is part and hasattr(model, column.field)
    }
    return columns | others


#: Columns of the models that a file fills, with their values when it does not speak of them.
ORDER_DEFAULTS = _defaults(Part.ORDER, Order)
del ORDER_DEFAULTS["order_no"], ORDER_DEFAULTS["payment_status"]
ORDER_DEFAULTS |= TAX_INCLUDED.columns
#: These no file brings: further slip numbers, and what follows from its status; they stay with the parcel.
DELIVERY_DEFAULTS = _defaults(
    Part.DELIVERY,
    Delivery,
    more_slips="",
    status=DeliveryStatus.UNPROCESSED,
    delivered_at=None,
    returned_on=None,
    return_reason="",
)
LINE_DEFAULTS = _defaults(Part.ITEM, OrderLine, tax_rate=10, delivery_number=0)

_ORDER_AMOUNTS = ("total", *AMOUNT_COLUMNS)


def order_search(values: Values) -> Values:
    """The columns of Order for searching that follow from its others."""
    names = (values["buyer_name"], values["buyer_kana"], values["buyer_company"])
    return {
        "buyer_search": search_key(*names),
        "tel_search": digits_only(values["buyer_tel"])[:30],
    }


def delivery_search(values: Values) -> Values:
    """The columns of Delivery for searching."""
    return {"name_search": search_key(values["name"])}


def line_search(values: Values) -> Values:
    """The columns of OrderLine for searching."""
    return {"item_search": search_key(values["code"], values["name"], values["option"])}


class _Priced(NamedTuple):
    amount: int
    tax_rate: int


@dataclass(frozen=True)
class Content:
    """An order's columns, its deliveries by number and its lines by position, all complete."""

    kind: OrderKind
    values: Values
    deliveries: list[Values]
    lines: list[Values]

    @property
    def processing_class(self) -> ProcessingClass:
        """処理区分, which follows from the deliveries (R29)."""
        return processing_class(delivery["status"] for delivery in self.deliveries)

    @cached_property
    def calculated(self) -> int:
        """What its parts come to in yen, by the rule of tax it keeps (R77a)."""
        return self._worth(self.lines)

    @property
    def calculated_without_cancelled(self) -> int:
        """The same without the items of parcels that were called off."""
        cancelled = {
            parcel["number"]
            for parcel in self.deliveries
            if parcel["status"] is DeliveryStatus.CANCELLED
        }
        return self._worth([one for one in self.lines if one["delivery_number"] not in cancelled])

    def _worth(self, lines: list[Values]) -> int:
        priced = [
            _Priced(line["unit_price"] * line["quantity"], line["tax_rate"]) for line in lines
        ]
        return calculated_of(self.values, priced)

    def amounts(self) -> list[Any]:
        """Everything that makes up the sum to be charged (P21), and the tax shown of it."""
        own = [self.values[name] for name in _ORDER_AMOUNTS]
        priced = ("unit_price", "quantity", "tax_rate")
        return own + sorted(tuple(line[name] for name in priced) for line in self.lines)

    def order_row(self) -> Values:
        """Columns of Order, those for searching included."""
        return (
            self.values
            | {"kind": self.kind, "processing_class": self.processing_class}
            | order_search(self.values)
        )

    def delivery_rows(self, order_id: int) -> list[Values]:
        """Rows of Delivery."""
        return [
            delivery | {"order_id": order_id} | delivery_search(delivery)
            for delivery in self.deliveries
        ]

    def line_rows(self, order_id: int) -> list[Values]:
        """Rows of OrderLine."""
        return [
            line | {"order_id": order_id, "position": position} | line_search(line)
            for position, line in enumerate(self.lines, start=1)
        ]


def merge(parsed: ParsedOrder, stored: Content | None, now: datetime, tax: TaxRule) -> Content:
    """What the order is to say once `parsed` is taken in at the moment `now`.

    `tax` is the shop's rule, for a new order whose file does not say otherwise.
    """
    known = {delivery["number"]: delivery for delivery in stored.deliveries} if stored else {}
    lines = [
        line_under(line, position, stored) | line for position, line in enumerate(parsed.lines)
    ]
    return Content(
        kind=_kind(parsed, lines, stored),
        values=(stored.values if stored else ORDER_DEFAULTS | tax.columns) | parsed.values,
        deliveries=[
            _parcel(known.get(delivery["number"], DELIVERY_DEFAULTS), delivery, now, parsed.fills)
            for delivery in parsed.deliveries
        ],
        lines=lines,
    )


def _parcel(known: Values, given: Values, now: datetime, fills: tuple[str, ...]) -> Values:
    """The delivery of a file over what is known of it; when it left is when we are told (R101).

    What was delivered, came back or was cancelled is so: an older word in a file does not undo what a person
    did here, only ステータスの変更 does (R31, R90a).
    """
    if fills and known["slip_no"]:
        given = {name: value for name, value in given.items() if name not in fills}
    parcel = known | given
    before, after = known["status"], parcel["status"]
    if before is DeliveryStatus.CANCELLED or before in _FARTHER.get(after, ()):
        parcel["status"] = before
    elif before is not after and after is DeliveryStatus.DELIVERED:
        parcel["delivered_at"] = now
    elif before is not after and after is DeliveryStatus.RETURNED:
        parcel["returned_on"] = jst_day(now)
    return parcel


#: status in a file -> the statuses it does not undo
_FARTHER = {
    **dict.fromkeys(OPEN_STATUSES, (DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED)),
    DeliveryStatus.DELIVERED: (DeliveryStatus.RETURNED,),
    DeliveryStatus.CANCELLED: (DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED),
}


def with_all_slips(content: Content, before: Content) -> Content:
    """`content` with all numbers of a parcel in several pieces, of which a file has one (複数個口).

    Another number than any of them is that of another label: then it is the only one.
    """
    known = {parcel["number"]: parcel for parcel in before.deliveries}
    parcels = [
        _slips_beside(parcel, known.get(parcel["number"], parcel)) for parcel in content.deliveries
    ]
    return replace(content, deliveries=parcels)


def _slips_beside(parcel: Values, known: Values) -> Values:
    if parcel["slip_no"] == known["slip_no"]:
        return parcel
    is_one_of_them = parcel["slip_no"] in known["more_slips"].split()
    return parcel | ({"slip_no": known["slip_no"]} if is_one_of_them else {"more_slips": ""})


def lost_parcels(before: Content, after: Content) -> list[int]:
    """配送先番号 of parcels that are out or came back and would not be there any more."""
    numbers = {parcel["number"] for parcel in after.deliveries}
    return [
        parcel["number"]
        for parcel in before.deliveries
        if parcel["number"] not in numbers
        and parcel["status"] in (DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED)
    ]


def opens_again(before: Content, after: Content) -> bool:
    """Whether an order that had left or come back as a whole would wait to be sent again (R31, R94).

    A parcel that is new does it: no file takes the status of a known one back.
    """
    was_through = before.processing_class in (ProcessingClass.DELIVERED, ProcessingClass.RETURNED)
    return was_through and after.processing_class is ProcessingClass.UNPROCESSED


def line_under(line: Values, position: int, stored: Content | None) -> Values:
    """The stored line that `line` speaks of, if it is still at its place."""
    known = stored.lines[position] if stored and position < len(stored.lines) else LINE_DEFAULTS
    is_this = line["name"] == known["name"] or is_left_of(line["name"], known["name"])
    return known if is_this else LINE_DEFAULTS


def _kind(parsed: ParsedOrder, lines: list[Values], stored: Content | None) -> OrderKind:
    """R110, R114: any preorder item makes the order one; a subscription wins over that."""
    given = parsed.claim.status if parsed.claim else None
    if parsed.values.get("subscription_id") or given in SUBSCRIPTION_STATUSES:
        return OrderKind.SUBSCRIPTION
    if stored and "subscription_id" not in parsed.values and "is_preorder" not in parsed.lines[0]:
        return stored.kind
    if any(line["is_preorder"] for line in lines):
        return OrderKind.PREORDER
    return OrderKind.NORMAL
