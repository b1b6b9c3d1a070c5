"""Whether the shop can work: what /readyz tells (T3)."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, CardTransaction, WorkerBeat
from sgpshop.services import installation
from sgpshop.services.bulk import working
from sgpshop.services.deliveries import slips
from sgpshop.services.payments import clocks
from sgpshop.storage import setbacks, shared_clock
from sgpshop.storage.database import writing_without_waiting
from sgpshop.storage.queue import messages

#: A worker that gave no sign of life for so many seconds is taken for dead.
_WORKER_SILENCE = 60
#: Work that is due for so long waits for a worker.
_OVERDUE = timedelta(seconds=3)


@dataclass(frozen=True)
class Health:
    """Figures only, no names and no secrets; ages in seconds, None where there is nothing."""

    is_database_writable: bool
    worker_beat_age: int | None = None
    uncertain: int | None = None
    oldest_uncertain_age: int | None = None
    queued: int | None = None
    #: work that broke off however often it was tried
    set_aside: int | None = None
    #: seconds our clock is ahead of SMBC-GP's or the database's; 0 within a minute
    clock_ahead: int = 0
    #: the queue does not answer: work begins some seconds later, and none is lost
    is_queue_away: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether orders can be worked on: the database takes writes and a worker is alive."""
        return (
            self.is_database_writable
            and self.worker_beat_age is not None
            and self.worker_beat_age <= _WORKER_SILENCE
            and abs(self.clock_ahead) <= clocks.STOP
        )


def check() -> Health:
    """The health of this installation now.  Waits for no lock and raises nothing."""
    is_writable = _is_database_writable()
    try:
        return _figures(is_writable)
    except SQLAlchemyError:
        db.session.rollback()
        return Health(is_database_writable=False)


@dataclass(frozen=True)
class Warnings:
    """What a bar on every page has to say; nothing when all is well."""

    #: outcomes nobody knows for longer than UNCERTAIN_LONG
    uncertain: int = 0
    #: no worker gives a sign of life
    is_worker_gone: bool = False
    #: and there is work for one
    is_worker_silent: bool = False
    #: work that broke off however often it was tried
    set_aside: int = 0
    #: a worker's signs of life lie in our future: its clock or ours is wrong
    is_worker_ahead: bool = False
    #: whose clock is wrong by how much, in a sentence
    clock: str = ""
    #: no money moves until the clock is set
    is_money_stopped: bool = False
    #: what wakes the workers does not answer
    is_queue_away: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.uncertain
            or self.is_worker_silent
            or self.is_worker_ahead
            or self.clock
            or self.set_aside
            or self.is_queue_away
        )


#: So long an outcome may be unknown before every page says so.
UNCERTAIN_LONG = timedelta(minutes=10)
_KEY, _TRIED = "sgpshop.warnings", "sgpshop.written"
_trying = threading.Lock()
#: Seconds for which a try that went well answers for everybody.
_SAME_MOMENT = 0.5
#: One reading of the database serves all pages of a process for so many seconds.
_MOMENT = 5.0


def warnings() -> Warnings:
    """What the bar says now.  Raises nothing: a page must not fail because of its bar (P32)."""
    cached = current_app.extensions.get(_KEY)
    if cached is not None and time.monotonic() - cached[0] < _MOMENT:
        found: Warnings = cached[1]
        return found
    try:
        shared_clock.read()
        found = _read_warnings(shared_clock.now())
    except SQLAlchemyError:
        db.session.rollback()
        found = Warnings()
    current_app.extensions[_KEY] = (time.monotonic(), found)
    return found


def _read_warnings(now: datetime) -> Warnings:
    long, due = db.session.execute(
        sa.select(
            sa.func.count().filter(Attempt.uncertain_since <= now - UNCERTAIN_LONG),
            sa.func.count().filter(Attempt.due_at <= now - _OVERDUE),
        ).where(Attempt.is_open)
    ).one()
    age = _age(_last_beat(now), now)
    is_gone = age is None or age > _WORKER_SILENCE
    skew = clocks.watch()
    return Warnings(
        uncertain=long,
        set_aside=setbacks.count_set_aside(),
        is_worker_gone=is_gone,
        is_worker_silent=is_gone and bool(due or _other_work_waits(now)),
        is_worker_ahead=bool(
            db.session.scalar(sa.select(sa.exists().where(WorkerBeat.at > now + clocks.TOLERANCE)))
        ),
        clock=skew.sentence if skew else "",
        is_money_stopped=skew is not None and skew.stops_money,
        is_queue_away=messages().is_missed(),
    )


def _other_work_waits(now: datetime) -> bool:
    """Whether a look-up or a run waits for a worker (attempts are counted elsewhere)."""
    look = sa.exists().where(CardTransaction.next_look_at <= now - _OVERDUE)
    return bool(db.session.scalar(sa.select(look)) or working.due(1) or slips.due(1))


def _last_beat(now: datetime) -> datetime | None:
    """The newest sign of life.  One from the future is none: its clock or ours is wrong."""
    beat: datetime | None = db.session.scalar(
        sa.select(sa.func.max(WorkerBeat.at)).where(WorkerBeat.at <= now + clocks.TOLERANCE)
    )
    return beat


def _is_database_writable() -> bool:
    """Whether a row can be written and kept just now: a full disk lets only that fail.

    Tried for all who ask at the same moment: anybody may ask, and each try is a durable write.
    """
    asked_at = time.monotonic()
    with _trying:
        tried_at, was_so = current_app.extensions.get(_TRIED, (float("-inf"), False))
        # Who waited for another's try hears what came of it; a good one is good for a moment longer.
        if tried_at >= asked_at - (_SAME_MOMENT if was_so else 0.0):
            return bool(was_so)
        is_so = _try_to_write()
        current_app.extensions[_TRIED] = time.monotonic(), is_so
        return is_so


def _try_to_write() -> bool:
    try:
        with writing_without_waiting() as connection:
            installation.touch(connection)
    except SQLAlchemyError:
        return False
    return True


def _figures(is_writable: bool) -> Health:
    skew = clocks.watch()
    now = shared_clock.now()
    is_queued = Attempt.state == AttemptState.QUEUED
    is_uncertain = sa.or_(
        Attempt.state == AttemptState.UNKNOWN,
        sa.and_(Attempt.state == AttemptState.SENDING, Attempt.due_at <= now),  # lease lost (P3)
    )
    since = sa.func.coalesce(Attempt.uncertain_since, Attempt.due_at)
    queued, uncertain, oldest = db.session.execute(
        sa.select(
            sa.func.count().filter(is_queued),
            sa.func.count().filter(is_uncertain),
            sa.func.min(since).filter(is_uncertain),
        ).where(Attempt.is_open)
    ).one()
    return Health(
        is_database_writable=is_writable,
        worker_beat_age=_age(_last_beat(now), now),
        uncertain=uncertain,
        oldest_uncertain_age=_age(oldest, now),
        queued=queued,
        set_aside=setbacks.count_set_aside(),
        clock_ahead=round(skew.seconds) if skew else 0,
        is_queue_away=messages().size() is None,
    )


def _age(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, round((now - moment).total_seconds()))
