"""What the background has to do now, and whether somebody is there to do it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    BulkRun,
    CardTransaction,
    Notification,
    NotificationState,
    OrderTextDue,
    Queue,
    SlipRow,
    WorkerBeat,
)
from sgpshop.models.attempt import OPEN_STATES, AttemptState
from sgpshop.models.base import UtcDateTime
from sgpshop.services.bulk import working
from sgpshop.services.deliveries import slips
from sgpshop.services.outgoing import webhooks
from sgpshop.services.payments import clocks
from sgpshop.storage import jobs, setbacks, shared_clock
from sgpshop.storage.database import ANEW, writing
from sgpshop.storage.setbacks import rests


@dataclass(frozen=True)
class DueWork:
    """Ids in the order they should be worked on; amounts of work are capped by the caller."""

    captures: list[int]
    lost: list[int]
    uncertain: list[int]
    links: list[int]
    #: lines that bulk runs of 配送完了 begin with
    deliveries: list[int]
    #: rows that runs of slip files go on with
    slips: list[int]
    #: files to be taken in, written or compared
    jobs: list[int]
    #: what broke off before: to be forgotten once it goes through
    set_back: frozenset[tuple[Queue, int]]
    #: of some kind there were as many as were asked for
    is_more: bool

    def __bool__(self) -> bool:
        found = (self.captures, self.lost, self.uncertain, self.links)
        return any((*found, self.deliveries, self.slips, self.jobs))


#: Never tried: whoever wrote it told a worker of it.
_IS_FRESH = sa.and_(Attempt.state == AttemptState.QUEUED, Attempt.tries == 0)


@dataclass(frozen=True)
class AnyDue:
    """What a worker at rest asks again and again."""

    #: `due_work` or a notification may have something to do
    work: bool
    #: orders changed, and the search does not know it yet
    texts: bool
    #: others are to be told by webhooks: of what comes, or of what waits
    others: bool


_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UtcDateTime)
#: Made once: most of what it costs is to make it.
_ANY_DUE = sa.select(
    sa.or_(
        sa.exists().where(Attempt.due_at <= _NOW, Attempt.is_open),
        sa.exists().where(CardTransaction.next_look_at <= _NOW),
        sa.exists().where(BulkRun.is_work_due),
        sa.exists().where(SlipRow.is_due),
        sa.exists().where(jobs.is_due(_NOW)),
        sa.exists().where(Notification.state == NotificationState.WAITING),
    ),
    sa.exists(sa.select(OrderTextDue.id)),
    webhooks.IS_ANYBODY_TO_TELL,
    # By a plan made for any time PostgreSQL would look through all transactions for one that is due.
).prefix_with(ANEW)


def any_due() -> AnyDue:
    """Whether there is anything to do now; one statement."""
    found = db.session.execute(_ANY_DUE, {"now": shared_clock.now()}).one()
    db.session.commit()
    return AnyDue(*map(bool, found))


def due_work(limit: int, *, with_fresh: bool = True) -> DueWork:
    """At most `limit` of each kind that is due now and does not rest; a few indexed queries.

    Without `with_fresh` nothing that was never tried: while many messages wait, these are they.
    """
    now = shared_clock.now()
    due: dict[AttemptState, list[int]] = {state: [] for state in OPEN_STATES}
    kinds = [sa.not_(_IS_FRESH), _IS_FRESH] if with_fresh else [sa.not_(_IS_FRESH)]
    for kind in kinds:
        rows = db.session.execute(
            sa.select(Attempt.id, Attempt.state)
            .where(
                Attempt.due_at <= now,
                Attempt.is_open,
                kind,
                ~rests(Queue.ATTEMPT, Attempt.id),
            )
            .order_by(Attempt.due_at, Attempt.id)
            .limit(limit)
        )
        for row in rows:
            due[row.state].append(row.id)
    links = db.session.scalars(
        sa.select(CardTransaction.id)
        .where(
            CardTransaction.next_look_at.is_not(None),
            CardTransaction.next_look_at <= now,
            ~rests(Queue.LOOK_UP, CardTransaction.id),
        )
        .order_by(CardTransaction.next_look_at)
        .limit(limit)
    ).all()
    deliveries = working.due(limit)
    rows_of_slips = slips.due(limit)
    set_back = setbacks.all_known()
    db.session.commit()
    return DueWork(
        captures=due[AttemptState.QUEUED],
        lost=due[AttemptState.SENDING],
        uncertain=due[AttemptState.UNKNOWN],
        links=list(links),
        deliveries=deliveries,
        slips=rows_of_slips,
        jobs=jobs.due(limit),
        set_back=set_back,
        is_more=limit
        <= max(*map(len, due.values()), len(links), len(deliveries), len(rows_of_slips)),
    )


def end(worker: str) -> None:
    """This worker process has ended: nobody need wait whether it gives another sign."""
    with writing() as session:
        session.execute(sa.delete(WorkerBeat).where(WorkerBeat.worker == worker))


def beat(worker: str) -> None:
    """Say that this worker process is alive (T3), by the clock that others compare it with."""
    shared_clock.read()
    with writing() as session:
        now = shared_clock.now()
        is_known = session.execute(
            sa.update(WorkerBeat).where(WorkerBeat.worker == worker).values(at=now)
        ).rowcount  # type: ignore[attr-defined]
        if not is_known:
            session.add(WorkerBeat(worker=worker, at=now))


def forget_beats(worker: str) -> None:
    """Sweep away signs older than a day, and those that cannot be."""
    host = worker.rpartition("-")[0]
    with writing() as session:
        now = shared_clock.now()
        # From before this machine's clock was set back: they would count as another's wrong clock.
        session.execute(
            sa.delete(WorkerBeat).where(
                WorkerBeat.at > now + clocks.TOLERANCE,
                WorkerBeat.worker.startswith(f"{host}-", autoescape=True),
            )
        )
        session.execute(sa.delete(WorkerBeat).where(WorkerBeat.at < now - timedelta(days=1)))
