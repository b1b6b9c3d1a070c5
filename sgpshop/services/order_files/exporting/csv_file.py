"""The CSV form, and what a CP932 file of these orders would lose (§14.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from sgpshop.domain.csv_writing import Encoding, Value, csv_file, csv_text, csv_texts, for_cp932
from sgpshop.services.order_files.exporting.columns import TITLES, Rows, rows
from sgpshop.services.order_files.exporting.reading import ExportedOrder, Source

_PLACES_TOLD = 20


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

    def look_at(self, orders: Sequence[ExportedOrder]) -> None:
        """Note what these orders lose."""
        of_all = rows(orders)
        for order in orders:
            before = self.characters
            for number, row in enumerate(islice(of_all, len(order.lines))):
                _look(self, row, is_first=number == 0)
            self.orders += self.characters > before


def as_csv(source: Source, encoding: Encoding = Encoding.UTF_8) -> Iterator[bytes]:
    """The file, a few hundred orders at a time."""
    yield from csv_file(TITLES, (), encoding)
    made = Rows(
        partial(csv_text, encoding=encoding), partial(csv_texts, encoding=encoding), _together
    )
    for orders in source():
        yield "".join(made.of(orders)).encode(encoding)


def _together(rows: Iterable[Sequence[str]], is_last: bool) -> list[str]:
    end = "\r\n" if is_last else ","
    return [text + end for text in map(",".join, rows)]


def look_for_loss(source: Source) -> Loss:
    """Which characters would become 〓 in a CP932 file of these orders."""
    loss = Loss()
    for orders in source():
        loss.look_at(orders)
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
