"""When money of an order was taken and given back, by Japanese day and tax rate.

It rests on the history alone, which nobody can alter (P5): every entry keeps what was taken and given
back until then, so a difference from the entry before is money that moved.  The day is that of
SMBC-GP's processing, wherever its answer or a look-up told it (P28).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from sgpshop.domain.amounts import AMOUNT_COLUMNS, RateShare, break_down_order
from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import CardTransaction, HistoryEntry, Order
from sgpshop.services.orders.history import PROCESSED_AT
from sgpshop.storage.database import chunks


@dataclass(frozen=True)
class Movement:
    """Yen of one order taken (positive) or given back (negative) on one Japanese day."""

    day: date
    order_no: str
    #: by tax rate, none of them 0; tax included, in the sign of the movement
    shares: tuple[RateShare, ...]

    @property
    def amount(self) -> int:
        """All of it, in yen."""
        return sum(share.amount for share in self.shares)

    @property
    def is_refund(self) -> bool:
        """Whether money went back."""
        return self.amount < 0


@dataclass(frozen=True)
class _Change:
    """What the shop has of an order before and after, in yen."""

    order_id: int
    day: date
    before: int
    after: int


#: Our clock may be a little ahead of SMBC-GP's: entries are looked at from so long before.
_SLACK = timedelta(days=1)
_KEPT = sa.func.coalesce(HistoryEntry.captured_amount, 0) - sa.func.coalesce(
    HistoryEntry.refunded_amount, 0
)
_TAKEN = [state.value for state in TradeState if state.is_captured]


def movements(first: date, last: date) -> list[Movement]:
    """Every movement from the Japanese day `first` to `last`, oldest first."""
    found = [
        change
        for change in (*_of_history(first), *_under_other_numbers(), *_given_back_otherwise(first))
        if first <= change.day <= last
    ]
    orders = dict(_breakdowns({change.order_id for change in found}))
    result = [
        Movement(change.day, number, shares)
        for change in found
        for number, columns, lines in [orders[change.order_id]]
        if (shares := _shares(columns, lines, change))
    ]
    return sorted(result, key=lambda movement: (movement.day, movement.order_no))


def _of_history(first: date) -> Iterator[_Change]:
    """All movements of the orders that anything happened to since `first`."""
    touched = sa.select(HistoryEntry.order_id).where(
        HistoryEntry.at >= start_of_day(first) - _SLACK
    )
    before = sa.func.lag(_KEPT).over(partition_by=HistoryEntry.order_id, order_by=HistoryEntry.id)
    entries = (
        sa.select(
            HistoryEntry.order_id,
            HistoryEntry.id,
            HistoryEntry.at,
            HistoryEntry.detail,
            _KEPT.label("after"),
            sa.func.coalesce(before, 0).label("before"),
        )
        .where(HistoryEntry.order_id.in_(touched))
        .subquery()
    )
    rows = db.session.execute(
        sa.select(entries, CardTransaction.captured_at, CardTransaction.captured_amount)
        .outerjoin(
            CardTransaction,
            sa.and_(CardTransaction.order_id == entries.c.order_id, CardTransaction.is_current),
        )
        .where(entries.c.after != entries.c.before)
        .order_by(entries.c.id)
    )
    for row in rows:
        yield _Change(row.order_id, jst_day(_moment(row)), row.before, row.after)


def _moment(row: Any) -> datetime:
    """When it was processed; entries from before that was kept are taken at their own time."""
    if told := row.detail.get(PROCESSED_AT):
        return datetime.fromisoformat(told)
    is_latest_sale = row.after > row.before and row.after == row.captured_amount
    moment: datetime = row.captured_at if is_latest_sale and row.captured_at else row.at
    return moment


def _under_other_numbers() -> Iterator[_Change]:
    """What stands taken under a number that does not count (any more): the history tells the other."""
    rows = db.session.execute(
        sa.select(
            CardTransaction.order_id, CardTransaction.captured_at, CardTransaction.captured_amount
        ).where(
            ~CardTransaction.is_current,
            CardTransaction.gateway_state.in_(_TAKEN),
            CardTransaction.captured_amount.is_not(None),
        )
    )
    for row in rows:
        yield _Change(row.order_id, jst_day(row.captured_at), 0, row.captured_amount)


def _given_back_otherwise(first: date) -> Iterator[_Change]:
    """返金済み: a sale of the monthly file that a person gave back by another way (R104)."""
    newest = (
        sa.select(HistoryEntry.order_id, sa.func.max(HistoryEntry.id).label("id"))
        .join(Order, Order.id == HistoryEntry.order_id)
        .where(Order.refunded_on >= first)
        .group_by(HistoryEntry.order_id)
        .subquery()
    )
    rows = db.session.execute(
        sa.select(Order.id, Order.refunded_on, _KEPT.label("kept"))
        .join(newest, newest.c.order_id == Order.id)
        .join(HistoryEntry, HistoryEntry.id == newest.c.id)
        .where(_KEPT > 0)
    )
    for row in rows:
        assert row.refunded_on is not None
        yield _Change(row.id, row.refunded_on, row.kept, 0)


def _breakdowns(order_ids: set[int]) -> Iterator[tuple[int, tuple[str, dict[str, Any], list[Any]]]]:
    """Number, columns of the amounts and lines of each order."""
    for some in chunks(sorted(order_ids)):
        for order in db.session.scalars(
            sa.select(Order).where(Order.id.in_(some)).options(selectinload(Order.lines))
        ):
            columns = {name: getattr(order, name) for name in AMOUNT_COLUMNS}
            yield order.id, (order.order_no, columns, order.lines)


def _shares(columns: Mapping[str, Any], lines: list[Any], change: _Change) -> tuple[RateShare, ...]:
    """What the movement is of each rate: the sale as it is afterwards, less the one before.

    So all movements of an order add up to the tax of what the shop has in the end (R77b, R77c).
    """
    before, after = (
        {
            share.rate: share
            for share in (break_down_order(columns, lines, total=yen).shares if yen else ())
        }
        for yen in (change.before, change.after)
    )
    nothing = RateShare(0, 0, 0)
    found = []
    for rate in sorted(before.keys() | after.keys()):
        was, now = before.get(rate, nothing), after.get(rate, nothing)
        if amount := now.amount - was.amount:
            found.append(RateShare(rate, amount, now.tax - was.tax))
    return tuple(found)
