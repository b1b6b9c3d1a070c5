"""When money of an order was taken and given back, by Japanese day and tax rate.

It rests on rows that were written as each was learned and that nobody can alter
(orders/money_movements), so a file of a period is the same whenever it is made.  What was learned
later than the day after is in the file of the day it was learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from sgpshop.domain.amounts import AMOUNT_COLUMNS, RateShare, break_down_order
from sgpshop.extensions import db
from sgpshop.models import MoneyMovement, Order
from sgpshop.storage.database import chunks


@dataclass(frozen=True)
class Movement:
    """Yen of one order taken (positive) or given back (negative) on one Japanese day."""

    day: date
    order_no: str
    #: by tax rate, none of them 0; tax included, in the sign of the movement
    shares: tuple[RateShare, ...]
    #: of a day before the period of this file, and learned too late for the file of that day
    is_late: bool = False

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
    found = db.session.scalars(
        sa.select(MoneyMovement)
        .where(MoneyMovement.booked_on.between(first, last))
        .order_by(MoneyMovement.id)
    ).all()
    orders = dict(_breakdowns({change.order_id for change in found}))
    result = [
        Movement(change.day, number, shares, is_late=change.day < first)
        for change in found
        for number, columns, lines in [orders[change.order_id]]
        if (shares := _shares(columns, lines, change))
    ]
    return sorted(result, key=lambda movement: (movement.day, movement.order_no))


def _breakdowns(order_ids: set[int]) -> Iterator[tuple[int, tuple[str, dict[str, Any], list[Any]]]]:
    """Number, columns of the amounts and lines of each order."""
    for some in chunks(sorted(order_ids)):
        for order in db.session.scalars(
            sa.select(Order).where(Order.id.in_(some)).options(selectinload(Order.lines))
        ):
            columns = {name: getattr(order, name) for name in AMOUNT_COLUMNS}
            yield order.id, (order.order_no, columns, order.lines)


def _shares(
    columns: Mapping[str, Any], lines: list[Any], change: MoneyMovement
) -> tuple[RateShare, ...]:
    """What the movement is of each rate: the sale as it is afterwards, less the one before.

    So all movements of an order add up to the tax of what the shop has in the end (R77b, R77c).
    """
    before, after = (
        {
            share.rate: share
            for share in (break_down_order(columns, lines, total=yen).shares if yen else ())
        }
        for yen in (change.kept_before, change.kept_after)
    )
    nothing = RateShare(0, 0, 0)
    found = []
    for rate in sorted(before.keys() | after.keys()):
        was, now = before.get(rate, nothing), after.get(rate, nothing)
        if amount := now.amount - was.amount:
            found.append(RateShare(rate, amount, now.tax - was.tax))
    return tuple(found)
