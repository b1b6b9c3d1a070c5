"""When money of an order was taken and given back, by Japanese day and tax rate.

It rests on rows that were written as each was learned and that nobody can alter
(orders/money_movements), so a file of a period is the same whenever it is made.  What was learned
later than the day after is in the file of the day it was learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from sgpshop.domain.amounts import RateShare
from sgpshop.extensions import db
from sgpshop.models import MoneyMovement, Order
from sgpshop.services.orders.money_movements import MOVED


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

    @property
    def amount(self) -> int:
        """All of it, in yen."""
        return sum(share.amount for share in self.shares)

    @property
    def is_refund(self) -> bool:
        """Whether money went back."""
        return self.amount < 0


def movements(first: date, last: date) -> list[Movement]:
    """Every movement of the files from the Japanese day `first` to `last`, oldest first."""
    rows = db.session.execute(
        sa.select(MoneyMovement, Order.order_no)
        .join(Order, Order.id == MoneyMovement.order_id)
        .where(MoneyMovement.booked_on.between(first, last), MOVED != 0)
        .order_by(MoneyMovement.day, Order.order_no, MoneyMovement.id)
    )
    return [
        Movement(
            change.day,
            number,
            _shares(change),
            is_late=change.day < first,
            is_by_hand=change.is_by_hand,
        )
        for change, number in rows
    ]


def _shares(change: MoneyMovement) -> tuple[RateShare, ...]:
    at_10 = change.kept_after - change.kept_before - change.at_8
    both = (RateShare(8, change.at_8, change.tax_8), RateShare(10, at_10, change.tax_10))
    return tuple(share for share in both if share.amount)
