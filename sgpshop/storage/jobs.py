"""Long work as rows: any worker does it, one at a time, under a lease; after a crash another goes on (P17, P33).

Whoever asks adds a row, and a worker is told after the commit.  The worker's claim raises the lease and
names a time; while it works it puts that time off, and says how far it is (`Claim.go_on`).  One that died
or was frozen is behind by then: the next claim begins anew, or goes on from what its kind wrote down
(imports do).  What it makes is kept in the database, so any web process can give it out.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.extensions import db
from sgpshop.models import Job, JobKind, JobPart, Queue, utc_now
from sgpshop.storage import setbacks, shared_clock, vault, waiting
from sgpshop.storage.database import read_alone, writing
from sgpshop.storage.queue import Task, Urgency, tell
from sgpshop.storage.stopping import is_stopping

#: Seconds between two signs of a claim: a write each.
_SIGN_EVERY = 1.0
_PART = 1 << 20
_KEPT = timedelta(hours=24)
#: of one kind for one person: the database holds what they make
MOST = 5
_LOOK_EVERY = 0.1


class Interrupted(Exception):
    """The work is not ours any more, or this process ends: what is done so far stands, and no more is."""


@dataclass
class Claim:
    """A job that this process works on."""

    job_id: int
    lease: int
    kind: JobKind
    token: str
    asked: dict[str, Any]
    input_sealed: str = field(repr=False)
    _next_sign: float = 0.0

    def go_on(self, done: int, total: int) -> None:
        """Tell how far it is, and keep it.  Raises Interrupted."""
        if is_stopping():
            self._write(due_at=shared_clock.now())  # another may take it at once
            raise Interrupted
        if time.monotonic() >= self._next_sign:
            self._next_sign = time.monotonic() + _SIGN_EVERY
            self._write(
                done=done, total=total, due_at=shared_clock.now() + shared_clock.lease_time()
            )

    def keep(self, file: IO[bytes]) -> None:
        """Keep what was made.  Raises Interrupted."""
        file.seek(0)
        while content := file.read(_PART):
            part = zlib.compress(content, 3)
            with writing() as session:
                self.hold(session)  # first: it may be gone
                session.add(JobPart(job_id=self.job_id, lease=self.lease, content=part))

    def input(self) -> bytes:
        """The file to work on.  Raises ShopError when our key changed meanwhile."""
        try:
            text = vault.unseal(self.input_sealed, context_of(self.token))
        except vault.SealBroken:
            raise ShopError(
                "ファイルを読み直せませんでした。もう一度ファイルを選んでください。"
            ) from None
        return zlib.decompress(base64.b64decode(text))

    def hold(self, session: Session) -> None:
        """In a write transaction: it is committed only while no other claim has begun.  Raises Interrupted.

        Until then none begins: what the next one reads is all that this one ever wrote.
        """
        self._move(session, due_at=shared_clock.now() + shared_clock.lease_time())

    def end(self, **values: Any) -> None:
        """It is over.  Raises Interrupted."""
        self._write(finished_at=utc_now(), input_sealed="", **values)

    def _write(self, **values: Any) -> None:
        with writing() as session:
            self._move(session, **values)

    def _move(self, session: Session, **values: Any) -> None:
        moved = session.execute(
            sa.update(Job)
            .where(Job.id == self.job_id, Job.lease == self.lease, Job.finished_at.is_(None))
            .values(**values)
        )
        if moved.rowcount != 1:  # type: ignore[attr-defined]
            raise Interrupted


def add(
    session: Session,
    kind: JobKind,
    token: str,
    *,
    person_id: int | None = None,
    asked: Mapping[str, Any] | None = None,
    content: bytes = b"",
    total: int = 0,
) -> None:
    """In a write transaction: ask for this work, `content` being the file to work on.

    Of a person's own only the newest MOST of a kind stay, at work or over.
    """
    packed = base64.b64encode(zlib.compress(content)).decode()
    job = Job(
        kind=kind,
        token=token,
        person_id=person_id,
        asked=dict(asked or {}),
        input_sealed=vault.seal(packed, context_of(token)) if content else "",
        total=total,
        due_at=shared_clock.now(),
    )
    session.add(job)
    session.flush()
    if person_id is not None:
        theirs = sa.select(Job.id).where(Job.kind == kind, Job.person_id == person_id)
        older = theirs.order_by(Job.id.desc()).offset(MOST)
        session.execute(sa.delete(Job).where(Job.id.in_(older.subquery().select())))
    tell(session, Task.JOB, [job.id], Urgency.SOMEBODY_WAITS)


def context_of(token: str) -> str:
    """What the file of a job is bound to."""
    return f"job:{token}"


def find(kind: JobKind, token: str, person_id: int | None = None) -> Job:
    """The job as it is now.  Raises NotFound, also for another person than asked for it."""
    query = sa.select(Job).where(Job.kind == kind, Job.token == token)
    job = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if job is None or job.person_id not in (None, person_id):
        raise NotFound("見つかりません。1日を過ぎた結果は残っていません。もう一度行ってください。")
    return job


def of_person(kind: JobKind, person_id: int) -> Sequence[Job]:
    """What this person asked for, newest first."""
    query = sa.select(Job).where(Job.kind == kind, Job.person_id == person_id)
    query = query.options(defer(Job.input_sealed)).order_by(Job.id.desc())
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def wait_for_end(kind: JobKind, token: str, seconds: float) -> None:
    """Return when it is over, or after `seconds`; at once when too many requests wait already."""
    is_over = sa.select(Job.id).where(
        Job.kind == kind, Job.token == token, Job.finished_at.is_not(None)
    )
    with waiting.for_an_answer(seconds) as seconds:
        until = time.monotonic() + seconds
        while not read_alone(is_over) and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)


def content(job: Job) -> Iterator[bytes]:
    """The file that a job made, part by part."""
    query = sa.select(JobPart.id).where(JobPart.job_id == job.id, JobPart.lease == job.lease)
    for part_id in read_alone(query.order_by(JobPart.id)):
        for part in read_alone(sa.select(JobPart.content).where(JobPart.id == part_id)):
            yield zlib.decompress(part)


def due(limit: int) -> list[int]:
    """What nobody works on, the oldest first."""
    return list(
        db.session.scalars(
            sa.select(Job.id)
            .where(is_due(shared_clock.now()), ~setbacks.rests(Queue.JOB, Job.id))
            .order_by(Job.due_at)
            .limit(limit)
        )
    )


def is_due(now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    """Condition: it is open, and whoever had it has given no sign for too long."""
    return sa.and_(Job.finished_at.is_(None), Job.due_at <= now)


def work(job_id: int, doing: Mapping[JobKind, Callable[[Claim], dict[str, Any]]]) -> None:
    """Do this work, unless somebody else does; `doing` gives what each kind does, and its result."""
    claim = _claim(job_id)
    if claim is None:
        return
    try:
        try:
            claim.end(result=doing[claim.kind](claim))
        except ShopError as problem:  # nothing broke: it is not possible, and says why
            claim.end(failed=problem.message[:300])
    except Interrupted:
        return


def _claim(job_id: int) -> Claim | None:
    with writing() as session:
        claimed = sa.update(Job).where(Job.id == job_id, is_due(shared_clock.now()))
        values = {"lease": Job.lease + 1, "due_at": shared_clock.now() + shared_clock.lease_time()}
        if session.execute(claimed.values(values)).rowcount != 1:  # type: ignore[attr-defined]
            return None
        job = session.get_one(Job, job_id, populate_existing=True)
        # What an earlier claim made is not whole.
        session.execute(sa.delete(JobPart).where(JobPart.job_id == job_id))
        return Claim(job_id, job.lease, job.kind, job.token, job.asked, job.input_sealed)


def tidy() -> None:
    """Forget what ended a day ago, and its file; what never got on after a week."""
    with writing() as session:
        is_old = sa.or_(
            Job.finished_at < utc_now() - _KEPT,
            sa.and_(Job.finished_at.is_(None), Job.created_at < utc_now() - 7 * _KEPT),
        )
        session.execute(sa.delete(Job).where(is_old))
