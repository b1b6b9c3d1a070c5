"""What was planned by a clock that was set back since is planned anew (P13, P30).

Every queue of the worker is a due time in a row.  After the clock was set back by hours nothing would
move until it has caught up.  So the worker asks now and then for due times further ahead than the
longest plan that can be made now, and for moments of the past that lie ahead of us: only a later
clock wrote them.  This is the one place that knows, so whoever plans or asks need not.

A lease gets its whole time from now: its holder may be alive, and must not be overtaken (P17).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app

from sgpshop import logs
from sgpshop.domain.look_schedule import next_look
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    Billing,
    BillingFile,
    CardTransaction,
    DailyJob,
    ImportRun,
    LoginAttempt,
    MonthlyResults,
    RecentUse,
    Setback,
)
from sgpshop.models.attempt import AttemptState
from sgpshop.models.base import Base
from sgpshop.services.payments import billing_marks, checkouts
from sgpshop.services.payments.clocks import TOLERANCE
from sgpshop.services.subscriptions.billing import files, results
from sgpshop.storage import shared_clock
from sgpshop.storage.database import writing

#: Nothing is queued for later than this: the pauses between tries end at 15 seconds.
_LONGEST_QUEUED = timedelta(seconds=60)
#: So many of a kind at once; the next time goes on with the others.
_MOST = 500


@dataclass(frozen=True)
class _Plan:
    """One row with a plan of another clock, and what takes its place."""

    model: type[Base]
    #: the row as it was read: if somebody planned it anew meanwhile, that plan counts
    was: dict[str, Any]
    becomes: dict[str, Any]


def replan() -> int:
    """Plan anew whatever another clock planned; how much that was.  Called every few seconds."""
    now = shared_clock.now()
    plans = [plan for kind in _KINDS for plan in kind(now)]
    db.session.commit()
    done = sum(_write(plans[at : at + _MOST]) for at in range(0, len(plans), _MOST))
    if done:
        logs.event("planned_anew", level=logging.WARNING, rows=done)
    return done


def _write(plans: Iterable[_Plan]) -> int:
    done = 0
    with writing() as session:
        for plan in plans:
            result = session.execute(
                sa.update(plan.model)
                .filter_by(**plan.was)
                .values(**plan.becomes)
                .execution_options(synchronize_session=False)
            )
            done += result.rowcount  # type: ignore[attr-defined]
    return done


def _attempts(now: datetime) -> Iterator[_Plan]:
    lease, schedule = shared_clock.lease_time(), current_app.config["RESOLVE_SCHEDULE"]
    late = now + TOLERANCE
    rows = db.session.execute(
        sa.select(
            Attempt.id,
            Attempt.lease,
            Attempt.state,
            Attempt.due_at,
            Attempt.uncertain_since,
            Attempt.looked_up_at,
        )
        .where(
            Attempt.is_open,
            sa.or_(
                Attempt.due_at > now + min(_LONGEST_QUEUED, lease),
                Attempt.uncertain_since > late,
                Attempt.looked_up_at > late,
            ),
        )
        .order_by(Attempt.id)
    )
    for row in rows:
        due = row.due_at
        becomes: dict[str, Any] = {}
        if row.state is AttemptState.QUEUED:
            if due and due > now + _LONGEST_QUEUED:
                becomes = {"due_at": now}
        elif row.state is AttemptState.SENDING:
            if due and due > late + lease:
                becomes = {"due_at": now + lease}
        elif _is_ahead(late, row.uncertain_since, row.looked_up_at):
            # The quiet period counts from here: what was sent was sent before (P14).
            becomes = {
                "due_at": now,
                "uncertain_since": _not_after(now, row.uncertain_since),
                "looked_up_at": _not_after(now, row.looked_up_at),
            }
        elif due and due > max(next_look(row.uncertain_since or now, late, schedule), late + lease):
            becomes = {"due_at": now}
        if becomes:
            was = {"id": row.id, "lease": row.lease, "state": row.state, "due_at": due}
            yield _Plan(Attempt, was, becomes)


def _transactions(now: datetime) -> Iterator[_Plan]:
    schedule, late = current_app.config["RESOLVE_SCHEDULE"], now + TOLERANCE
    longest = checkouts.BUYER_TIME
    row_is = CardTransaction
    rows = db.session.execute(
        sa.select(row_is.id, row_is.next_look_at, row_is.first_look_at, row_is.challenge_url)
        .where(
            row_is.next_look_at > now,
            sa.or_(row_is.next_look_at > late + longest, row_is.first_look_at > late),
        )
        .order_by(row_is.id)
    )
    for row in rows:
        first = _not_after(now, row.first_look_at)
        is_ahead = first != row.first_look_at
        planned = next_look(first or now, late, schedule)
        if is_ahead or row.next_look_at > max(planned, late + longest):
            # The buyer may still be at the bank: they have their whole time.
            due = min(row.next_look_at, now + longest) if row.challenge_url else now
            yield _Plan(
                CardTransaction,
                {"id": row.id, "next_look_at": row.next_look_at},
                {"next_look_at": due, "first_look_at": first},
            )


def _billing_files(now: datetime) -> Iterator[_Plan]:
    late = now + TOLERANCE
    said_at = sa.func.coalesce(BillingFile.answered_at, BillingFile.sent_at, BillingFile.created_at)
    is_ahead = sa.or_(said_at > late, BillingFile.due_at > late + files.LONGEST_PAUSE)
    rows = db.session.execute(
        sa.select(BillingFile.id, BillingFile.due_at).where(
            BillingFile.due_at > now + files.lease_time(), is_ahead
        )
    )
    for row in rows:
        was = {"id": row.id, "due_at": row.due_at}
        yield _Plan(BillingFile, was, {"due_at": now + files.lease_time()})
    for was in _ahead(now, BillingFile.results_due_at, BillingFile.id, BillingFile.window):
        latest = results.next_question(was["window"], now)
        if was["results_due_at"] > latest + TOLERANCE:
            yield _Plan(BillingFile, was, {"results_due_at": latest})
    for was in _ahead(now, MonthlyResults.due_at, MonthlyResults.window):
        latest = results.next_question(was["window"], now)
        if was["due_at"] > latest + TOLERANCE:
            yield _Plan(MonthlyResults, was, {"due_at": latest})


def _billings(now: datetime) -> Iterator[_Plan]:
    for was in _ahead(now, Billing.retry_at, Billing.id, Billing.postponed):
        longest = billing_marks.pause_after(was["postponed"] - 1)
        if was["retry_at"] > now + TOLERANCE + longest:
            yield _Plan(Billing, was, {"retry_at": now})


def _setbacks(now: datetime) -> Iterator[_Plan]:
    for was in _ahead(now, Setback.last_at, Setback.queue, Setback.row_id):
        yield _Plan(Setback, was, {"next_try_at": now, "last_at": now})


def _daily_jobs(now: datetime) -> Iterator[_Plan]:
    is_open = DailyJob.finished_at.is_(None)
    for was in _ahead(now, DailyJob.next_step_at, DailyJob.name, DailyJob.day, only=is_open):
        yield _Plan(DailyJob, was, {"next_step_at": now})


def _uses(now: datetime) -> Iterator[_Plan]:
    """What is counted against too many tries (S2), and whether an import is still being read."""
    for model, column in (
        (LoginAttempt, LoginAttempt.at),
        (RecentUse, RecentUse.at),
        (ImportRun, ImportRun.progress_at),
    ):
        for was in _ahead(now, column, model.id):
            yield _Plan(model, was, {column.key: now})


def _ahead(
    now: datetime, column: Any, *others: Any, only: sa.ColumnElement[bool] | None = None
) -> Iterator[dict[str, Any]]:
    """`column` and `others` of the rows whose `column` lies further ahead than clocks differ."""
    statement = sa.select(column, *others).where(column > now + TOLERANCE)
    for row in db.session.execute(statement if only is None else statement.where(only)):
        yield row._asdict()


_KINDS = (
    _attempts,
    _transactions,
    _billing_files,
    _billings,
    _setbacks,
    _daily_jobs,
    _uses,
)


def _is_ahead(late: datetime, *moments: datetime | None) -> bool:
    return any(moment is not None and moment > late for moment in moments)


def _not_after(now: datetime, moment: datetime | None) -> datetime | None:
    """`moment`, or now when it lies further ahead than clocks differ."""
    return now if _is_ahead(now + TOLERANCE, moment) else moment
