"""Before anything is sent: one row an order and month, with its number at SMBC-GP (P6, P29).

Planning takes the order (an open attempt), so that nobody edits, cancels or takes back its delivery
while it is being registered (R31).  Run twice, in parallel or after a crash it plans the rest.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import due_month, file_window_ends, month_of, registers_at
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.errors import ShopError
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.models import (
    Billing,
    BillingState,
    Delivery,
    Operation,
    Order,
    Queue,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.orders import acting
from sgpshop.services.orders.history import WORKER, Actor
from sgpshop.services.payments import acts
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.subscriptions.billing.selecting import (
    DELIVERED_AT,
    HAS_A_NUMBER,
    IS_FREE,
    may_be_of,
    to_register,
    was_passed_over,
)
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.setbacks import OF_EVERYTHING, carefully

log = logging.getLogger(__name__)

_BATCH = 50
_PUNCTUAL = timedelta(days=1)


def plan(month: date, actor: Actor = WORKER) -> int:
    """Plan every order that is to be registered for `month`; how many there were."""
    by_file = is_by_file()
    planned, last = 0, 0
    while ids := _next_ids(month, last):
        last = ids[-1]
        planned += _plan_batch(ids, month, actor, by_file)
    return planned


def plan_again(now: datetime) -> int:
    """Plan what was put off and is due to be tried again; how many there were (R105).

    Also what the registration passed over, whatever held it up then.  A monthly file is taken until
    the window closes; after that it waits for the next registration.
    """
    by_file, due_by_now = is_by_file(), _month_due(now)
    is_over = _is_over(by_file, now)
    due = db.session.execute(
        sa.select(Billing.id, Billing.order_id, Billing.month)
        .where(IS_PUT_OFF, Billing.retry_at <= now)
        .order_by(Billing.id)
    ).all()
    db.session.commit()
    planned, at = 0, None if is_over else now + _BUSY
    for billing_id, order_id, put_off in due:
        month = max(put_off, due_by_now)  # it may have come back, and left anew, since
        if not is_over and _plan_alone(order_id, month, WORKER, by_file):
            planned += 1
            continue
        _try_later(billing_id, sa.and_(Order.id == order_id, may_be_of(month)), at)
    wanted = sa.select(Order.id).where(passed_over(now), HAS_A_NUMBER)
    free_now = [] if is_over else read_alone(wanted)
    return planned + sum(_plan_alone(one, due_by_now, WORKER, by_file) for one in free_now)


def is_any_passed_over(now: datetime) -> bool:
    """Whether `plan_again` would go on with something that the registration could not take."""
    if _is_over(is_by_file(), now):
        return False
    return bool(db.session.scalar(_any_passed_over(*due_last(now))))


@lru_cache(maxsize=2)
def _any_passed_over(month: date, punctual_until: datetime) -> sa.Select[bool]:
    """Made once a month: a worker at rest asks it twice a minute, and most of its cost is to make it."""
    return sa.select(sa.exists().where(was_passed_over(month, punctual_until), HAS_A_NUMBER))


def punctual_until(month: date, billing_day: int) -> datetime:
    """A new installation takes only a registration that begins by then (aware); `report` takes any."""
    return registers_at(month, billing_day) + _PUNCTUAL


def passed_over(now: datetime) -> sa.ColumnElement[bool]:
    """What the registration due last could not take, and nothing holds up by now but the window of
    the monthly file, or that its numbers are used up."""
    return was_passed_over(*due_last(now))


def due_last(now: datetime) -> tuple[date, datetime]:
    """The month whose registration was due last, and until when one was punctual."""
    month = _month_due(now)
    return month, punctual_until(month, settings.load().billing_day)


def _month_due(now: datetime) -> date:
    return due_month(now, settings.load().billing_day)


def _is_over(by_file: bool, now: datetime) -> bool:
    return by_file and now >= file_window_ends(now)


def is_by_file() -> bool:
    """Whether this shop registers by the monthly file."""
    return settings.load().billing_driver != BillingDriver.API


#: Put off, and not planned again yet.
IS_PUT_OFF = Billing.state == BillingState.POSTPONED
#: Something else is under way with the order: it is tried again so soon.
_BUSY = timedelta(minutes=10)


def _try_later(billing_id: int, is_still: sa.ColumnElement[bool], at: datetime | None) -> None:
    with writing() as session:
        # An open question or return holds it up, and once that is decided the sale goes on by itself.
        # What was given anew in a later month is a matter of that month's registration.
        is_wanted = session.scalar(sa.select(sa.exists().where(is_still)))
        session.execute(
            sa.update(Billing)
            .where(Billing.id == billing_id, IS_PUT_OFF)
            .values(retry_at=at if is_wanted else None)
        )


def _next_ids(month: date, after: int) -> list[int]:
    return read_alone(
        sa.select(Order.id)
        .where(Order.id > after, to_register(month), IS_FREE)
        .order_by(Order.id)
        .limit(_BATCH)
    )


def _plan_batch(ids: list[int], month: date, actor: Actor, by_file: bool) -> int:
    try:
        with writing() as session:
            return sum(_plan_one(session, one, month, actor, by_file) for one in ids)
    except OF_EVERYTHING:
        raise
    except IntegrityError:  # somebody else plans the same: one at a time, so nobody's is lost
        pass
    except Exception:  # about one of them: the others are registered all the same
        log.exception("planning the registration of some orders broke off: each on its own")
    return sum(_plan_alone(one, month, actor, by_file) for one in ids)


def _plan_alone(order_id: int, month: date, actor: Actor, by_file: bool) -> bool:
    planned = []

    def plan_it() -> None:
        with suppress(IntegrityError), writing() as session:
            if _plan_one(session, order_id, month, actor, by_file):
                planned.append(order_id)

    went_through = carefully(Queue.BILLING, [order_id], plan_it)
    return went_through and bool(planned)


def _plan_one(session: Session, order_id: int, month: date, actor: Actor, by_file: bool) -> bool:
    order = acting.lock_order(session, order_id)
    delivered_at = session.scalar(
        sa.select(DELIVERED_AT).where(Order.id == order_id, to_register(month), IS_FREE)
    )
    if delivered_at is None:  # cancelled, taken back or planned since it was read
        return False
    try:
        wanted = OperationRequest(Operation.BILL, by_file=by_file)
        due = {"due_at": None} if by_file else {}  # a file carries it, not the worker's own call
        [attempt] = acts.open(session, [order], wanted, actor, **due)
    except ShopError:
        return False
    of_month = month_of(delivered_at)
    billing = session.scalars(
        sa.select(Billing).where(Billing.order_id == order_id, Billing.month == of_month)
    ).one_or_none()
    if billing is None:
        billing = Billing(order_id=order_id, month=of_month)
        session.add(billing)
    if billing.gateway_order_id != attempt.gateway_order_id:
        billing.result = ""  # it was of the number before
    billing.gateway_order_id = attempt.gateway_order_id
    billing.amount = attempt.amount
    billing.state = BillingState.PLANNED
    billing.attempt_id = attempt.id
    billing.file_id = None
    billing.by_file = by_file
    billing.ready_at = billing.retry_at = None
    billing.planned_at = utc_now()
    _keep_day(session, order_id, delivered_at)
    session.flush()
    session.execute(  # what was put off before it came back and left anew is this sale by now
        sa.update(Billing)
        .where(Billing.order_id == order_id, Billing.id != billing.id, IS_PUT_OFF)
        .values(retry_at=None)
        .execution_options(synchronize_session=False)
    )
    return True


def _keep_day(session: Session, order_id: int, delivered_at: datetime) -> None:
    """Parcels from before their day was noted: the day they count for now stays (selecting)."""
    has_day = sa.exists().where(Delivery.order_id == order_id, Delivery.delivered_at.is_not(None))
    if session.scalar(sa.select(has_day)):
        return
    session.execute(
        sa.update(Delivery)
        .where(Delivery.order_id == order_id, Delivery.status == DeliveryStatus.DELIVERED)
        .values(delivered_at=delivered_at)
        .execution_options(synchronize_session=False)
    )
