"""The CSV form: UTF-8 with mark, or CP932 with 〓 for what it has not; CRLF (§14.3, S18)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sgpshop.domain.csv_text import csv_guarded, for_cp932
from sgpshop.domain.payment_calendar import JST
from sgpshop.services.order_files.exporting.columns import TITLES, Value, rows
from sgpshop.services.order_files.exporting.reading import Source

_PLACES_TOLD = 20


class Encoding(StrEnum):
    """How the characters of a file are kept."""

    UTF_8 = "utf-8"
    CP932 = "cp932"

    @property
    def label(self) -> str:
        """The name people know."""
        return {Encoding.UTF_8: "UTF-8", Encoding.CP932: "Shift_JIS"}[self]


@dataclass
class Loss:
    """What CP932 cannot hold: `places` are the first ones (注文番号, column, characters)."""

    characters: int = 0
    orders: int = 0
    places: list[tuple[str, str, str]] = field(default_factory=list)
    #: there are more places than `places` tells
    is_more: bool = False

    def __bool__(self) -> bool:
        return self.characters > 0


def as_csv(source: Source, encoding: Encoding = Encoding.UTF_8) -> Iterator[bytes]:
    """The file, a few hundred orders at a time."""
    start = "\ufeff" if encoding is Encoding.UTF_8 else ""
    yield _encoded(start + _written([list(TITLES)], encoding), encoding)
    for orders in source():
        yield _encoded(_written(rows(orders), encoding), encoding)


def look_for_loss(source: Source) -> Loss:
    """Which characters would become 〓 in a CP932 file of these orders."""
    loss = Loss()
    for orders in source():
        for order in orders:
            before = loss.characters
            for number, row in enumerate(rows([order])):
                _look(loss, row, is_first=number == 0)
            loss.orders += loss.characters > before
    return loss


def _look(loss: Loss, row: list[Value], *, is_first: bool) -> None:
    for at, value in enumerate(row):
        if not isinstance(value, str) or value.isascii():
            continue
        lost = for_cp932(value)[1]
        loss.characters += len(lost)
        if lost and (is_first or not _REPEATS[at]):
            if len(loss.places) < _PLACES_TOLD:
                loss.places.append((str(row[0]), TITLES[at], lost))
            else:
                loss.is_more = True


#: columns that say on every row of an order what they said on its first
_ITEMS_BEGIN, _SINCE_BEGINS = TITLES.index("配送先番号"), TITLES.index("修正額")
_REPEATS = [not _ITEMS_BEGIN <= at < _SINCE_BEGINS for at in range(len(TITLES))]


def _written(lines: Iterator[list[Value]] | list[list[Value]], encoding: Encoding) -> str:
    out = io.StringIO(newline="")
    to_text = _for_utf8 if encoding is Encoding.UTF_8 else _for_cp932
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([to_text(value) for value in row] for row in lines)
    return out.getvalue()


def _encoded(text: str, encoding: Encoding) -> bytes:
    return text.encode(encoding.value)


def _for_utf8(value: Value) -> str | int:
    if value is None:
        return ""
    if isinstance(value, str):
        return csv_guarded(value)
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return f"{value.astimezone(JST):%Y/%m/%d %H:%M:%S}"
    return f"{value:%Y/%m/%d}"


def _for_cp932(value: Value) -> str | int:
    return _for_utf8(for_cp932(value)[0] if isinstance(value, str) else value)
