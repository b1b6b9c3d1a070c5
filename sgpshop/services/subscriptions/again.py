"""Registering what failed again: one act for all of a month that a person leaves ticked (R105).

The orders become 決済待ち again and are registered at once where that is possible; by monthly file
after its window with the next registration.  Nothing is sent by this act itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import Event, PaymentStatus, next_status
from sgpshop.extensions import db
from sgpshop.models import Billing, BillingState, HistoryEntry, Order, utc_now
from sgpshop.services import settings
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import acting, history
from sgpshop.services.orders.history import Actor
from sgpshop.services.subscriptions import rows
from sgpshop.services.subscriptions.rows import ListedSubscription
from sgpshop.services.subscriptions.stages import (
    CAN_BE_TAKEN_AGAIN,
    IS_SUBSCRIPTION,
    LATEST_BILLING,
    in_turn,
    may_be_put_off,
)
from sgpshop.storage.among import among
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.questions import Question
from sgpshop.storage.rows import read as rows_of

#: So many orders stand on one page; the rest is there after the first were taken.
MOST = 200


@dataclass(frozen=True)
class FailedMonth:
    """What of one month of 配送完了 can be registered again."""

    month: date
    total: Total


_has_failed = sa.select(Order.id).where(
    IS_SUBSCRIPTION, Order.payment_status == PaymentStatus.CAPTURE_FAILED
)
#: By their ids: asked for by either, databases read all that was ever registered.
_MAY_BE = Order.id.in_(
    sa.union_all(*(one.correlate(None) for one in (_has_failed, *may_be_put_off())))
)
_FAILED = (
    sa.select(Billing.month, sa.func.count(), sa.func.sum(Order.total))
    .join(Order, Billing.id == LATEST_BILLING)
    .where(_MAY_BE, in_turn(CAN_BE_TAKEN_AGAIN))
    .group_by(Billing.month)
    .order_by(Billing.month.desc())
)


def failed_question() -> Question[bool]:
    """Whether there is any such month, to be asked together with others."""
    return Question(_IS_ANY_FAILED, lambda row: bool(row[0]))


_IS_ANY_FAILED = sa.select(sa.exists().where(_MAY_BE, in_turn(CAN_BE_TAKEN_AGAIN)))


def failed_months() -> list[FailedMonth]:
    """The months with something to take again, newest first; one query."""
    return [FailedMonth(month, Total(count, int(yen))) for month, count, yen in rows_of(_FAILED)]


def failed_of(month: date) -> list[ListedSubscription]:
    """The orders of that month that can be taken again, at most MOST of them."""
    ids = db.session.scalars(
        sa.select(Order.id)
        .join(Billing, Billing.id == LATEST_BILLING)
        .where(CAN_BE_TAKEN_AGAIN, Billing.month == month)
        .order_by(Order.id)
        .limit(MOST)
    ).all()
    return rows.load(ids, utc_now(), settings.load().billing_day)


def take_again(order_nos: Collection[str], token: str, actor: Actor) -> int:
    """Have these orders registered again, as far as they still can be; how many there were.

    The same form (`token`) again changes nothing (P19).
    """
    ids = read_alone(
        sa.select(Order.id).where(among(Order.order_no, list(order_nos)[:MOST])).order_by(Order.id)
    )
    taken = 0
    for order_id in ids:
        with writing() as session:  # each on its own: one that changed stops no other
            taken += _take(session, order_id, f"{token[:40]}:{order_id}", actor)
    return taken


def _take(session: Session, order_id: int, token: str, actor: Actor) -> bool:
    order = acting.lock_order(session, order_id)
    was_done = sa.exists().where(HistoryEntry.request_token == token)
    can_be = sa.exists().where(Order.id == order_id, CAN_BE_TAKEN_AGAIN)
    if session.scalar(sa.select(was_done)) or not session.scalar(sa.select(can_be)):
        return False
    now, before = utc_now(), order.payment_status
    if before is PaymentStatus.CAPTURE_FAILED:
        order.payment_status = next_status(before, Event.BILL_AGAIN)
    session.execute(
        sa.update(Billing)
        .where(
            Billing.id
            == sa.select(sa.func.max(Billing.id))
            .where(Billing.order_id == order_id)
            .scalar_subquery()
        )
        .values(state=BillingState.POSTPONED, retry_at=now, postponed=0)
        .execution_options(synchronize_session=False)
    )
    history.record_change(
        order,
        "bill_again",
        actor,
        before=before,
        request_token=token,
    )
    return True
