"""What the background has to do now, and whether somebody is there to do it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import Attempt, CardTransaction, Queue, WorkerBeat, utc_now
from sgpshop.models.attempt import OPEN_STATES, AttemptState
from sgpshop.services import slips
from sgpshop.services.bulk import working
from sgpshop.services.payments import clocks
from sgpshop.storage import setbacks
from sgpshop.storage.database import writing
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
    #: what broke off before: to be forgotten once it goes through
    set_back: frozenset[tuple[Queue, int]]

    def __bool__(self) -> bool:
        return any(
            (self.captures, self.lost, self.uncertain, self.links, self.deliveries, self.slips)
        )


def due_work(limit: int) -> DueWork:
    """At most `limit` of each kind that is due now and does not rest; a few indexed queries."""
    now = utc_now()
    due: dict[AttemptState, list[int]] = {state: [] for state in OPEN_STATES}
    rows = db.session.execute(
        sa.select(Attempt.id, Attempt.state)
        .where(
            Attempt.due_at <= now,
            Attempt.is_open,
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
        set_back=set_back,
    )


def beat(worker: str) -> None:
    """Say that this worker process is alive (T3); signs older than a day are swept away."""
    host = worker.rpartition("-")[0]
    with writing() as session:
        now = utc_now()
        # From before this machine's clock was set back: they would count as another's wrong clock.
        session.execute(
            sa.delete(WorkerBeat).where(
                WorkerBeat.at > now + clocks.TOLERANCE,
                WorkerBeat.worker.startswith(f"{host}-", autoescape=True),
            )
        )
        session.merge(WorkerBeat(worker=worker, at=now))
        session.execute(sa.delete(WorkerBeat).where(WorkerBeat.at < now - timedelta(days=1)))
