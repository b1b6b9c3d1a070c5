"""One run per order file: begun once by its token, carried out in batches, watched meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sgpshop.domain.csv_reading import FileRefused, Limits
from sgpshop.domain.csv_writing import csv_file
from sgpshop.domain.errors import FormUsed, NotFound
from sgpshop.extensions import db
from sgpshop.models import ImportIssue, ImportRun, IssueLevel, utc_now
from sgpshop.services import settings
from sgpshop.services.order_files.importing import stored, writer
from sgpshop.services.order_files.importing.decisions import OrderChange, OrderLeftOut, decide
from sgpshop.services.order_files.importing.taken import ClaimedAccess, TakenNumbers, TakenRounds
from sgpshop.services.order_files.reading import (
    FileOrder,
    Issue,
    ParsedOrder,
    Survey,
    read_orders,
    survey,
)
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.database import writing

_BATCH = 200
#: A run that wrote nothing for so long is not running any more.
_SILENT = timedelta(seconds=30)


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class ImportProgress:
    """A run as it is to be shown."""

    run: ImportRun
    state: RunState
    #: orders of the file dealt with so far
    done: int
    #: transactions of the whole shop that wait for their first look-up
    awaiting_look_up: int


def new_run_id() -> str:
    """A random id: the one-time token of an upload form (P19)."""
    return secrets.token_hex(16)


def begin(
    run_id: str, actor: str, files: Sequence[BinaryIO], limits: Limits
) -> tuple[ImportRun, Survey | None]:
    """Look the files through and open the run, once per `run_id`; they are what one import needs.

    The survey is to be given to `carry_out`; None: nothing to do, because this form was sent
    before or the file was refused (`refused` of the run says why).  Raises FormUsed for another file
    under the `run_id` of an earlier one.
    """
    content_hash = _hash(files)
    if db.session.get(ImportRun, run_id) is not None:
        return _earlier(run_id, content_hash), None
    run = ImportRun(id=run_id, actor=actor, content_hash=content_hash, started_at=utc_now())
    found = None
    try:
        found = survey(files, limits)
        run.rows, run.orders, run.layout = found.rows, found.orders, found.layout.id
    except FileRefused as refusal:
        run.refused, run.finished_at = refusal.message[:300], utc_now()
    try:
        with writing() as session:
            session.add(run)
    except IntegrityError:  # the other click of a double click was first
        return _earlier(run_id, content_hash), None
    return run, found


def _hash(files: Sequence[BinaryIO]) -> str:
    """SHA-256 of the files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        file.seek(0)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _earlier(run_id: str, content_hash: str) -> ImportRun:
    run = find(run_id)
    if run.content_hash not in ("", content_hash):
        raise FormUsed
    return run


def carry_out(
    run_id: str,
    files: Sequence[BinaryIO],
    limits: Limits,
    found: Survey,
    on_progress: Callable[[ImportRun], None] | None = None,
) -> None:
    """Take in the orders of a run that `begin` opened; `on_progress` hears of every batch."""
    run = find(run_id)
    orders = read_orders(files, limits, found, settings.load().known_methods)
    while batch := list(itertools.islice(orders, _BATCH)):
        _write_batch(run, batch)
        if on_progress is not None:
            on_progress(find(run_id))
    with writing() as session:
        session.execute(_of(run_id).values(finished_at=utc_now(), progress_at=utc_now()))


def find(run_id: str) -> ImportRun:
    """The run as it is now.  Raises NotFound."""
    run = db.session.get(ImportRun, run_id, populate_existing=True)
    if run is None:
        raise NotFound("この取込は見つかりません。")
    return run


def recent(limit: int = 20) -> Sequence[ImportRun]:
    """The newest runs, newest first."""
    return db.session.scalars(
        sa.select(ImportRun).order_by(ImportRun.created_at.desc()).limit(limit)
    ).all()


def progress(run_id: str) -> ImportProgress:
    """How the run stands.  Raises NotFound."""
    run = find(run_id)
    return ImportProgress(
        run,
        state_of(run),
        run.added + run.updated + run.unchanged + run.left_out,
        transaction_lookup.pending(),
    )


def state_of(run: ImportRun) -> RunState:
    """Running, finished, refused, or interrupted (silent without an end)."""
    if run.refused:
        return RunState.REFUSED
    if run.finished_at is not None:
        return RunState.FINISHED
    is_silent = utc_now() - run.progress_at > _SILENT
    return RunState.INTERRUPTED if is_silent else RunState.RUNNING


def issues(
    run_id: str, level: IssueLevel | None = None, limit: int | None = None
) -> list[ImportIssue]:
    """Problems of a run by line; the first `limit` of them."""
    query = sa.select(ImportIssue).where(ImportIssue.run_id == run_id)
    if level is not None:
        query = query.where(ImportIssue.level == level)
    return list(db.session.scalars(query.order_by(ImportIssue.line, ImportIssue.id).limit(limit)))


def problems_csv(run_id: str) -> bytes:
    """All problems of a run, to be worked off line by line."""
    rows = (
        (issue.line, issue.order_no, issue.level.label, issue.message) for issue in issues(run_id)
    )
    return b"".join(csv_file(("行", "注文番号", "区分", "内容"), [rows]))


def _write_batch(run: ImportRun, batch: Sequence[FileOrder]) -> None:
    try:
        _try_batch(run, batch)
    except IntegrityError:  # another import brought one of these numbers in meanwhile
        _try_batch(run, batch)


def _try_batch(run: ImportRun, batch: Sequence[FileOrder]) -> None:
    good = [one for one in batch if one.order is not None]
    shop, now = settings.load(), utc_now()
    with writing() as session:
        known = stored.load(session, [one.order_no for one in good])
        problems = [(one, issue) for one in batch if one.order is None for issue in one.issues]
        changes: list[OrderChange] = []
        rounds = TakenRounds(session, (one.order for one in good if one.order))
        access = ClaimedAccess(session, (one.order for one in good if one.order))
        numbers = TakenNumbers(session, (one.order for one in good if one.order))
        for one in good:
            order: ParsedOrder = one.order  # type: ignore[assignment]  # filtered above
            try:
                change = decide(order, known.get(one.order_no), shop=shop, now=now)
                numbers.take(change)
                access.take(change)
                rounds.take(change)
            except OrderLeftOut as reason:
                problems.append((one, Issue(one.line, reason.message)))
            else:
                changes.append(change)
                problems += [(one, warning) for warning in one.issues]
                problems += [
                    (one, Issue(one.line, words, IssueLevel.WARNING)) for words in change.warnings
                ]
        counts = writer.write(session, changes, actor=run.actor, now=now)
        counts["left_out"] = len(batch) - len(changes)
        session.execute(_of(run.id).values(_sums(counts) | {"progress_at": now}))
        if problems:
            session.execute(
                sa.insert(ImportIssue),
                [
                    {
                        "run_id": run.id,
                        "line": issue.line,
                        "order_no": one.order_no,
                        "level": issue.level,
                        "message": issue.message[:300],
                    }
                    for one, issue in problems
                ],
            )


def _sums(counts: Counter[str]) -> dict[str, sa.ColumnElement[int]]:
    return {name: getattr(ImportRun, name) + number for name, number in counts.items()}


def _of(run_id: str) -> sa.Update:
    return sa.update(ImportRun).where(ImportRun.id == run_id)
