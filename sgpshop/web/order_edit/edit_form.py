"""The form of 注文内容修正: what it shows, what was typed, what it means, a word for each mistake.

Names of inputs repeat per item and per parcel (`quantity`, `delivery_name`, …), so the n-th value
of each belongs to the n-th `line_id` or `delivery_id`.  `shown_as` carries a digest of every field
as it was shown: one that was left so, or is not sent at all, says what is stored now, even if
somebody changed that meanwhile; only what was typed can overwrite it (P20).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from sgpshop.domain.errors import ShopError
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.order_detail.editing import ContentEdit, LineEdit
from sgpshop.web.order_edit.edit_fields import (
    DELIVERY_INPUTS,
    OF_DELIVERY,
    OF_LINE,
    EditField,
    delivery_fields,
    digest_of,
    line_fields,
    new_line_fields,
    order_fields,
    put,
    read_digests,
)

#: rows with nothing in these are not items
_SAYS_SOMETHING = ("name", "code", "option", "unit_price", "quantity")
_MOST_ROWS = 500
_ID = re.compile(r"[0-9]{1,15}", re.ASCII)


class FormInvalid(ShopError):
    """Fields that cannot be used, each with its reason beside it."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"入力内容を確認してください({number}か所)。何も保存していません。"
            "入力した内容はそのまま残しています。"
        )


class FormBroken(ShopError):
    """A form that is not one of ours."""

    sentence = "送信内容を確認できませんでした。画面を開き直して、もう一度操作してください。"


@dataclass
class ItemInputs:
    """The inputs of one item; `line` None is a new one."""

    #: `line_id`; empty for a new item
    id: str
    line: OrderLine | None
    fields: dict[str, EditField]
    is_deleted: bool = False
    #: somebody deleted this item while it was open here; saved once more, it is a new one
    was_gone: bool = False
    #: something in it is not as it was shown
    is_typed: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether it is a new row in which nothing was typed."""
        return not self.id and not any(self.fields[name].text for name in _SAYS_SOMETHING)

    def check(self) -> None:
        """Miss what must be there, unless nothing at all was typed."""
        for one in self.fields.values():
            if self.is_blank:
                one.error = ""
            elif not one.text.strip():
                one.error = one.missing


@dataclass
class ParcelInputs:
    """The inputs of one delivery."""

    delivery: Delivery
    fields: dict[str, EditField]


@dataclass
class ContentForm:
    """The content of an order as inputs."""

    fields: dict[str, EditField]
    rows: list[ItemInputs]
    parcels: list[ParcelInputs]
    total_choice: str = ""
    _ids: list[str] = field(default_factory=list)

    def edit(self) -> ContentEdit:
        """What the person wants.  Raises FormInvalid or FormBroken."""
        wrong = sum(bool(one.error) for one in self._all_fields())
        if wrong:
            raise FormInvalid(wrong)
        if any(self._ids.count(one) > 1 for one in set(self._ids)):
            raise FormBroken
        return ContentEdit(
            values=_values(self.fields),
            lines=[_line_edit(row) for row in self.rows if not row.is_blank],
            deliveries={parcel.delivery.id: _values(parcel.fields) for parcel in self.parcels},
            keep_total={"keep": True, "calculate": False}.get(self.total_choice),
        )

    @property
    def first_error(self) -> str:
        """The id of the first input that cannot be used; "" when all can."""
        return next((one.id for one in self._all_fields() if one.error), "")

    @property
    def is_changed(self) -> bool:
        """Whether something typed is not stored yet."""
        return any(one.is_changed for one in self._all_fields()) or any(
            row.is_deleted or (row.line is None and not row.is_blank) for row in self.rows
        )

    @property
    def shown_as(self) -> str:
        """Digests of what is stored, to tell later what was typed."""
        parts = [self.fields]
        parts += [row.fields for row in self.rows]
        parts += [parcel.fields for parcel in self.parcels]
        return " ".join(
            f"{one.key}={digest_of(one.stored)}"
            for part in parts
            for one in part.values()
            if one.stored is not None
        )

    def take_in_gone_rows(self) -> None:
        """Make items that somebody deleted meanwhile new ones, if something was typed there."""
        for row in self.rows:
            if row.id and row.line is None:
                self._ids.remove(row.id)
                row.id, row.was_gone = "", True
        self.rows = [row for row in self.rows if row.is_typed or not row.was_gone]

    def add_row(self, order: Order) -> None:
        """One more empty item at the end."""
        self.rows.append(_row(order, len(self.rows), None))

    def _all_fields(self) -> Iterator[EditField]:
        for row in self.rows:
            if not row.is_blank and not row.is_deleted:
                yield from row.fields.values()
        yield from self.fields.values()
        for parcel in self.parcels:
            yield from parcel.fields.values()


def shown(order: Order) -> ContentForm:
    """The form as it is opened: what is stored, and an empty row to add an item."""
    form = ContentForm(
        fields=order_fields(order),
        rows=[_row(order, index, line) for index, line in enumerate(order.lines)],
        parcels=[
            ParcelInputs(delivery, delivery_fields(delivery, index))
            for index, delivery in enumerate(order.deliveries)
        ],
    )
    form.add_row(order)
    return form


def typed(order: Order, posted: MultiDict[str, str]) -> ContentForm:
    """The form as it was sent; items that it does not speak of follow as they are stored.

    Raises FormBroken when it is not one of ours.
    """
    form = shown(order)
    before = read_digests(posted.get("shown_as", ""))
    for name, one in form.fields.items():
        if name in posted:
            put(one, posted[name], before)
    form.total_choice = posted.get("total_choice", "")
    _type_lines(form, order, posted, before)
    _type_deliveries(form, posted, before)
    return form


def _type_lines(
    form: ContentForm, order: Order, posted: MultiDict[str, str], before: Mapping[str, str]
) -> None:
    ids = posted.getlist("line_id")
    if len(ids) > _MOST_ROWS or not all(_ID.fullmatch(one) for one in ids if one):
        raise FormBroken
    if not ids:
        return
    known = {str(line.id): line for line in order.lines}
    form.rows = [_row(order, index, known.get(one), one) for index, one in enumerate(ids)]
    for name in OF_LINE:
        for row, text in zip(form.rows, _column(posted, name, len(ids)), strict=False):
            row.is_typed |= put(row.fields[name], text, before)
    deleted = set(posted.getlist("delete"))
    for index, row in enumerate(form.rows):
        row.is_deleted = str(index) in deleted
        row.check()
    form.rows += [
        _row(order, len(form.rows) + n, line)
        for n, line in enumerate(line for line in order.lines if str(line.id) not in set(ids))
    ]
    form._ids = [one for one in ids if one]


def _type_deliveries(
    form: ContentForm, posted: MultiDict[str, str], before: Mapping[str, str]
) -> None:
    ids = posted.getlist("delivery_id")
    by_id = {str(parcel.delivery.id): parcel for parcel in form.parcels}
    if len(ids) > _MOST_ROWS or len(set(ids)) < len(ids):
        raise FormBroken
    for name in OF_DELIVERY:
        texts = _column(posted, DELIVERY_INPUTS.get(name, name), len(ids))
        for one, text in zip(ids, texts, strict=False):
            if one in by_id:  # one that an import replaced meanwhile is not there any more
                put(by_id[one].fields[name], text, before)


def _column(posted: MultiDict[str, str], name: str, number: int) -> list[str]:
    """The values of one name for all rows; none at all means: not spoken of."""
    texts = posted.getlist(name)
    if texts and len(texts) != number:
        raise FormBroken
    return texts


def _row(order: Order, index: int, line: OrderLine | None, line_id: str = "") -> ItemInputs:
    """The row of an item; without a line a new one, or one that somebody deleted."""
    if line is not None:
        return ItemInputs(str(line.id), line, line_fields(line, index))
    first = order.deliveries[0].number if order.deliveries else 0
    return ItemInputs(line_id, None, new_line_fields(index, line_id, first))


def _values(fields: dict[str, EditField]) -> dict[str, Any]:
    return {name: one.value for name, one in fields.items()}


def _line_edit(row: ItemInputs) -> LineEdit:
    values = _values(row.fields)
    if row.is_deleted:
        values = {"quantity": 0}
    return LineEdit(int(row.id) if row.id else None, values)
