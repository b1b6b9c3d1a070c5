"""What a file changes of an order, field by field, in words: for the preview and for its history (P5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from enum import Enum
from typing import Any

from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.words import Labelled
from sgpshop.services.order_files.importing.content import Content, Values
from sgpshop.services.order_files.reading.columns import COLUMNS, Part

#: of one order; a file may change hundreds of values, and nobody reads so many
_MOST = 40
_LONGEST = 100
_TITLES: dict[Part, dict[str, str]] = {
    part: {column.field: column.title for column in COLUMNS if column.part is part} for part in Part
}
#: A file has one number of a parcel in several pieces; with another one these go.
_TITLES[Part.DELIVERY]["more_slips"] = "複数個口の伝票番号"

#: label, before, after
Difference = tuple[str, str, str]


def differences(before: Content, after: Content) -> list[Difference]:
    """Every value that is another one in `after`, with its Japanese name; a part that is new or gone too."""
    found = list(_all(before, after))
    if len(found) <= _MOST:
        return found
    return [*found[:_MOST], (f"ほか{len(found) - _MOST}項目", "", "")]


def _all(before: Content, after: Content) -> Iterator[Difference]:
    yield from _changed("", before.values, after.values, _TITLES[Part.ORDER])
    parcels = {parcel["number"]: parcel for parcel in before.deliveries}
    for parcel in after.deliveries:
        number = parcel["number"]
        label = f"お届け先{number} " if len(after.deliveries) > 1 else ""
        if (known := parcels.pop(number, None)) is None:
            yield (f"お届け先{number or ''}", "", _shown(parcel["name"]))
        else:
            yield from _changed(label, known, parcel, _TITLES[Part.DELIVERY])
    for number, parcel in parcels.items():
        yield (f"お届け先{number or ''}", _shown(parcel["name"]), "")
    for place in range(max(len(before.lines), len(after.lines))):
        label = f"商品{place + 1} "
        old, new = (
            lines[place] if place < len(lines) else None for lines in (before.lines, after.lines)
        )
        if old is None or new is None:
            yield (label.strip(), _item(old), _item(new))
        else:
            yield from _changed(label, old, new, _TITLES[Part.ITEM])


def _changed(label: str, old: Values, new: Values, titles: dict[str, str]) -> Iterator[Difference]:
    for name, title in titles.items():
        if name in new and old.get(name) != new[name]:
            yield (f"{label}{title}", _shown(old.get(name)), _shown(new[name]))


def _item(line: Values | None) -> str:
    return (
        ""
        if line is None
        else f"{_shown(line['name'])} {line['unit_price']:,}円×{line['quantity']}"
    )


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "はい" if value else "いいえ"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.astimezone(JST).strftime("%Y/%m/%d %H:%M:%S")
    if isinstance(value, date):
        return value.strftime("%Y/%m/%d")
    text = (
        value.label
        if isinstance(value, Labelled)
        else str(value.value if isinstance(value, Enum) else value)
    )
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
