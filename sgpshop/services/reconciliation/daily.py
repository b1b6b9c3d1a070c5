"""What is done once a day: backup, at night comparison with SMBC-GP and the end of buyers' data, digest
(P36, P26, S12a, R130).

How far it is stands in `daily_jobs`, so any number of workers do it once and a restart goes on
where it stopped.  The comparison only plans look-ups, a few at a time; the worker makes them like
all others, and captures go first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_rules import LIVE_STATES
from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    IN_FILE,
    Attempt,
    Billing,
    CardTransaction,
    DailyJob,
    Delivery,
    HistoryEntry,
    Order,
    Queue,
    utc_now,
)
from sgpshop.services import dashboard, settings, subscriptions
from sgpshop.services.installation import backups
from sgpshop.services.order_search import holds, sums, waits
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import alerts
from sgpshop.services.payments import clocks, transaction_lookup
from sgpshop.services.personal_data import ending
from sgpshop.storage.database import writing
from sgpshop.storage.setbacks import Step, carefully

COMPARE = alerts.COMPARE
DIGEST = "digest"
BACKUP = "backup"
#: what is kept of the orders: their sums, and when holds end
SUMS = "sums"
#: buyers' data whose time is over
ERASE = "erase"

_STEPS = {COMPARE: Step.COMPARE, SUMS: Step.SUMS, ERASE: Step.ERASE, DIGEST: Step.DIGEST}
#: JST hour of what is done at night here alone, where the comparison is off.
_NIGHT = 3
#: So many seconds' worth of look-ups are planned at once.
_STRIDE = 5.0
#: Work that was never done here before begins only this long after its hour; else the next day.
_PUNCTUAL = timedelta(hours=1)
_KEPT = timedelta(days=100)
#: A backup that broke off is tried again after so long.
_BACKUP_AGAIN = timedelta(hours=1)
_MOVING = (*sorted(CAPTURABLE), PaymentStatus.NEEDS_REVIEW)
#: Not registered for all we know, but a line of a file may be there all the same, under whatever
#: number, and be charged (R105); and where a cancel was refused for it, its result was promised.
_MAY_BE_FILED = sa.or_(
    sa.exists().where(Billing.order_id == CardTransaction.order_id),
    sa.exists().where(Attempt.order_id == CardTransaction.order_id, Attempt.reason == IN_FILE),
)


#: It went out and is not out any more, or in part: no registration asks what was paid past us meanwhile.
_WENT_OUT = sa.and_(
    Order.processing_class != ProcessingClass.DELIVERED,
    sa.or_(
        sa.exists().where(
            HistoryEntry.order_id == Order.id,
            HistoryEntry.processing_class == ProcessingClass.DELIVERED,
        ),
        sa.exists().where(Delivery.order_id == Order.id, Delivery.delivered_at.is_not(None)),
    ),
)


def run(*, share: float = 1.0) -> bool:
    """Do what is due of the day's work; whether there is more, and to be called in a few seconds.

    `share` is the part of its usual pace at which the worker goes now (E92 halves it).
    """
    now = utc_now()
    compared_at: int | None = current_app.config["NIGHTLY_COMPARE_HOUR"]
    night = _NIGHT if compared_at is None else compared_at
    digest_at = current_app.config["DAILY_DIGEST_HOUR"]
    is_more = _step(compared_at, COMPARE, now, lambda job: _compare(job, now, share))
    is_more = _step(night, SUMS, now, lambda job: _add_up(job, now)) or is_more
    is_more = _step(night, ERASE, now, lambda job: _erase(job, now)) or is_more
    return _step(digest_at, DIGEST, now, lambda job: _digest(job, now)) or is_more


def is_backup_due() -> bool:
    """Whether today's backup is to be taken now, by whoever is first to call `back_up`."""
    return _due_backup(utc_now()) is not None


def back_up() -> None:
    """Take today's backup, if nobody else does; it may take a while."""
    now = utc_now()
    job = _due_backup(now)
    if job is None:
        return
    with writing() as session:
        locked = _locked(session, job)
        if locked.finished_at is not None or locked.next_step_at != job.next_step_at:
            return  # another worker is at it
        locked.next_step_at = now + _BACKUP_AGAIN
    try:
        backups.take_daily(now)
    except ShopError as problem:  # folder, disk or pg_dump: told here and by /metrics, tried again
        logs.event("backup_failed", level=logging.ERROR, detail=problem.message)
        return
    with writing() as session:
        _locked(session, job).finished_at = utc_now()


def _step(hour: int | None, name: str, now: datetime, work: Callable[[DailyJob], None]) -> bool:
    job = _open(hour, name, now)
    if job is None:
        return False
    if (job.next_step_at or now) <= now:
        # Each on its own: where one breaks off night after night, the others are done all the same.
        carefully(Queue.HOUSEKEEPING, [_STEPS[name]], partial(work, job))
    return True


def _open(hour: int | None, name: str, now: datetime) -> DailyJob | None:
    """The job of the day whose hour came last, unless it is done; None: it is off."""
    if hour is None:
        return None
    day = _latest_day(now, hour)
    job = _job(name, day) or _begin(name, day, start_of_day(day) + timedelta(hours=hour), now)
    return None if job is None or job.finished_at is not None else job


def _due_backup(now: datetime) -> DailyJob | None:
    hour = current_app.config["BACKUP_HOUR"] if current_app.config["BACKUP_FOLDER"] else None
    job = _open(hour, BACKUP, now)
    return None if job is None or (job.next_step_at or now) > now else job


def _locked(session: Session, job: DailyJob) -> DailyJob:
    return session.get_one(
        DailyJob, (job.name, job.day), populate_existing=True, with_for_update=True
    )


def _latest_day(now: datetime, hour: int) -> date:
    """The Japanese day whose `hour` came last."""
    return jst_day(now - timedelta(hours=hour))


def _job(name: str, day: date) -> DailyJob | None:
    """The job of that day, or of a later one when the clock was set back (P30)."""
    job: DailyJob | None = db.session.scalars(
        sa.select(DailyJob)
        .where(DailyJob.name == name, DailyJob.day.between(day, day + timedelta(days=1)))
        .order_by(DailyJob.day)
        .limit(1)
        .execution_options(populate_existing=True)
    ).one_or_none()
    db.session.commit()
    return job


def _begin(name: str, day: date, due: datetime, now: datetime) -> DailyJob | None:
    """The day's job, begun by us; None if another worker was faster.

    In a new installation, of which all was just looked up, it waits for its hour.
    """
    try:
        with writing() as session:
            is_new = not session.scalar(sa.select(sa.exists().where(DailyJob.name == name)))
            job = DailyJob(name=name, day=day, started_at=now)
            if is_new and now - due > _PUNCTUAL:
                job.finished_at = now
            session.add(job)
            session.execute(
                sa.delete(DailyJob).where(DailyJob.name == name, DailyJob.day < day - _KEPT)
            )
    except IntegrityError:
        return None
    return job


def _compare(job: DailyJob, now: datetime, share: float) -> None:
    """Plan the next few look-ups, unless those planned before are still to be made (E92, P23)."""
    pace = current_app.config["NIGHTLY_PACE"] * share
    room = max(1, round(pace * _STRIDE))
    is_behind = _waiting(now) >= room
    ids = [] if is_behind else list(db.session.scalars(_candidates(job.cursor, now).limit(room)))
    with writing() as session:
        locked = _locked(session, job)
        if locked.cursor != job.cursor or locked.next_step_at != job.next_step_at:
            return  # another worker made this step
        locked.next_step_at = now + timedelta(seconds=room / pace)
        for number, transaction_id in enumerate(ids):
            session.execute(
                sa.update(CardTransaction)
                .where(CardTransaction.id == transaction_id, CardTransaction.next_look_at.is_(None))
                .values(next_look_at=now + timedelta(seconds=number / pace), first_look_at=None)
            )
        locked.planned += len(ids)
        if ids:
            locked.cursor = max(ids)
        elif not is_behind:
            locked.finished_at = now
    if locked.finished_at is not None:
        logs.event("nightly_compare_planned", day=str(job.day), orders=locked.planned)


def _waiting(now: datetime) -> int:
    return db.session.execute(
        sa.select(sa.func.count())
        .select_from(CardTransaction)
        .where(CardTransaction.next_look_at.is_not(None), CardTransaction.next_look_at <= now)
    ).scalar_one()


def _candidates(after: int, now: datetime) -> sa.Select[int]:
    """Transactions of orders that can differ, in the order of their ids (P26).

    Every number an order ever used takes part, not only the one that counts now.  Those with a
    look-up planned already and those with an operation under way are looked up anyway.
    """
    last = now - transaction_lookup.CHANGEABLE
    is_recent = sa.or_(
        CardTransaction.captured_at >= last,
        CardTransaction.authorized_at >= last,
        Order.updated_at >= last,
    )
    return (
        sa.select(CardTransaction.id)
        .join(Order, Order.id == CardTransaction.order_id)
        .where(
            CardTransaction.id > after,
            CardTransaction.next_look_at.is_(None),
            transaction_lookup.MAY_HOLD_MONEY,
            sa.or_(
                sa.and_(~CardTransaction.is_current, is_recent),
                Order.payment_status.in_(_MOVING),
                sa.and_(Order.payment_status.in_(transaction_lookup.SETTLED), is_recent),
                sa.and_(
                    Order.payment_status == PaymentStatus.AWAITING_BILLING,
                    # Reserved by the shop front, which holds the registration up.
                    sa.or_(
                        _MAY_BE_FILED,
                        CardTransaction.gateway_state.in_(sorted(LIVE_STATES)),
                        # Called off by a file: nothing is registered while nobody has answered that.
                        sa.and_(is_recent, sa.or_(_WENT_OUT, Order.is_called_off)),
                    ),
                ),
                # Under the number of its own billing: what was charged can be voided there (R120).
                sa.and_(
                    Order.payment_status == PaymentStatus.BILLING_REPORTED,
                    CardTransaction.is_charge,
                    is_recent,
                ),
            ),
            ~sa.exists().where(Attempt.order_id == Order.id, Attempt.is_open),
        )
        .order_by(CardTransaction.id)
    )


def _add_up(job: DailyJob, now: datetime) -> None:
    sums.compare()
    holds.compare()
    waits.compare()
    with writing() as session:
        _locked(session, job).finished_at = now


def _erase(job: DailyJob, now: datetime) -> None:
    """The next few orders whose buyers' data ends (S12a); two workers at it do nothing twice."""
    if clocks.is_wrong():  # what is erased never comes back: it waits until the clock is set
        return
    last = ending.erase_some(job.cursor, now)
    with writing() as session:
        locked = _locked(session, job)
        if last is None:
            locked.finished_at = now
        else:
            locked.cursor = max(last, locked.cursor)


def _digest(job: DailyJob, now: datetime) -> None:
    """One line in the log with what waits for somebody (R130)."""
    shop = settings.load()
    figures = dashboard.figures(shop)
    with writing() as session:
        locked = _locked(session, job)
        if locked.finished_at is not None:
            return
        locked.finished_at = now
    waiting: dict[str, Total] = {
        "authorized": figures.authorized,
        "deadline_soon": figures.deadline_soon,
        "deadline_expired": dashboard.expired(now),
        "capture_failed": figures.capture_failed,
        "shipped_uncaptured": figures.shipped_uncaptured,
        "review_overdue": figures.review_overdue,
        "unsent": figures.unsent,
        "returned_open": figures.returned_open,
    }
    if figures.subscriptions is not None:
        outlook = subscriptions.outlook(shop.billing_day)
        waiting |= {
            "billing_put_off": outlook.put_off,
            "billing_lacks_card": outlook.lacks_card,
            "to_refund": outlook.to_refund,
            "billing_results_overdue": Total(
                sum(file.taken - file.paid - file.not_paid for file in figures.overdue_files),
                0,
            ),
        }
    told: dict[str, Any] = {
        name: {"count": total.count, "yen": total.yen} for name, total in waiting.items()
    }
    logs.event("daily_digest", day=str(job.day), alerts_open=alerts.count_open(), **told)
