"""When money of an order was taken and given back, by Japanese day and tax rate.

It rests on rows that were written as each was learned and that nobody can alter
(orders/money_movements), so a file of a period is the same whenever it is made.  What was learned
later than the day after is in the file of the day it was learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.amounts import RateShare
from sgpshop.extensions import db
from sgpshop.models import MoneyMovement, Order
from sgpshop.services.orders.money_movements import COUNTED, MOVED

_PART = 1000


@dataclass(frozen=True)
class Movement:
    """Yen of one order taken (positive) or given back (negative) on one Japanese day."""

    day: date
    order_no: str
    #: by tax rate, none of them 0; tax included, in the sign of the movement
    shares: tuple[RateShare, ...]
    #: of a day before the period of this file, and learned too late for the file of that day
    is_late: bool = False
    #: a person said that it went back, or that this was said wrongly
    is_by_hand: bool = False
    #: it balances one that was booked for this order by mistake (money_movements.book_back)
    is_against: bool = False

    @property
    def amount(self) -> int:
        """All of it, in yen."""
        return sum(share.amount for share in self.shares)

    @property
    def is_refund(self) -> bool:
        """Whether money went back."""
        return self.amount < 0


@dataclass(frozen=True)
class Sums:
    """What a period came to, in yen, tax included; refunds and what is left of a rate are signed."""

    sales: int
    sold: int
    refunds: int
    given_back: int
    at_8: int
    at_0: int
    #: of all these, those of days before the period
    late: int
    of_before: int

    @property
    def total(self) -> int:
        """Captured less refunded: the sum of the file."""
        return self.sold + self.given_back

    @property
    def at_10(self) -> int:
        """Of the total what is taxed at 10 %."""
        return self.total - self.at_8 - self.at_0


def _are_in(first: date, last: date) -> sa.ColumnElement[bool]:
    """Condition: they are in the files from the Japanese day `first` to `last`."""
    return sa.and_(MoneyMovement.booked_on.between(first, last), MOVED != 0)


def movements(first: date, last: date) -> Iterator[Movement]:
    """Every movement of the files from the Japanese day `first` to `last`, oldest first, read in parts."""
    moved = MoneyMovement
    rows = db.session.execute(
        sa.select(
            moved.day,
            Order.order_no,
            MOVED,
            moved.at_8,
            moved.tax_8,
            moved.tax_10,
            moved.at_0,
            moved.is_by_hand,
            moved.is_refund,
        )
        .join(Order, Order.id == moved.order_id)
        .where(_are_in(first, last))
        .order_by(moved.day, Order.order_no, moved.id),
        execution_options={"yield_per": _PART},
    )
    for day, order_no, yen, at_8, tax_8, tax_10, at_0, is_by_hand, is_refund in rows:
        by_rate = (
            RateShare(8, at_8, tax_8),
            RateShare(10, yen - at_8 - at_0, tax_10),
            RateShare(0, at_0, 0),
        )
        shares = tuple(share for share in by_rate if share.amount)
        yield Movement(
            day,
            order_no,
            shares,
            is_late=day < first,
            is_by_hand=is_by_hand,
            is_against=not is_by_hand and is_refund is not (yen < 0),
        )


def sums_of(first: date, last: date) -> Sums:
    """The counts and yen of these movements, added up by the database."""
    is_refund, is_late = MoneyMovement.is_refund, MoneyMovement.day < first

    def summed(of: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(of), 0)

    row = db.session.execute(
        sa.select(
            summed(sa.case((~is_refund, COUNTED))),
            summed(sa.case((~is_refund, MOVED))),
            summed(sa.case((is_refund, COUNTED))),
            summed(sa.case((is_refund, MOVED))),
            summed(MoneyMovement.at_8),
            summed(MoneyMovement.at_0),
            sa.func.count().filter(is_late),
            summed(sa.case((is_late, MOVED))),
        ).where(_are_in(first, last))
    ).one()
    return Sums(*map(int, row))
