"""Work that breaks off: tried again with growing pauses, then set aside and told (P13, P15, P22).

A fault about one row of a queue must neither hold up the others nor be forgotten.  Whoever works
off a queue leaves out what rests (`rests`) and notes what breaks off (`note`, `carefully`); what
goes through is forgotten again.  All of it is rows, so a restart changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from sgpshop.domain.errors import CouldNotAsk
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    BulkItem,
    CardTransaction,
    ItemResult,
    Job,
    Order,
    Queue,
    Setback,
    SlipRow,
)
from sgpshop.models.base import UtcDateTime
from sgpshop.storage import shared_clock
from sgpshop.storage.database import writing
from sgpshop.storage.questions import Question

log = logging.getLogger(__name__)


class Step(IntEnum):
    """What the worker's house does that stands for no row: its number in Queue.HOUSEKEEPING.

    What is done every so many seconds has its place in the house for a number, below these.
    """

    NOTICES = 100
    BACKUP = 101
    MAILS = 102
    WRITE_MESSAGES = 103
    HAND_OVER = 104
    COMPARE = 105
    SUMS = 106
    ERASE = 107
    DIGEST = 108
    #: handing over to one receiver of webhooks: this and its id
    RECEIVER = 1_000


#: Seconds before the next try; after the last of them it is set aside and tried once a day.
_PAUSES = (60, 300, 900)
_SET_ASIDE = 86_400
#: What touches everything, no single row: the database is away, there is no usable contract (P32).  What
#: else is said in words for people (ShopError) is about one order, and holds up no other.
OF_EVERYTHING = (CouldNotAsk, OperationalError, InterfaceError)

#: For queues of rows that others can end too: whether there is still anything to try.
_STILL_WAITS: dict[Queue, sa.ColumnElement[bool]] = {
    Queue.ATTEMPT: sa.exists().where(Attempt.id == Setback.row_id, Attempt.is_open),
    Queue.LOOK_UP: sa.exists().where(
        CardTransaction.id == Setback.row_id, CardTransaction.next_look_at.is_not(None)
    ),
    Queue.DELIVERY: sa.exists().where(
        BulkItem.id == Setback.row_id, BulkItem.result == ItemResult.PENDING
    ),
    Queue.SLIP: sa.exists().where(SlipRow.id == Setback.row_id, SlipRow.is_due),
    Queue.BILLING: sa.or_(
        Setback.row_id == 0,
        # Correlated by name: `set_aside` has orders outside, too.
        sa.exists()
        .where(Order.id == Setback.row_id, Order.payment_status == PaymentStatus.AWAITING_BILLING)
        .correlate(Setback),
    ),
    Queue.JOB: sa.exists().where(Job.id == Setback.row_id, Job.finished_at.is_(None)),
}
_WAITS = sa.or_(
    Setback.queue.not_in(_STILL_WAITS),
    *(sa.and_(Setback.queue == queue, waits) for queue, waits in _STILL_WAITS.items()),
)
_IS_SET_ASIDE = sa.select(sa.exists().where(Setback.is_set_aside, _WAITS))


@dataclass(frozen=True)
class SetAside:
    """Something that does not go through, as it is shown."""

    queue: Queue
    #: the order it is about, if it is about one
    order_no: str | None
    since: datetime
    next_try_at: datetime
    times: int
    error: str


def rests(queue: Queue, row_id: sa.SQLColumnExpression[int]) -> sa.ColumnElement[bool]:
    """Condition: this row broke off and is not to be tried now."""
    return sa.exists().where(
        Setback.queue == queue, Setback.row_id == row_id, Setback.next_try_at > _now()
    )


def _now() -> sa.BindParameter[datetime]:
    """The moment at which a statement is carried out, so that it can be made once."""
    return sa.bindparam(None, callable_=shared_clock.now, type_=UtcDateTime, unique=True)


def is_resting(queue: Queue, row_id: int) -> bool:
    """The same for one row."""
    found = bool(db.session.scalar(sa.select(rests(queue, sa.literal(row_id)))))
    db.session.commit()
    return found


def is_last_try(queue: Queue, row_id: int) -> bool:
    """Whether this row broke off so often that it would be set aside the next time."""
    times = sa.select(Setback.times).where(Setback.queue == queue, Setback.row_id == row_id)
    found = db.session.scalar(times) or 0
    db.session.commit()
    return found >= len(_PAUSES)


def all_known() -> frozenset[tuple[Queue, int]]:
    """Whatever broke off and has not gone through since; hardly ever anything."""
    rows = db.session.execute(sa.select(Setback.queue, Setback.row_id))
    return frozenset((row.queue, row.row_id) for row in rows)


def note(queue: Queue, row_ids: Sequence[int], error: Exception) -> None:
    """`error` broke off the work on these rows; a later try is planned."""
    now = shared_clock.now()
    with writing() as session:
        for row_id in row_ids:
            setback = session.get(
                Setback, (queue, row_id), populate_existing=True, with_for_update=True
            )
            if setback is None:
                setback = Setback(queue=queue, row_id=row_id, times=0, since=now)
                session.add(setback)
            pause = _PAUSES[setback.times] if setback.times < len(_PAUSES) else _SET_ASIDE
            setback.times += 1
            setback.last_at = now
            setback.next_try_at = now + timedelta(seconds=pause)
            setback.is_set_aside = setback.times > len(_PAUSES)
            setback.error = type(error).__name__[:120]


def forget(queue: Queue, row_ids: Sequence[int]) -> None:
    """It went through after all."""
    with writing() as session:
        session.execute(
            sa.delete(Setback).where(Setback.queue == queue, Setback.row_id.in_(row_ids))
        )


def carefully(
    queue: Queue, row_ids: Sequence[int], work: Callable[[], object], *, may_rest: bool = True
) -> bool:
    """Do `work` about these rows unless they rest; whether it went through.

    Without `may_rest` the caller knows that they do not, and the database is not asked.  Raises what
    touches everything (OF_EVERYTHING); any other fault is noted and stays here.
    """
    before: Sequence[datetime] = ()
    if may_rest:
        before = db.session.scalars(
            sa.select(Setback.next_try_at).where(
                Setback.queue == queue, Setback.row_id.in_(row_ids)
            )
        ).all()
        db.session.commit()
    if before and max(before) > shared_clock.now():
        return False
    try:
        work()
    except OF_EVERYTHING:
        raise
    except Exception as error:  # about these rows: it must not hold up the others
        log.exception("%s of %s broke off", queue, row_ids)
        note(queue, row_ids, error)
        return False
    # Only where there was one: forgetting is a write, and nearly nothing ever breaks off.
    if before:
        forget(queue, row_ids)
    return True


def is_set_aside_question() -> Question[bool]:
    """Whether anything does not go through."""
    return Question(_IS_SET_ASIDE, lambda row: bool(row[0]))


def count_set_aside() -> int:
    """How many do not go through, however often they were tried."""
    return db.session.execute(
        sa.select(sa.func.count()).select_from(Setback).where(Setback.is_set_aside, _WAITS)
    ).scalar_one()


def set_aside(limit: int = 20) -> list[SetAside]:
    """What does not go through, the oldest first."""
    order_id = sa.case(
        *(
            (
                Setback.queue == queue,
                sa.select(column).where(row == Setback.row_id).correlate(Setback).scalar_subquery(),
            )
            for queue, column, row in (
                (Queue.ATTEMPT, Attempt.order_id, Attempt.id),
                (Queue.LOOK_UP, CardTransaction.order_id, CardTransaction.id),
                (Queue.DELIVERY, BulkItem.order_id, BulkItem.id),
                (Queue.SLIP, SlipRow.order_id, SlipRow.id),
                (Queue.BILLING, Order.id, Order.id),
            )
        )
    )
    rows = db.session.execute(
        sa.select(Setback, Order.order_no)
        .outerjoin(Order, Order.id == order_id)
        .where(Setback.is_set_aside, _WAITS)
        .order_by(Setback.since, Setback.queue, Setback.row_id)
        .limit(limit)
    )
    return [
        SetAside(one.queue, order_no, one.since, one.next_try_at, one.times, one.error)
        for one, order_no in rows
    ]


def try_again() -> int:
    """A person wants everything that was set aside tried now; how many there are."""
    with writing() as session:
        result = session.execute(
            sa.update(Setback)
            .where(Setback.is_set_aside)
            .values(next_try_at=shared_clock.now())
            .execution_options(synchronize_session=False)
        )
        return int(result.rowcount)  # type: ignore[attr-defined]


def tidy() -> None:
    """Forget what somebody ended otherwise."""
    gone = sa.select(Setback.queue, Setback.row_id).where(sa.not_(_WAITS))
    with writing() as session:
        for queue, row_id in session.execute(gone).all():
            session.execute(
                sa.delete(Setback).where(Setback.queue == queue, Setback.row_id == row_id)
            )
