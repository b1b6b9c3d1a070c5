"""One run per import: shown first or begun at once, carried out in batches, watched meanwhile.

A screen prepares a run (its files are kept), shows the preview and starts it; a command begins one
from files it has.  A started run is the worker's; where one broke off it goes on from where it was.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, BinaryIO

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.csv_writing import csv_file
from sgpshop.domain.errors import FormUsed, NotFound, ShopError
from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.extensions import db
from sgpshop.models import ImportFile, ImportIssue, ImportRun, IssueLevel, JobKind, Queue, utc_now
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.files import layout as layouts
from sgpshop.services.order_files.importing import batches, kept, mappings, preview
from sgpshop.services.order_files.reading import (
    FileOrder,
    Survey,
    UnknownLayout,
    read_orders,
    survey,
)
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage import jobs, setbacks, shared_clock
from sgpshop.storage.database import writing
from sgpshop.storage.jobs import Claim, Interrupted
from sgpshop.storage.setbacks import OF_EVERYTHING
from sgpshop.storage.vault import SealBroken

log = logging.getLogger(__name__)

#: A run that wrote nothing for so long is not running any more.
_SILENT = timedelta(seconds=30)
#: Lines of a file that we make, read at once.
_PART = 1000
_NOT_FOUND = (
    "この取込は見つかりません。取り込む前の確認は、新しい5件までが1日だけ残ります。"
    "もう一度ファイルを選んでください。"
)


class RunState(StrEnum):
    """How a run stands."""

    #: its preview is shown; nothing of it is in
    PREPARED = "prepared"
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
    #: the worker goes on with it, should it have stopped
    goes_on: bool
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
    run = ImportRun(id=run_id, actor=actor, content_hash=_hash(files), started_at=utc_now())
    return _open(run, files, limits, kept_as=())


def prepare(run_id: str, actor: str, contents: Sequence[bytes], limits: Limits) -> ImportRun:
    """Open a run that is shown before anything of it goes in, once per `run_id`.

    A file that cannot be read is refused as by `begin`.  Raises FormUsed.
    """
    files = [io.BytesIO(content) for content in contents]
    run = ImportRun(id=run_id, actor=actor, content_hash=_hash(files))
    run, found = _open(run, files, limits, kept_as=contents)
    if found is not None:
        preview.make(run_id, files, limits, found, find(run_id).mapping)
    return find(run_id)


def look_again(run_id: str) -> None:
    """Make the preview anew: something that decides about it was answered.  Raises NotFound."""
    files, limits, run = kept.files(run_id), Limits.of_screen(current_app.config), find(run_id)
    mapping = run.mapping
    if files and run.started_at is None:
        preview.make(run_id, files, limits, survey(files, limits, mapping), mapping)


def map_columns(
    run_id: str, chosen: Mapping[int, str], actor: str, *, is_to_be_remembered: bool
) -> None:
    """Read a file of no known program as a person says: our field by the number of the column.

    Raises NotFound, ShopError for a choice that cannot be, FileRefused.
    """
    run = visible(run_id, actor)
    columns = (run.preview or {}).get("columns")
    if columns is None or run.started_at is not None:
        raise ShopError("このファイルの列は、もう選ばれています。画面を開き直してください。")
    headings = [heading for heading, _values in columns]
    mapping = mappings.checked(headings, chosen)
    files, limits = kept.files(run_id), Limits.of_screen(current_app.config)
    if not files:  # newer ones took its place at this moment
        raise NotFound(_NOT_FOUND)
    preview.make(run_id, files, limits, survey(files, limits, mapping), mapping)
    if is_to_be_remembered:
        mappings.remember(headings, mapping, actor)


def answer_method(run_id: str, name: str, actor: str, *, is_sgp: bool) -> None:
    """Keep in the settings whether `name` is our card payment, and make the preview anew.

    Only a name that the preview asks about is taken.  Raises NotFound, ShopError.
    """
    asked = (visible(run_id, actor).preview or {}).get("unknown", {})
    if name not in asked:
        raise ShopError(
            "この決済方法は、このファイルでは確認していません。画面を開き直してください。"
        )
    shop, where = settings.load(), "sgp_methods" if is_sgp else "other_methods"
    known = getattr(shop, where)
    settings.save(actor, **{where: "\n".join(filter(None, (known, name)))})
    look_again(run_id)


def program_of(run: ImportRun) -> str:
    """Which program the file of a run is from, in words; "" when nobody knows."""
    known = layouts.layouts(layouts.Purpose.ORDERS)
    return next((layout.program for layout in known if layout.id == run.layout), "")


def start(run_id: str, actor: str, seen: str) -> bool:
    """Accept a prepared run as its preview showed it, by `fingerprint`; whether this call did.

    Raises NotFound; ShopError when somebody answered meanwhile, and another preview is to be seen (P20).
    """
    visible(run_id, actor)
    with writing() as session:
        run = session.get_one(ImportRun, run_id, populate_existing=True, with_for_update=True)
        if run.started_at is not None or run.refused or not run.orders:
            return False
        if seen != preview.fingerprint(run):
            raise ShopError(
                "画面を開いたあとに、確認の内容が変わりました。"
                "まだ何も取り込んでいません。画面を開き直して、もう一度確認してください。"
            )
        run.started_at, run.progress_at = utc_now(), shared_clock.now()
        run.preview = {"methods": preview.methods_of(run).as_json()}
        session.execute(sa.delete(ImportIssue).where(ImportIssue.run_id == run_id))
        jobs.add(session, JobKind.IMPORT, run_id)
        _record(session, run)
    return True


def work(claim: Claim) -> dict[str, Any]:
    """Carry a started run out from the files that were kept, from where it is.

    Raises Interrupted, ShopError when the files cannot be read any more.
    """
    run_id, limits = claim.token, Limits.of_screen(current_app.config)
    try:
        files = kept.files(run_id)
        if files:
            run = find(run_id)
            mapping, done, orders = run.mapping, _done(run), run.orders
            claim.go_on(done, orders)
            db.session.commit()
            found = survey(files, limits, mapping, lambda: claim.go_on(done, orders))
            carry_out(run_id, files, limits, found, claim=claim)
    except (SealBroken, FileRefused) as problem:  # our key or the limits changed
        with writing() as session:
            kept.forget(session, run_id)
        raise ShopError("ファイルを読み直せませんでした。") from problem  # the person has it
    return {}


_IS_OPEN = sa.and_(
    ImportRun.started_at.is_not(None),
    ImportRun.finished_at.is_(None),
    sa.exists().where(ImportFile.run_id == ImportRun.id),
)


def _open(
    run: ImportRun, files: Sequence[BinaryIO], limits: Limits, kept_as: Sequence[bytes]
) -> tuple[ImportRun, Survey | None]:
    run_id, content_hash = run.id, run.content_hash
    is_known = db.session.get(ImportRun, run_id) is not None
    db.session.commit()  # PostgreSQL ends a transaction that stands still while a long file is read
    if is_known:
        return _earlier(run_id, content_hash), None
    found = None
    try:
        found = _survey(run, files, limits)
        run.rows, run.orders, run.layout = found.rows, found.orders, found.layout.id
    except FileRefused as refusal:
        if kept_as and isinstance(refusal, UnknownLayout):
            run.preview = {"columns": refusal.columns}
        else:
            run.refused, run.finished_at = refusal.message[:300], utc_now()
    try:
        with writing() as session:
            session.add(run)
            if not run.refused:
                session.flush()
                kept.keep(session, run_id, kept_as)
                if kept_as:
                    kept.make_room(session, run.actor)
                else:
                    _record(session, run)
    except IntegrityError:  # the other click of a double click was first
        return _earlier(run_id, content_hash), None
    return run, found


def _record(session: Session, run: ImportRun) -> None:
    program = program_of(run)
    activities.record(
        session, ActivityEvent.IMPORT_STARTED, program, by=run.actor, count=run.orders
    )


def _survey(run: ImportRun, files: Sequence[BinaryIO], limits: Limits) -> Survey:
    """The survey of the files, by what was said before of files with such headings."""
    try:
        return survey(files, limits)
    except UnknownLayout as unknown:
        run.mapping = mappings.remembered(heading for heading, _values in unknown.columns)
        if run.mapping is None:
            raise
        return survey(files, limits, run.mapping)


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
    claim: Claim | None = None,
) -> None:
    """Take in the orders of a started run, behind those that are in; `on_progress` hears of every batch.

    `claim`: of the worker who does it.  Raises Interrupted where another does.
    """
    run = find(run_id)
    actor, done, total = run.actor, _done(run), run.orders

    def read() -> Iterator[FileOrder]:
        for one in read_orders(files, limits, found, preview.methods_of(run)):
            if claim is not None:  # at each order: passing over those that are in takes its time
                claim.go_on(done, total)
            yield one

    orders = itertools.islice(read(), done, None)
    hold = None if claim is None else claim.hold
    while batch := list(itertools.islice(orders, batches.SIZE)):
        try:
            batches.take_in(run_id, actor, batch, done, hold)
        except (Interrupted, ShopError, *OF_EVERYTHING):
            raise
        except Exception as fault:  # of ours, or of what stands in the file
            if claim is None or not setbacks.is_last_try(Queue.JOB, claim.job_id):
                raise
            log.exception("import %s ends before line %s", run_id, batch[0].line)
            _end_before(run_id, batch[0], claim)
            raise ShopError(_BROKE_OFF) from fault
        done += len(batch)
        if on_progress is not None:
            on_progress(find(run_id))
    with writing() as session:
        if hold is not None:
            hold(session)
        session.execute(_of(run_id).values(finished_at=utc_now(), progress_at=shared_clock.now()))
        kept.forget(session, run_id)


_BROKE_OFF = (
    "この行からの注文を取り込めませんでした(このシステムの不具合です)。"
    "前の行までの注文は取り込まれています。管理者に連絡してください。"
)


def _end_before(run_id: str, one: FileOrder, claim: Claim) -> None:
    """No more is tried: what was taken in stays, and the person is told where it ended."""
    with writing() as session:
        claim.hold(session)
        kept.forget(session, run_id)
        session.add(
            ImportIssue(
                run_id=run_id,
                line=one.line,
                order_no=one.order_no[:28],
                level=IssueLevel.ERROR,
                message=_BROKE_OFF,
            )
        )


def _done(run: ImportRun) -> int:
    return run.added + run.updated + run.unchanged + run.left_out


def find(run_id: str) -> ImportRun:
    """The run as it is now.  Raises NotFound."""
    run = db.session.get(ImportRun, run_id, populate_existing=True)
    if run is None:
        raise NotFound(_NOT_FOUND)
    return run


def visible(run_id: str, actor: str) -> ImportRun:
    """The run, which until it is started is only for who chose its file (R82a).  Raises NotFound."""
    run = find(run_id)
    if run.actor != actor and state_of(run) is RunState.PREPARED:
        raise NotFound(_NOT_FOUND)
    return run


def recent(actor: str, limit: int = 20) -> Sequence[ImportRun]:
    """The newest runs that are `visible` to this person, newest first."""
    is_visible = sa.or_(
        ImportRun.started_at.is_not(None), ImportRun.refused != "", ImportRun.actor == actor
    )
    query = sa.select(ImportRun).where(is_visible)
    return db.session.scalars(query.order_by(ImportRun.created_at.desc()).limit(limit)).all()


def progress(run_id: str) -> ImportProgress:
    """How the run stands.  Raises NotFound."""
    run = find(run_id)
    return ImportProgress(
        run,
        state_of(run),
        _done(run),
        bool(db.session.scalar(sa.select(_IS_OPEN).where(ImportRun.id == run_id))),
        transaction_lookup.pending(),
    )


def state_of(run: ImportRun) -> RunState:
    """Shown, running, finished, refused, or interrupted (silent without an end)."""
    if run.refused:
        return RunState.REFUSED
    if run.started_at is None:
        return RunState.PREPARED
    if run.finished_at is not None:
        return RunState.FINISHED
    is_silent = shared_clock.now() - run.progress_at > _SILENT
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
    """All problems of a run, to be worked off line by line; read in parts."""
    issue = ImportIssue
    rows = db.session.execute(
        sa.select(issue.line, issue.order_no, issue.level, issue.message)
        .where(issue.run_id == run_id)
        .order_by(issue.line, issue.id),
        execution_options={"yield_per": _PART},
    )
    parts = (
        [(row.line, row.order_no, row.level.label, row.message) for row in part]
        for part in rows.partitions()
    )
    return b"".join(csv_file(("行", "注文番号", "区分", "内容"), parts))


def _of(run_id: str) -> sa.Update:
    return sa.update(ImportRun).where(ImportRun.id == run_id)
