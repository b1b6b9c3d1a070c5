"""What a layout of a journal file is, and what all of them say of a movement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice

from sgpshop.domain.amounts import RATES
from sgpshop.domain.csv_writing import Encoding, Value, csv_file
from sgpshop.services.journals.movements import Movement
from sgpshop.services.settings import ShopSettings

#: rows that are written together
_PART = 1000


@dataclass(frozen=True)
class Terms:
    """The names under which the shop keeps its books: they must be those registered there."""

    receivable: str
    sales: str
    partner: str
    out_of_scope: str
    #: words of the program for a sale, by tax rate
    tax: dict[int, str]


@dataclass(frozen=True, kw_only=True)
class JournalLayout:
    """One program's file."""

    #: of commands, addresses and names of settings
    word: str
    label: str
    #: where it is read in, in that program
    where: str
    #: None: the program wants no heading row
    headings: tuple[str, ...] | None
    encoding: Encoding
    rows: Callable[[Iterable[Movement], Terms], Iterator[Sequence[Value]]]
    is_quoted: bool = False

    def terms(self, shop: ShopSettings) -> Terms:
        """The shop's names for this program."""
        return Terms(
            receivable=shop.journal_receivable,
            sales=shop.journal_sales,
            partner=shop.journal_partner,
            out_of_scope=shop.journal_out_of_scope,
            tax={rate: getattr(shop, f"journal_{self.word}_tax_{rate}") for rate in RATES},
        )

    def written(self, found: Iterable[Movement], shop: ShopSettings) -> bytes:
        """The file of these; accounts and tax words are those of the settings."""
        parts = _parts(self.rows(found, self.terms(shop)))
        return b"".join(csv_file(self.headings, parts, self.encoding, is_quoted=self.is_quoted))

    def file_name(self, first: date, last: date) -> str:
        """Under which the file of that period is saved."""
        return f"journal-{self.word}-{first:%Y%m%d}-{last:%Y%m%d}.csv"


def _parts(rows: Iterator[Sequence[Value]]) -> Iterator[list[Sequence[Value]]]:
    while part := list(islice(rows, _PART)):
        yield part


def summary(movement: Movement) -> str:
    """摘要: the order, that money went back, or was booked by mistake, and that it is of days before."""
    what = "記帳の取消" if movement.is_against else "返金" * movement.is_refund
    words = [f"注文 {movement.order_no}", what]
    words += ["前回の期間にさかのぼる分"] * movement.is_late
    return " ".join(filter(None, words))


def row(width: int, cells: dict[int, Value]) -> list[Value]:
    """A row of so many columns with these cells, counted from 1; the others are empty."""
    return [cells.get(place) for place in range(1, width + 1)]
