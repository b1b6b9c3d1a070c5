"""One input of 注文内容修正: what it shows, what was typed, what that means (R76).

What a column may hold is what an order file may say of it (services.order_file.columns).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup
from wtforms.fields import Label
from wtforms.widgets import TextInput, html_params

from sgpshop.domain.amounts import FEES, REDUCTIONS, TAXES
from sgpshop.domain.personal_data import BUYER
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.order_detail.editing import MOST_QUANTITY
from sgpshop.services.order_files.reading import cells
from sgpshop.services.order_files.reading.columns import COLUMNS, FileColumn, Part

AMOUNTS = (*FEES, *REDUCTIONS)
TAX_FIELDS = tuple(TAXES.values())
OF_ORDER = (*AMOUNTS, *TAX_FIELDS, *BUYER, "note")
OF_LINE = ("name", "code", "option", "unit_price", "quantity", "tax_rate", "delivery_number")
OF_DELIVERY = (
    "name",
    "postal_code",
    "prefecture",
    "address",
    "tel",
    "wish_date",
    "wish_time",
    "carrier_code",
    "slip_no",
)
#: names two parts of an order have in common
DELIVERY_INPUTS = {
    name: f"delivery_{name}" for name in ("name", "postal_code", "prefecture", "address", "tel")
}

_COLUMNS = {(column.part, column.field): column for column in COLUMNS} | {
    (Part.ITEM, "quantity"): FileColumn(
        Part.ITEM, "quantity", "数量", cells.whole(0, MOST_QUANTITY), required=True
    ),
    (Part.ITEM, "tax_rate"): FileColumn(
        Part.ITEM, "tax_rate", "税率", cells.tax_rate, required=True
    ),
    (Part.ITEM, "delivery_number"): FileColumn(
        Part.ITEM, "delivery_number", "お届け先", cells.whole(0, 999), required=True
    ),
    # Files bring what other programs took; a person can be asked.
    (Part.ORDER, "buyer_tel"): FileColumn(Part.ORDER, "buyer_tel", "電話番号", cells.typed_tel),
    (Part.DELIVERY, "tel"): FileColumn(Part.DELIVERY, "tel", "お届け先電話", cells.typed_tel),
}


#: A browser drops the first line break, so that a text may begin with one.
_TEXT_AREA = Markup("<textarea {}>\n{}</textarea>")
_SELECT = Markup("<select {}>{}</select>")
_OPTION = Markup('<option value="{}"{}>{}</option>')


@dataclass
class EditField:
    """One input: its text, the value behind it, and what is wrong with it.

    To templates it is a field of WTForms, so that one macro shows both.
    """

    column: FileColumn
    name: str
    id: str
    #: what `shown_as` calls it
    key: str
    text: str
    value: Any
    error: str = ""
    #: what is stored, as text; None in a new row
    stored: str | None = None

    @property
    def label(self) -> Label:
        """The Japanese term."""
        return Label(self.id, self.column.title)

    @property
    def errors(self) -> list[str]:
        """`error`, if there is one."""
        return [self.error] if self.error else []

    def __call__(
        self,
        *,
        type: str = "text",
        rows: int = 0,
        options: Sequence[tuple[str, str]] = (),
        **attributes: Any,
    ) -> Markup:
        """The input, as WTForms fields give theirs: of one line, of several `rows`, or of `options`.

        A value that is none of the options stays as it is.
        """
        if not (rows or options):
            shown = TextInput()(self, type=type, **attributes)
            return Markup(shown)  # noqa: S704 - the widget escapes
        size = {"rows": rows} if rows else {}
        about = html_params(id=self.id, name=self.name, **size, **attributes)
        escaped = Markup(about)  # noqa: S704 - html_params escapes
        return _TEXT_AREA.format(escaped, self.text) if rows else self._select(options, escaped)

    def _value(self) -> str:
        return self.text

    def _select(self, options: Sequence[tuple[str, str]], about: Markup) -> Markup:
        if self.text not in dict(options):
            options = [(self.text, self.text or "—"), *options]
        parts = Markup("").join(
            _OPTION.format(value, Markup(" selected") if value == self.text else "", words)
            for value, words in options
        )
        return _SELECT.format(about, parts)

    @property
    def missing(self) -> str:
        """What is wrong when it is empty."""
        return f"「{self.column.title}」を入力してください。" if self.column.required else ""

    @property
    def is_changed(self) -> bool:
        """Whether it says something else than what is stored."""
        return self.stored is not None and self.text != self.stored


def put(one: EditField, text: str, before: Mapping[str, str]) -> bool:
    """Put a sent text into an input and read what it means; whether it is not as it was shown."""
    text = text.replace("\r\n", "\n")
    is_typed = before.get(one.key) != digest_of(text)
    if text == one.stored or (one.stored is not None and not is_typed):
        return is_typed
    one.text = text
    plain = text.strip()
    if not plain:
        one.value = one.column.empty
        one.error = one.missing
        return is_typed
    try:
        one.value = one.column.parse(plain)
    except cells.CellProblem as problem:
        one.error = f"「{one.column.title}」{problem}"
    return is_typed


def digest_of(text: str) -> str:
    """A short digest of a text as it is shown."""
    return hashlib.blake2s(text.encode(errors="replace"), digest_size=4).hexdigest()


def read_digests(text: str) -> dict[str, str]:
    """What `shown_as` says, by key; nothing sensible for what is not ours."""
    pairs = (one.partition("=") for one in text.split(" "))
    return {key: digest for key, _, digest in pairs}


def delivery_fields(delivery: Delivery, index: int) -> dict[str, EditField]:
    """The inputs of a parcel."""
    return {
        name: _field(
            Part.DELIVERY,
            name,
            delivery,
            id_=f"delivery-{index}-{name}",
            key=f"d{delivery.id}.{name}",
            input_name=DELIVERY_INPUTS.get(name, name),
        )
        for name in OF_DELIVERY
    }


def _field(
    part: Part, name: str, stored: Any, *, id_: str = "", key: str = "", input_name: str = ""
) -> EditField:
    value = getattr(stored, name)
    text = _text(value)
    column = _COLUMNS[part, name]
    return EditField(column, input_name or name, id_ or name, key or name, text, value, stored=text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return str(value).replace("\r\n", "\n")


def new_line_fields(index: int, line_id: str, parcel_number: int) -> dict[str, EditField]:
    """Empty inputs for an item; `line_id` is that of one that was deleted, or empty."""
    values = {"tax_rate": 10, "delivery_number": parcel_number}
    found = {}
    for name in OF_LINE:
        column = _COLUMNS[Part.ITEM, name]
        value = values.get(name, column.empty)
        key = f"l{line_id}.{name}"
        found[name] = EditField(column, name, f"line-{index}-{name}", key, _text(value), value)
    return found


def line_fields(line: OrderLine, index: int) -> dict[str, EditField]:
    """The inputs of an item."""
    return {
        name: _field(Part.ITEM, name, line, id_=f"line-{index}-{name}", key=f"l{line.id}.{name}")
        for name in OF_LINE
    }


def order_fields(order: Order) -> dict[str, EditField]:
    """The inputs of the order itself."""
    return {name: _field(Part.ORDER, name, order) for name in OF_ORDER}
