"""Orders of a file, a batch at a time: decided for the preview, decided and written by the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.extensions import db
from sgpshop.models import ImportIssue, ImportRun, IssueLevel, utc_now
from sgpshop.services import settings
from sgpshop.services.order_files.importing import cancelled, failed, stored, writer
from sgpshop.services.order_files.importing.decisions import OrderChange, OrderLeftOut, decide
from sgpshop.services.order_files.importing.taken import (
    ClaimedAccess,
    LostZeros,
    TakenNumbers,
    TakenRounds,
)
from sgpshop.services.order_files.reading import FileOrder, Issue
from sgpshop.services.payments import notifications, unknown_numbers
from sgpshop.storage import shared_clock
from sgpshop.storage.database import planned_anew, writing
from sgpshop.storage.jobs import Interrupted

#: Orders of one transaction.  What is asked once for all of them is a fifth of the work with 200.
SIZE = 400


@dataclass
class Decided:
    """What a batch comes to: changes of orders, and what is to be told of its lines."""

    changes: list[OrderChange] = field(default_factory=list)
    problems: list[tuple[FileOrder, Issue]] = field(default_factory=list)
    #: the orders of the batch that are here already, whatever becomes of their rows
    stored: list[tuple[FileOrder, stored.StoredOrder]] = field(default_factory=list)
    #: by number: the other order that its row may mean as well
    unclear: dict[str, str] = field(default_factory=dict)

    def issue_rows(self, run_id: str) -> list[dict[str, Any]]:
        """Rows of ImportIssue."""
        return [
            {
                "run_id": run_id,
                "line": issue.line,
                "order_no": one.order_no,
                "level": issue.level,
                "message": issue.message[:300],
            }
            for one, issue in self.problems
        ]


def look_at(batch: Sequence[FileOrder]) -> Decided:
    """What would become of `batch` now; nothing is written or kept from others."""
    try:
        return _decide(db.session(), batch, utc_now(), lock=False)
    finally:
        db.session.rollback()


def take_in(
    run_id: str,
    actor: str,
    batch: Sequence[FileOrder],
    done: int,
    hold: Callable[[Session], None] | None = None,
) -> None:
    """Write `batch` in one transaction, behind the `done` orders that the run wrote before.

    `hold` raises what ends it where another carries the run out by now (`Claim.hold`).  Raises
    Interrupted when the run is not where it was.
    """
    try:
        _try(run_id, actor, batch, done, hold)
    except IntegrityError:  # another import brought one of these numbers in meanwhile
        _try(run_id, actor, batch, done, hold)


def _try(
    run_id: str,
    actor: str,
    batch: Sequence[FileOrder],
    done: int,
    hold: Callable[[Session], None] | None,
) -> None:
    now = utc_now()
    with writing() as session:
        with planned_anew(session):
            unknown_numbers.give_way(session, [one.order_no for one in batch])
        started = sa.select(ImportRun.started_at).where(ImportRun.id == run_id)
        decided = _decide(session, batch, session.scalar(started) or now, lock=True)
        failed.heed(session, decided.stored, actor=actor, now=now)
        counts = writer.write(session, decided.changes, actor=actor, now=now)
        came_in = [one.parsed.order_no for one in decided.changes]
        unknown_numbers.settle(session, came_in)
        notifications.come_in(session, came_in)
        taken_in = {one.parsed.order_no for one in decided.changes}
        cancelled.heed(session, decided.stored, taken_in, decided.unclear)
        counts["left_out"] = len(batch) - len(decided.changes)
        sums = {name: getattr(ImportRun, name) + number for name, number in counts.items()}
        moved = session.execute(
            sa.update(ImportRun)
            .where(ImportRun.id == run_id, _orders_done() == done)
            .values(sums | {"progress_at": shared_clock.now()})
        )
        if moved.rowcount != 1:  # type: ignore[attr-defined]
            raise Interrupted
        if hold is not None:
            hold(session)
        if rows := decided.issue_rows(run_id):
            session.execute(sa.insert(ImportIssue), rows)


def _orders_done() -> sa.ColumnElement[int]:
    counts = ("added", "updated", "unchanged", "left_out")
    columns: list[sa.ColumnElement[int]] = [ImportRun.__table__.c[name] for name in counts]
    return columns[0] + columns[1] + columns[2] + columns[3]


def _decide(
    session: Session, batch: Sequence[FileOrder], said_at: datetime, *, lock: bool
) -> Decided:
    """`said_at`: when the person began it; what left had left by then, however late it is written."""
    good = {one.order_no: one.order for one in batch if one.order is not None}
    shop, now = settings.load(), utc_now()
    with planned_anew(session):
        known = stored.load(session, [one.order_no for one in batch], lock=lock)
        zeros = LostZeros(session, good.values())
        takers = [
            taker(session, good.values())
            for taker in (partial(TakenNumbers, gave_way=lock), ClaimedAccess, TakenRounds)
        ]
    decided = Decided(stored=[(one, known[one.order_no]) for one in batch if one.order_no in known])
    decided.unclear = {
        one.order_no: other
        for one, here in decided.stored
        if one.order is not None and (other := zeros.may_be(one.order, here))
    }
    decided.problems += [
        (one, Issue(one.line, words, IssueLevel.WARNING))
        for one, here in decided.stored
        if (words := cancelled.warning(one, here, decided.unclear.get(one.order_no, "")))
    ]
    for one in batch:
        if one.order is None:
            decided.problems += [(one, issue) for issue in one.issues]
            continue
        try:
            zeros.refuse(one.order, known.get(one.order_no))
            change = decide(one.order, known.get(one.order_no), shop=shop, now=now, said_at=said_at)
            if told := zeros.take(change):
                change = replace(change, warnings=(*change.warnings, told))
            for taker in takers:
                taker.take(change)
        except OrderLeftOut as reason:
            decided.problems.append((one, Issue(one.line, reason.message)))
            continue
        decided.changes.append(change)
        warnings = [Issue(one.line, words, IssueLevel.WARNING) for words in change.warnings]
        decided.problems += [(one, issue) for issue in (*one.issues, *warnings)]
    return decided
