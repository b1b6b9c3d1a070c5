"""A slip run in figures and words: its preview, its progress, each row, and the error file (R81)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from sgpshop.domain import words
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.csv_writing import csv_file, csv_unguarded
from sgpshop.domain.order_rules import Refusal, is_big
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.row_files import heading_key
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Delivery, ItemResult, SlipRow, SlipRun, utc_now
from sgpshop.services.bulk.progress import RunProgress, counted, counted_all, needy_first
from sgpshop.services.deliveries.slips import carriers
from sgpshop.services.deliveries.slips.columns import ERROR_TITLE
from sgpshop.services.deliveries.slips.rows import WRONG_DIGIT
from sgpshop.services.payments.error_content import line_content
from sgpshop.storage.among import among

_CHUNK = 1000


@dataclass(frozen=True)
class SlipPreview:
    """What step ① says before anything happens; counts are rows unless they say captures."""

    run: SlipRun
    rows: int
    to_do: int
    bad: int
    left_out: int
    captures: int
    capture_yen: int
    #: rows whose capture fails before anything is sent, and that are registered all the same (R80)
    kept: int
    #: rows to be carried out whose number does not check: most likely mistyped
    doubtful: int
    #: captures of holds that have expired (R47, R130)
    expired: int
    #: rows of which neither the file nor the order says the company
    without_carrier: int
    #: versions of the orders of the rows to be carried out, added up: no version ever gets less
    versions: int

    @property
    def seen(self) -> str:
        """What the page shows, in few words: the settings, and the orders as they were then (P20)."""
        what = (self.to_do, self.captures, self.capture_yen, self.without_carrier, self.versions)
        return "-".join((self.run.fingerprint, *map(str, what)))

    @property
    def nothing_to_do(self) -> bool:
        """Whether no row can be carried out."""
        return self.to_do == 0

    @property
    def needs_second_confirmation(self) -> bool:
        """Whether count or sum of the captures is large enough to be asked twice (S21)."""
        return is_big(self.captures, self.capture_yen)


@dataclass(frozen=True, kw_only=True)
class SlipProgress(RunProgress):
    """How far a started run is; counts are rows."""

    run: SlipRun

    @property
    def heading(self) -> str:
        """The run in one sentence."""
        return self.told("行", "を登録", "が失敗")


@dataclass(frozen=True)
class ReportedRow:
    """One row for a table; `carrier` is the company's name."""

    row: SlipRow
    carrier: str
    problem: str = ""
    codes: tuple[str, ...] = ()
    next_step: str = ""
    #: to whom the parcel goes
    recipient: str = ""

    @property
    def is_doubtful(self) -> bool:
        """Whether the slip number does not check."""
        return WRONG_DIGIT in self.row.remark


def preview(run: SlipRun) -> SlipPreview:
    """The figures of step ①."""
    planned = RunProgress(**counted(SlipRow, run.id, None))
    captures, yen, kept, doubtful, versions = db.session.execute(
        sa.select(
            sa.func.count(SlipRow.amount),
            sa.func.coalesce(sa.func.sum(SlipRow.amount), 0),
            sa.func.count().filter(SlipRow.refusal != ""),
            sa.func.count().filter(SlipRow.remark.contains(WRONG_DIGIT)),
            sa.func.coalesce(sa.func.sum(SlipRow.version), 0),
        ).where(SlipRow.run_id == run.id, SlipRow.result == ItemResult.PENDING)
    ).one()
    return SlipPreview(
        run=run,
        rows=planned.total,
        to_do=planned.unattempted,
        bad=planned.failed,
        left_out=planned.skipped,
        captures=captures,
        capture_yen=yen or 0,
        kept=kept,
        doubtful=doubtful,
        expired=_expired(run.id),
        without_carrier=len(carriers.unknown(run.id)),
        versions=int(versions or 0),
    )


def _expired(run_id: str) -> int:
    """How many captures are of holds that have expired."""
    count = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(SlipRow)
        .join(
            CardTransaction,
            sa.and_(CardTransaction.order_id == SlipRow.order_id, CardTransaction.is_current),
        )
        .where(
            SlipRow.run_id == run_id,
            SlipRow.result == ItemResult.PENDING,
            SlipRow.amount.is_not(None),
            CardTransaction.auth_expires_at <= utc_now(),
        )
    )
    return count or 0


def progress(run: SlipRun) -> SlipProgress:
    """The figures of step ②, of a run that was started."""
    return SlipProgress(run=run, **counted(SlipRow, run.id, run.started_at))


def progresses(runs: Sequence[SlipRun]) -> list[SlipProgress]:
    """The same of several runs; one query."""
    figures = counted_all(SlipRow, {run.id: run.started_at for run in runs})
    return [SlipProgress(run=run, **figures[run.id]) for run in runs]


def lines(run_id: str, *, after: int = 0, limit: int = 200) -> list[ReportedRow]:
    """Up to `limit` rows beginning at `after`: what needs a person first, then by line."""
    then = (ItemResult.PENDING, ItemResult.SUCCEEDED, ItemResult.SKIPPED)
    found = db.session.scalars(
        sa.select(SlipRow)
        .where(SlipRow.run_id == run_id)
        .order_by(needy_first(SlipRow, *then), SlipRow.line)
        .offset(after)
        .limit(limit)
        .options(joinedload(SlipRow.attempt))
        .execution_options(populate_existing=True)
    ).all()
    names = _recipients(found)
    return [replace(_line(row), recipient=names.get(row.id, "")) for row in found]


def _recipients(rows: Sequence[SlipRow]) -> dict[int, str]:
    """Name of the recipient of each row's parcel, by the row's id."""
    parcels: dict[int | None, dict[int, str]] = defaultdict(dict)
    numbers = [row.order_id for row in rows if row.order_id is not None]
    for order_id, number, name in db.session.execute(
        sa.select(Delivery.order_id, Delivery.number, Delivery.name).where(
            among(Delivery.order_id, numbers)
        )
    ):
        parcels[order_id][number] = name
    found = {}
    for row in rows:
        of_order = parcels[row.order_id]
        only = next(iter(of_order.values())) if len(of_order) == 1 else ""
        found[row.id] = of_order.get(row.delivery_number, only)
    return found


def in_order(run_id: str) -> list[ReportedRow]:
    """All rows of a run, by line."""
    found = db.session.scalars(
        sa.select(SlipRow)
        .where(SlipRow.run_id == run_id)
        .order_by(SlipRow.line)
        .options(joinedload(SlipRow.attempt))
        .execution_options(populate_existing=True)
    )
    return [_line(row) for row in found]


def failed_lines(run_id: str, result: ItemResult = ItemResult.FAILED) -> Iterator[ReportedRow]:
    """All rows that failed, or that ended with another `result`, by line."""
    after = 0
    while True:
        chunk = db.session.scalars(
            sa.select(SlipRow)
            .where(
                SlipRow.run_id == run_id,
                SlipRow.result == result,
                SlipRow.line > after,
            )
            .order_by(SlipRow.line)
            .limit(_CHUNK)
            .options(joinedload(SlipRow.attempt))
        ).all()
        if not chunk:
            return
        yield from map(_line, chunk)
        after = chunk[-1].line


def errors_csv(run: SlipRun) -> bytes:
    """The failed rows as they were, with a column エラー: to be mended and handed in again (R81).

    The column names the run, too: what failed twice for the same reason is another file (R82a).
    """
    width = len(run.header)
    kept = [n for n, title in enumerate(run.header) if heading_key(title) != ERROR_TITLE]
    at = f"{(run.started_at or run.created_at).astimezone(JST):%Y/%m/%d %H:%M}(処理{run.id[:8]})"

    def as_it_was(line: ReportedRow) -> list[str]:
        cells = [*line.row.cells, *[""] * (width - len(line.row.cells))]
        words = " ".join(filter(None, (at, line.problem, *line.codes, line.next_step)))
        # Guarded once, also what came in guarded, from an error file before (S18).
        return [*(csv_unguarded(cells[n]) for n in kept), words]

    titles = [*(run.header[n] for n in kept), ERROR_TITLE]
    return b"".join(csv_file(titles, [map(as_it_was, failed_lines(run.id))]))


def _line(row: SlipRow) -> ReportedRow:
    carrier = CARRIERS.get(row.carrier_code, "")
    if row.refusal:
        refusal = words.read(Refusal, row.refusal)
        return ReportedRow(
            row, carrier, f"実売上処理できません({refusal.label})：{refusal.sentence}"
        )
    error = line_content(row.attempt, row.result)
    if row.message or error is None:
        return ReportedRow(row, carrier, row.message)
    return ReportedRow(row, carrier, error.sentence, error.codes, error.next_step)
