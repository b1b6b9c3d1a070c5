"""What a spreadsheet program did to the cells of an order we know, undone by what we know of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sgpshop.domain.spreadsheets import is_left_of
from sgpshop.services.order_files.importing.content import Content, Values, line_under
from sgpshop.services.order_files.reading.columns import COLUMNS, Part

_TITLES = {(column.part, column.field): column.title for column in COLUMNS}


def undo_damage(content: Content, before: Content) -> tuple[Content, list[str]]:
    """`content` with the values of `before` where only they can be meant, and what is to be told of it.

    Lost seconds are put back without a word: every saved file has them.
    """
    told: list[str] = []
    parcels = {parcel["number"]: parcel for parcel in before.deliveries}
    mended = replace(
        content,
        values=_undone(content.values, before.values, Part.ORDER, told),
        deliveries=[
            _undone(parcel, parcels.get(parcel["number"], {}), Part.DELIVERY, told)
            for parcel in content.deliveries
        ],
        lines=[
            _undone(line, line_under(line, n, before), Part.ITEM, told)
            for n, line in enumerate(content.lines)
        ],
    )
    return mended, told


def _undone(values: Values, known: Values, part: Part, told: list[str]) -> Values:
    damaged: dict[str, Any] = {
        name: known[name]
        for name, value in values.items()
        if name in known and value != known[name] and is_left_of(value, known[name])
    }
    told += [
        f"「{_TITLES[part, name]}」{values[name]}は、登録済みの「{value}」がExcelなどで変わったものと思われるため、"
        "登録済みのままにしました。"
        for name, value in damaged.items()
        if isinstance(value, str)
    ]
    return values | damaged if damaged else values
