"""When the registration runs: by itself from the shop's day on, and by command (R102, P29).

Every step can be taken any number of times, by any number of workers, and after a kill at any point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.billing_calendar import (
    FILE_WINDOW_CLOSING,
    due_month,
    file_window_ends,
    month_of,
    next_month,
    registers_at,
    written,
)
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    Billing,
    BillingFile,
    BillingState,
    DailyJob,
    FileState,
    MonthlyResults,
    Order,
    Queue,
    utc_now,
)
from sgpshop.models.attempt import AttemptState
from sgpshop.models.base import UtcDateTime
from sgpshop.services import settings
from sgpshop.services.payments import runner
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.subscriptions.billing import cards, files, planning, preparing, results
from sgpshop.services.subscriptions.billing.selecting import JOB
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.setbacks import carefully, rests


@dataclass(frozen=True)
class RegistrationReport:
    """How a registration by command went."""

    planned: int
    registered: int
    refused: int
    postponed: int
    under_way: int


_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UtcDateTime)
#: Made once: most of what it costs is to make it.
_IS_STEP_DUE = sa.select(
    sa.or_(
        sa.exists().where(BillingFile.due_at <= _NOW),
        sa.exists().where(BillingFile.results_due_at <= _NOW),
        sa.exists().where(MonthlyResults.due_at <= _NOW),
        sa.exists().where(preparing.IS_PLANNED, ~rests(Queue.BILLING_LINE, Billing.id)),
        sa.exists().where(planning.IS_PUT_OFF, Billing.retry_at <= _NOW),
    )
)


def is_due() -> bool:
    """Whether `resume` has something to do now; a few indexed queries."""
    now = utc_now()
    found = bool(db.session.scalar(_IS_STEP_DUE, {"now": now}))
    found = found or planning.is_any_passed_over(now)
    db.session.commit()
    return found or _is_registration_due(now) or cards.is_due(now)


def resume(_id: int = 0) -> None:
    """Take every step that is due.  Raises ShopError without a usable contract."""
    now = utc_now()
    gateway = usable_gateway(ask=True)
    if _is_registration_due(now):
        billing_day = settings.load().billing_day
        month = due_month(now, billing_day)
        is_first = not db.session.scalar(sa.select(sa.exists().where(DailyJob.name == JOB)))
        is_late = now > planning.punctual_until(month, billing_day)
        # Where nothing was ever registered from here, the months before were somebody else's.
        planned = 0 if is_first and is_late else planning.plan(month)
        _registration_is_planned(month, planned, now)
    planning.plan_again(now)
    # All into one file, unless the window closes before everybody had a turn.
    if preparing.prepare(gateway) or _window_closes(now):
        files.make()
    # One file that breaks off must not hold up the others.
    for file_id in _files_due(FileState.PREPARED, utc_now()):
        carefully(Queue.BILLING_FILE, [file_id], partial(files.send, gateway, file_id))
    for file_id in _files_due(None, utc_now()):
        carefully(Queue.BILLING_FILE, [file_id], partial(files.record_lines, gateway, file_id))
    for window in _windows_due(now):
        number = window.year * 100 + window.month
        carefully(Queue.BILLING_RESULTS, [number], partial(results.fetch, gateway, window))
    cards.look(gateway)


def report(month: date) -> RegistrationReport:
    """Register the sales of `month` now and wait for the end of every call.

    Raises ShopError for a month that is not over yet (R102) or without a usable contract.
    """
    if utc_now() < registers_at(month, 1) and month >= month_of(utc_now()):
        raise ShopError(f"{written(month)} はまだ終わっていないため、売上報告できません。")
    gateway = usable_gateway(ask=True)
    planned = planning.plan(month)
    begun = _open_of(month)
    preparing.prepare(gateway, within=math.inf)
    resume()
    for attempt_id in _by_api(month):
        runner.run_operation(attempt_id)
    states = dict(
        db.session.execute(
            sa.select(Billing.state, sa.func.count())
            .where(Billing.id.in_(begun))
            .group_by(Billing.state)
        ).all()
    )
    db.session.commit()
    return RegistrationReport(
        planned=planned,
        registered=states.get(BillingState.REGISTERED, 0) + states.get(BillingState.PAID, 0),
        refused=states.get(BillingState.REFUSED, 0),
        postponed=states.get(BillingState.POSTPONED, 0),
        under_way=states.get(BillingState.PLANNED, 0),
    )


def _is_registration_due(now: datetime) -> bool:
    shop = settings.load()
    if not shop.subscription_enabled and not _is_any_waiting():
        return False
    month = due_month(now, shop.billing_day)
    job = db.session.get(DailyJob, (JOB, next_month(month)), populate_existing=True)
    db.session.commit()
    return job is None or job.finished_at is None


def _is_any_waiting() -> bool:
    """利用しない refuses new subscription orders; what was sold before is registered all the same (R87)."""
    waiting = sa.exists().where(Order.payment_status == PaymentStatus.AWAITING_BILLING)
    return bool(db.session.scalar(sa.select(waiting)))


def _registration_is_planned(month: date, planned: int, now: datetime) -> None:
    """It is done once a month; what is delivered later waits for the next (R102)."""
    with writing() as session:
        session.merge(
            DailyJob(
                name=JOB, day=next_month(month), started_at=now, finished_at=now, planned=planned
            )
        )
    logs.event("billing_planned", month=written(month), orders=planned, day=str(jst_day(now)))


def _window_closes(now: datetime) -> bool:
    ends = file_window_ends(now)
    return ends - FILE_WINDOW_CLOSING <= now < ends


def _files_due(state: FileState | None, now: datetime) -> list[int]:
    """Files to send (PREPARED), or answered ones whose lines are to be told (None)."""
    are_meant = (
        BillingFile.state == state
        if state is not None
        else BillingFile.state.in_((FileState.RECEIVED, FileState.REFUSED, FileState.IN_DOUBT))
    )
    return read_alone(
        sa.select(BillingFile.id)
        .where(are_meant, BillingFile.due_at <= now)
        .order_by(BillingFile.id)
    )


def _windows_due(now: datetime) -> list[date]:
    of_ours = sa.select(BillingFile.window).where(BillingFile.results_due_at <= now)
    of_any = sa.select(MonthlyResults.window).where(MonthlyResults.due_at <= now)
    return sorted({*read_alone(of_ours), *read_alone(of_any)})


def _open_of(month: date) -> list[int]:
    """Ids of the billings up to `month` that are not through."""
    return read_alone(
        sa.select(Billing.id).where(Billing.month <= month, Billing.state == BillingState.PLANNED)
    )


def _by_api(month: date) -> list[int]:
    return read_alone(
        sa.select(Billing.attempt_id)
        .join(Attempt, Attempt.id == Billing.attempt_id)
        .where(~Billing.by_file, Billing.month <= month, Attempt.state == AttemptState.QUEUED)
        .order_by(Billing.id)
    )
