"""What an order would be after a change of its content, worked out without changing it (R76a)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sgpshop.domain.amounts import (
    AMOUNT_COLUMNS,
    MOST_IN_LINES,
    MOST_YEN,
    TAX_INCLUDED,
    TAXES,
    Breakdown,
    Line,
    break_down_order,
    calculated_of,
)
from sgpshop.domain.errors import ShopError
from sgpshop.models import Order, OrderLine
from sgpshop.services.order_files.importing.content import LINE_DEFAULTS

Values = dict[str, Any]

#: R76c
MOST_KINDS = 50
MOST_QUANTITY = 9_999


class EditRefused(ShopError):
    """A change of content that cannot be; the message says why."""


class ChoiceNeeded(EditRefused):
    """The total was typed in and the items changed: which of them is to win (R76b)?"""

    sentence = "合計金額は手入力された金額です。手入力の金額のままにするか、計算した金額にするかを選んでください。"


@dataclass(frozen=True)
class LineEdit:
    """One line as it is to be; `id` None is a new one, `quantity` 0 takes it out (R76c)."""

    id: int | None
    values: Values


@dataclass(frozen=True)
class ContentEdit:
    """What a person wants changed; whatever is not spoken of stays as it is."""

    #: columns of Order
    values: Values = field(default_factory=dict)
    lines: Sequence[LineEdit] = ()
    #: columns of Delivery, by id
    deliveries: dict[int, Values] = field(default_factory=dict)
    #: whether a total that was typed in stays; None: not answered (R76b)
    keep_total: bool | None = None
    #: a total typed together with the rest: it stands, whatever the parts come to (R63)
    total: int | None = None


@dataclass(frozen=True)
class DraftLine:
    """One line as it would be; `stored` None is a new one."""

    stored: OrderLine | None
    values: Values

    @property
    def amount(self) -> int:
        """Unit price times quantity, in yen."""
        return int(self.values["unit_price"] * self.values["quantity"])

    @property
    def tax_rate(self) -> int:
        """8 or 10 percent."""
        return int(self.values["tax_rate"])


@dataclass(frozen=True)
class Draft:
    """The order as it would be."""

    values: Values
    lines: list[DraftLine]
    deliveries: dict[int, Values]
    #: 「変更後の注文金額」: with 金額調整 where the total does not follow the calculation
    breakdown: Breakdown
    #: what the parts come to
    calculated: int
    #: None while it is not said whether a typed total stays (`must_choose`)
    total: int | None
    is_total_set: bool
    must_choose: bool


def work_out(order: Order, edit: ContentEdit) -> Draft:
    """The order as `edit` wants it, amounts recalculated.  Raises EditRefused."""
    stored = {name: getattr(order, name) for name in AMOUNT_COLUMNS}
    values = stored | edit.values
    lines = _lines(order, edit)
    taxed = _taxed_amounts(values, lines)
    if taxed != _taxed_amounts(stored, order.lines):
        # A tax set by hand was of the old amounts; only one that is typed now is of the new ones.
        values |= {name: None for name in TAXES.values() if values[name] == stored[name]}
    _check_taxes(values, stored, taxed)
    before = break_down_order(stored, order.lines)
    after = break_down_order(values, lines)
    has_own_total = order.is_total_set or order.total != before.calculated
    is_same = after.calculated == before.calculated
    is_typed = edit.total not in (None, order.total)
    must_choose = has_own_total and not is_same and not is_typed
    follows = not is_same and not (must_choose and edit.keep_total)
    total = after.calculated if follows else order.total
    if is_typed and edit.total is not None:
        follows, total = False, edit.total
        if values["tax_10"] == stored["tax_10"]:  # 金額調整 is at 10 %: it was without it (R77c)
            values["tax_10"] = None
    _check_total(order, total)
    if after.items > MOST_IN_LINES:
        raise EditRefused(f"単価×数量の合計は{MOST_IN_LINES:,}円以下にしてください。")
    return Draft(
        values=values,
        lines=lines,
        deliveries=_deliveries(order, edit),
        breakdown=break_down_order(values, lines, total=total),
        calculated=after.calculated,
        total=None if must_choose and edit.keep_total is None else total,
        is_total_set=not follows and (order.is_total_set or must_choose or is_typed),
        must_choose=must_choose,
    )


def calculated_total(order: Order) -> int:
    """What the parts of the order come to.  Raises EditRefused if it may not be charged (R76b)."""
    stored = {name: getattr(order, name) for name in AMOUNT_COLUMNS}
    total = calculated_of(stored, order.lines)
    _check_total(order, total)
    return total


def _taxed_amounts(values: Values, lines: Iterable[Line]) -> dict[int, int]:
    """What is taxed at each rate, taken as it stands: before tax is added, if it is."""
    shares = break_down_order(values | TAX_INCLUDED.columns, lines).shares
    return {share.rate: share.amount for share in shares if share.amount}


def _check_taxes(values: Values, stored: Values, taxed: dict[int, int]) -> None:
    for rate, name in TAXES.items():
        tax, most = values[name], taxed.get(rate, 0)
        if tax is not None and tax != stored[name] and tax > most:
            raise EditRefused(
                f"消費税{rate}%は、{rate}%対象の金額({most:,}円)以下で入力してください。"
                "空欄にすると自動で計算します。"
            )


def _check_total(order: Order, total: int) -> None:
    if total < 1 and order.is_sgp:
        raise EditRefused(
            "計算後の合計金額が0円になるため保存できません。"
            "0円にする場合は注文キャンセルをしてください。"
        )
    if total > MOST_YEN:
        raise EditRefused(
            f"計算後の合計金額が{total:,}円になります。{MOST_YEN:,}円(7桁)以下にしてください。"
            "SMBC-GPの上限です。"
        )


def _lines(order: Order, edit: ContentEdit) -> list[DraftLine]:
    known = {line.id: line for line in order.lines}
    wanted = {one.id: one.values for one in edit.lines if one.id is not None}
    if not wanted.keys() <= known.keys():
        raise EditRefused("この注文にない商品の行が含まれています。画面を開き直してください。")
    drafts = [
        DraftLine(line, _stored_values(line) | wanted.get(line.id, {})) for line in order.lines
    ]
    drafts += [DraftLine(None, LINE_DEFAULTS | one.values) for one in edit.lines if one.id is None]
    left = [draft for draft in drafts if draft.values["quantity"]]
    _check_lines(order, left)
    return left


def _stored_values(line: OrderLine) -> Values:
    return {name: getattr(line, name) for name in LINE_DEFAULTS}


def _check_lines(order: Order, lines: list[DraftLine]) -> None:
    if not lines:
        raise EditRefused(
            "最後の商品は削除できません。注文をやめる場合は「注文キャンセル」をしてください。"
        )
    kinds = {tuple(line.values[name] for name in ("code", "name", "option")) for line in lines}
    if len(kinds) > MOST_KINDS:
        raise EditRefused(f"商品は1つの注文に{MOST_KINDS}種類までです({len(kinds)}種類あります)。")
    parcels = {delivery.number for delivery in order.deliveries}
    for line in lines:
        number = line.values["delivery_number"]
        is_as_before = line.stored is not None and line.stored.delivery_number == number
        if number not in parcels and not is_as_before:
            raise EditRefused("この注文にないお届け先が選ばれています。画面を開き直してください。")


def _deliveries(order: Order, edit: ContentEdit) -> dict[int, Values]:
    if not edit.deliveries.keys() <= {delivery.id for delivery in order.deliveries}:
        raise EditRefused("この注文にないお届け先が含まれています。画面を開き直してください。")
    return edit.deliveries
