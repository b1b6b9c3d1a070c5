"""The file of one period in one layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice

from sgpshop.domain.csv_writing import Value, csv_file
from sgpshop.services.journals.layouts import JournalLayout
from sgpshop.services.journals.movements import Movement
from sgpshop.services.settings import ShopSettings

_PART = 1000


def written(layout: JournalLayout, found: Iterable[Movement], shop: ShopSettings) -> bytes:
    """The file; accounts and tax words are those of the settings."""
    parts = _parts(layout.rows(found, layout.terms(shop)))
    return b"".join(csv_file(layout.headings, parts, layout.encoding, is_quoted=layout.is_quoted))


def _parts(rows: Iterator[Sequence[Value]]) -> Iterator[list[Sequence[Value]]]:
    while part := list(islice(rows, _PART)):
        yield part


def file_name(layout: JournalLayout, first: date, last: date) -> str:
    """Under which it is saved."""
    return f"journal-{layout.word}-{first:%Y%m%d}-{last:%Y%m%d}.csv"
