"""The file of one period in one layout, and its sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sgpshop.domain.csv_writing import csv_file
from sgpshop.services.journals.layouts import JournalLayout
from sgpshop.services.journals.movements import Movement
from sgpshop.services.settings import ShopSettings


@dataclass(frozen=True)
class Sums:
    """What a period came to, in yen, tax included; refunds and what is left of a rate are signed."""

    sales: int
    sold: int
    refunds: int
    given_back: int
    at_8: int
    at_10: int
    #: of all these, those of days before the period
    late: int = 0
    of_before: int = 0

    @property
    def total(self) -> int:
        """Captured less refunded: the sum of the file."""
        return self.sold + self.given_back


def sums_of(found: Sequence[Movement]) -> Sums:
    """Counts and yen of these movements."""
    sales = [one.amount for one in found if not (one.is_refund or one.is_by_hand)]
    refunds = [one.amount for one in found if one.is_refund or one.is_by_hand]
    late = [movement.amount for movement in found if movement.is_late]
    by_rate = {
        rate: sum(share.amount for one in found for share in one.shares if share.rate == rate)
        for rate in (8, 10)
    }
    return Sums(
        len(sales),
        sum(sales),
        len(refunds),
        sum(refunds),
        by_rate[8],
        by_rate[10],
        len(late),
        sum(late),
    )


def written(layout: JournalLayout, found: Sequence[Movement], shop: ShopSettings) -> bytes:
    """The file; accounts and tax words are those of the settings."""
    rows = layout.rows(found, layout.terms(shop))
    return b"".join(csv_file(layout.headings, [rows], layout.encoding, is_quoted=layout.is_quoted))


def file_name(layout: JournalLayout, first: date, last: date) -> str:
    """Under which it is saved."""
    return f"journal-{layout.word}-{first:%Y%m%d}-{last:%Y%m%d}.csv"
