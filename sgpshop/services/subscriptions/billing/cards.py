"""Before the day of registration: is the card of each order that is due kept, and good until then? (R102a)

A buyer needs days to give another card, so each is looked for once a day (SearchCard), from _AHEAD
before.  Nothing is charged by it, and no answer holds up the registration, which asks for itself.
"""

from __future__ import annotations

import logging
import time
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sgpshop.domain.billing_calendar import HOUR, due_month, month_of, next_month, next_registration
from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import (
    ErrorKind,
    GatewayError,
    GatewayRejected,
    GatewayUnreachable,
    SmbcGpGateway,
    explain,
)
from sgpshop.models import DailyJob, Order, utc_now
from sgpshop.services import settings
from sgpshop.services.orders import acting, alerts
from sgpshop.services.orders.history import WORKER
from sgpshop.services.payments import stored_cards
from sgpshop.services.subscriptions.billing.selecting import IS_FREE, to_register
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.setbacks import OF_EVERYTHING
from sgpshop.storage.stopping import is_stopping

log = logging.getLogger(__name__)

#: Name of the daily job; its day is the Japanese day on which is looked.
JOB = "cards"
_AHEAD = timedelta(days=5)
_BATCH = 50
#: Seconds of one turn; the registration and the results come first in each.
_TURN = 20.0
#: SMBC-GP does not answer, or is congested: it goes on after so long.
_AGAIN = timedelta(minutes=10)
#: The member under which the card was kept is gone, and the card with it.
_NO_MEMBER = "E01390002"
_FOUND = {
    stored_cards.CardGone: "請求に使うカードが、SMBC-GPに登録されていません",
    stored_cards.OtherCard: "登録されているカードが、申し込みのときに確認したカードと違います",
    stored_cards.CardOver: "登録されているカードの有効期限が、次の登録日までに切れます",
}


def is_due(now: datetime) -> bool:
    """Whether `look` has something to do at `now`."""
    at = next_registration(now, settings.load().billing_day)
    if at - now > _AHEAD or now < start_of_day(jst_day(now)) + HOUR:
        return False
    job = _job(now)
    if job is not None:
        return job.finished_at is None and (job.next_step_at or now) <= now
    return bool(_next_ids(_month(now), 0))


def look(gateway: SmbcGpGateway) -> None:
    """Look for the next cards of today; what is found is told, and what was told before ends."""
    now = utc_now()
    if not is_due(now) or not _begin(now):
        return None
    month, good_in = _month(now), month_of(next_registration(now, settings.load().billing_day))
    job, until = _job(now), time.monotonic() + _TURN
    last = job.cursor if job else 0
    while ids := _next_ids(month, last):
        for order_id in ids:
            if time.monotonic() > until or is_stopping():
                return _went_to(now, last)
            try:
                _look_for(gateway, order_id, month, good_in)
            except GatewayUnreachable:
                return _went_to(now, last, next_step_at=utc_now() + _AGAIN)
            except GatewayError:  # it may always be so of this one, which is looked at tomorrow
                return _went_to(now, order_id, next_step_at=utc_now() + _AGAIN)
            last = order_id
        _went_to(now, last)
    return _went_to(now, last, finished_at=utc_now())


def _month(now: datetime) -> date:
    """The month whose sales are registered next."""
    return next_month(due_month(now, settings.load().billing_day))


def _next_ids(month: date, after: int) -> list[int]:
    due = _due(month).where(Order.id > after)
    return read_alone(due.order_by(Order.id).limit(_BATCH))


def _due(month: date) -> sa.Select[int]:
    """The orders whose cards are looked for, by id."""
    return sa.select(Order.id).where(to_register(month), IS_FREE)


def _job(now: datetime) -> DailyJob | None:
    job = db.session.get(DailyJob, (JOB, jst_day(now)), populate_existing=True)
    db.session.commit()
    return job


def _begin(now: datetime) -> bool:
    """Whether today's job is there; False: another worker begins it just now."""
    if _job(now) is not None:
        return True
    try:
        with writing() as session:
            old = sa.delete(DailyJob).where(DailyJob.name == JOB, DailyJob.day < jst_day(now))
            session.execute(old)
            session.add(DailyJob(name=JOB, day=jst_day(now), started_at=now))
    except IntegrityError:
        return False
    return True


def _went_to(now: datetime, last: int, **more: datetime) -> None:
    """Keep how far it is; another worker may be further."""
    of_today = (DailyJob.name == JOB, DailyJob.day == jst_day(now), DailyJob.cursor <= last)
    with writing() as session:
        session.execute(sa.update(DailyJob).where(*of_today).values(cursor=last, **more))


def _look_for(gateway: SmbcGpGateway, order_id: int, month: date, good_in: date) -> None:
    """Look for one card.  Raises GatewayError when SMBC-GP says nothing of it just now."""
    found = ""
    try:
        stored_cards.for_later(gateway, order_id, good_in=good_in)
    except stored_cards.NoCard as problem:
        found = _FOUND.get(type(problem), "")
        if not found:
            return  # カード未確認 is told already (R105)
    except GatewayRejected as refusal:
        if refusal.codes != (_NO_MEMBER,):
            # About this order, or a password: the registration says so itself, and when it goes on.
            if any(explain(code).kind is ErrorKind.RETRYABLE for code in refusal.codes):
                raise
            return
        found = _FOUND[stored_cards.CardGone]
    except (GatewayError, *OF_EVERYTHING):
        raise
    except Exception:  # a fault of ours about this order holds up no other
        log.exception("looking for the card of order %s broke off", order_id)
        return
    with writing() as session:
        order = acting.lock_order(session, order_id)
        if not found:
            alerts.mended(session, order_id, AlertKind.CARD_UNFIT, WORKER.name, utc_now())
        elif session.scalar(_due(month).where(Order.id == order_id)):  # or it ended meanwhile
            alerts.raise_once(session, order, AlertKind.CARD_UNFIT, found=found)
