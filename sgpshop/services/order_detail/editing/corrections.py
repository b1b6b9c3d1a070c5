"""What a change of content changed, in words for the history: label, before, after (P5, P20)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

from sgpshop.domain.amounts import FEES, REDUCTIONS, TAXES
from sgpshop.domain.carriers import CARRIERS
from sgpshop.models import Order
from sgpshop.services.order_detail.editing.draft import Draft, DraftLine, Values
from sgpshop.services.order_files.reading.columns import COLUMNS, Part

_MOST, _LONGEST = 40, 80
_TITLES = {(column.part, column.field): column.title for column in COLUMNS}
_YEN = frozenset({*FEES, *REDUCTIONS, "unit_price"})
_NOTHING = "なし"


class Correction(NamedTuple):
    """One changed field."""

    label: str
    before: str
    after: str


def yen(amount: int) -> str:
    """1,000円 for 1000."""
    return f"{amount:,}円"


def corrections(order: Order, draft: Draft) -> list[Correction]:
    """What differs between the order and what it would be; the total comes first."""
    found: list[Correction] = []
    if draft.total is not None and draft.total != order.total:
        found.append(Correction("合計金額", yen(order.total), yen(draft.total)))
    found += _of_lines(order, draft.lines)
    found += _of_fields(Part.ORDER, order, draft.values)
    by_id = {delivery.id: delivery for delivery in order.deliveries}
    for delivery_id, values in draft.deliveries.items():
        delivery = by_id[delivery_id]
        prefix = f"お届け先{delivery.number} " if len(by_id) > 1 else ""
        found += _of_fields(Part.DELIVERY, delivery, values, prefix)
    return found


def bounded(found: Iterable[Correction]) -> list[list[str]]:
    """`found` as the history keeps it: not more, and not longer, than a person reads."""
    listed = [[_short(text) for text in one] for one in found]
    if len(listed) > _MOST:
        rest = len(listed) - _MOST
        return [*listed[:_MOST], ["ほか", "", f"{rest}項目"]]
    return listed


def _of_lines(order: Order, drafts: Iterable[DraftLine]) -> list[Correction]:
    found: list[Correction] = []
    by_id = {draft.stored.id: draft for draft in drafts if draft.stored is not None}
    for line in order.lines:
        draft = by_id.get(line.id)
        if draft is None:
            words = _line(line.name, line.quantity, line.unit_price)
            found.append(Correction("商品の削除", words, ""))
        else:
            found += _of_fields(Part.ITEM, line, draft.values, f"{_short(line.name, 24)} ")
    for draft in drafts:
        if draft.stored is None:
            values = draft.values
            words = _line(values["name"], values["quantity"], values["unit_price"])
            found.append(Correction("商品の追加", "", words))
    return found


def _line(name: str, quantity: int, unit_price: int) -> str:
    return f"{_short(name, 40)} {yen(unit_price)}×{quantity:,}"


def _of_fields(part: Part, stored: Any, values: Values, prefix: str = "") -> list[Correction]:
    return [
        Correction(
            prefix + _TITLES.get((part, name), "お届け先"),
            _words(name, getattr(stored, name)),
            _words(name, value),
        )
        for name, value in values.items()
        if value != getattr(stored, name)
    ]


def _words(name: str, value: Any) -> str:
    if name in TAXES.values():
        return "自動計算" if value is None else yen(value)
    if name in _YEN:
        return yen(value)
    if name == "tax_rate":
        return f"{value}%"
    if name == "carrier_code":
        return CARRIERS.get(value, _NOTHING)
    if isinstance(value, date):
        return f"{value:%Y/%m/%d}"
    return " ".join(str(value).split()) if value not in (None, "") else _NOTHING


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
