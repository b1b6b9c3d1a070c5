"""Writing down once, as it is learned, what was taken and given back: the shop's books (R146).

Day and yen of a row never change: later look-ups change what is known of a transaction, not what was
said of the day before.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from sgpshop.domain.payment_calendar import jst_day
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import CardTransaction, MoneyMovement, Order, table_of, utc_now

#: What is learned by the end of the day after is of its own day: answers and the night's comparison.
GRACE = timedelta(days=1)
#: What moved so long before its order came here stands in books that were kept elsewhere.
ELSEWHERE = timedelta(days=31)
_WENT_BACK = MoneyMovement.kept_before - MoneyMovement.kept_after
_INSERT = sa.insert(table_of(MoneyMovement))


def kept(state: str | None, captured: int | None) -> int:
    """Yen that SMBC-GP took under a number and did not give back."""
    return 0 if TradeState.of(state or "").is_cancelled else captured or 0


def kept_of(transaction_id: int) -> int:
    """The same of a transaction, as our books know it."""
    row = db.session.execute(
        sa.select(CardTransaction.gateway_state, CardTransaction.captured_amount).where(
            CardTransaction.id == transaction_id
        )
    ).one()
    return kept(row.gateway_state, row.captured_amount)


def given_by_hand(transaction_id: int) -> int:
    """Yen of it that a person recorded as given back by another way (返金済み)."""
    return int(
        db.session.execute(
            sa.select(sa.func.coalesce(sa.func.sum(_WENT_BACK), 0)).where(
                MoneyMovement.transaction_id == transaction_id, MoneyMovement.is_by_hand
            )
        ).scalar_one()
    )


def last_by_hand(transaction_id: int) -> int:
    """Yen of the newest such record; it may have been none."""
    return (
        db.session.scalar(
            sa.select(_WENT_BACK)
            .where(MoneyMovement.transaction_id == transaction_id, MoneyMovement.is_by_hand)
            .order_by(MoneyMovement.id.desc())
            .limit(1)
        )
        or 0
    )


def refunded_of(order_ids: Collection[int]) -> dict[int, int]:
    """Yen that went back of what was taken, by order; one with none is missing."""
    rows = db.session.execute(
        sa.select(MoneyMovement.order_id, sa.func.sum(_WENT_BACK))
        .where(
            MoneyMovement.order_id.in_(order_ids),
            sa.or_(_WENT_BACK > 0, MoneyMovement.is_by_hand),
        )
        .group_by(MoneyMovement.order_id)
    )
    return {order_id: int(yen) for order_id, yen in rows}


def left_of(order: Order) -> int:
    """Yen that the shop still has of the sale that counts: no more can go back."""
    there = order.transaction
    if there is None:
        return 0
    return max(0, kept(there.gateway_state, there.captured_amount) - given_by_hand(there.id))


def book(order_id: int, transaction_id: int, before: int, after: int, at: datetime) -> None:
    """SMBC-GP had `before` yen of this number and has `after` since `at`; within a write transaction.

    What a person gave back already is booked already, whatever SMBC-GP does about it later.
    """
    if before == after:
        return
    given = given_by_hand(transaction_id)
    left_before, left_after = max(0, before - given), max(0, after - given)
    if left_before != left_after:
        day = jst_day(at)
        late = day if _is_from_before(order_id, day) else None
        _add(order_id, transaction_id, left_before, left_after, day, booked_on=late)


def _is_from_before(order_id: int, day: date) -> bool:
    """Whether the order was brought here long after that day, as all are when a shop begins."""
    if day > jst_day(utc_now() - ELSEWHERE):
        return False
    came_in = db.session.scalar(sa.select(Order.created_at).where(Order.id == order_id))
    return came_in is not None and day <= jst_day(came_in - ELSEWHERE)


def book_by_hand(order: Order, yen: int, day: date) -> None:
    """A person gave `yen` back on that day, or none; fewer than none: the record before was wrong."""
    there = order.transaction
    assert there is not None
    left = left_of(order)
    _add(order.id, there.id, left, left - yen, day, is_by_hand=True)


def _add(
    order_id: int,
    transaction_id: int,
    before: int,
    after: int,
    day: date,
    *,
    booked_on: date | None = None,
    is_by_hand: bool = False,
) -> None:
    now = utc_now()
    db.session.connection().execute(
        _INSERT,
        {
            "order_id": order_id,
            "transaction_id": transaction_id,
            "day": day,
            "booked_on": booked_on or max(day, jst_day(now - GRACE)),
            "kept_before": before,
            "kept_after": after,
            "learned_at": now,
            "is_by_hand": is_by_hand,
        },
    )
