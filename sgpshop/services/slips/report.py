"""A slip run in figures and words: its preview, its progress, each row, and the error file (R81)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from sgpshop.domain import words
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.csv_reading import heading_key
from sgpshop.domain.csv_writing import csv_file, csv_unguarded
from sgpshop.domain.order_rules import Refusal, is_big
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.models import Attempt, CardTransaction, ItemResult, SlipRow, SlipRun, utc_now
from sgpshop.services.bulk.pace import RunPace
from sgpshop.services.payments.error_content import CAPTURED_ELSEWHERE, error_content
from sgpshop.services.slips.columns import ERROR_TITLE

#: What somebody has to do something about comes first (look.md).
_FIRST = (
    ItemResult.FAILED,
    ItemResult.UNCERTAIN,
    ItemResult.PENDING,
    ItemResult.SUCCEEDED,
    ItemResult.SKIPPED,
)
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

    @property
    def nothing_to_do(self) -> bool:
        """Whether no row can be carried out."""
        return self.to_do == 0

    @property
    def needs_second_confirmation(self) -> bool:
        """Whether count or sum of the captures is large enough to be asked twice (S21)."""
        return is_big(self.captures, self.capture_yen)


@dataclass(frozen=True)
class SlipProgress:
    """How far a run is (R49); `unattempted` rows are still to come."""

    run: SlipRun
    total: int
    succeeded: int
    failed: int
    uncertain: int
    skipped: int
    unattempted: int
    #: orders captured by this run, and their sum
    captured: int
    captured_yen: int
    pace: RunPace

    @property
    def is_running(self) -> bool:
        """Whether rows are still to be worked off; uncertain ones count as worked off (R49)."""
        return self.unattempted > 0

    @property
    def heading(self) -> str:
        """The run in one sentence that is true at this moment (look.md)."""
        parts = [
            f"{count:,}行{words}"
            for count, words in (
                (self.succeeded, "を登録"),
                (self.failed, "が失敗"),
                (self.uncertain, "は結果確認中"),
                (self.skipped, "は対象外"),
                (self.unattempted, "はこれから処理"),
            )
            if count
        ]
        return f"{self.total:,}行中 " + "、".join(parts)


@dataclass(frozen=True)
class ReportedRow:
    """One row for a table; `carrier` is the company's name."""

    row: SlipRow
    carrier: str
    problem: str = ""
    codes: tuple[str, ...] = ()
    next_step: str = ""


def preview(run: SlipRun) -> SlipPreview:
    """The figures of step ①."""
    counts = _counts(run.id)
    captures, yen, kept = db.session.execute(
        sa.select(
            sa.func.count(SlipRow.amount),
            sa.func.coalesce(sa.func.sum(SlipRow.amount), 0),
            sa.func.count().filter(SlipRow.refusal != ""),
        ).where(SlipRow.run_id == run.id, SlipRow.result == ItemResult.PENDING)
    ).one()
    return SlipPreview(
        run=run,
        rows=sum(counts.values()),
        to_do=counts[ItemResult.PENDING],
        bad=counts[ItemResult.FAILED],
        left_out=counts[ItemResult.SKIPPED],
        captures=captures,
        capture_yen=yen or 0,
        kept=kept,
    )


def progress(run: SlipRun) -> SlipProgress:
    """The figures of step ②, of a run that was started."""
    assert run.started_at is not None
    counts = _counts(run.id)
    is_captured = sa.and_(
        SlipRow.result == ItemResult.SUCCEEDED,
        SlipRow.attempt_id.is_not(None),
        SlipRow.amount.is_not(None),
    )
    captured, yen, worked, last = db.session.execute(
        sa.select(
            sa.func.count().filter(is_captured),
            # What was taken: somebody else may have captured another amount before us.
            sa.func.coalesce(
                sa.func.sum(
                    sa.func.coalesce(CardTransaction.captured_amount, SlipRow.amount)
                ).filter(is_captured),
                0,
            ),
            sa.func.count(SlipRow.finished_at),
            sa.func.max(SlipRow.finished_at),
        )
        .outerjoin(Attempt, Attempt.id == SlipRow.attempt_id)
        .outerjoin(CardTransaction, CardTransaction.id == Attempt.transaction_id)
        .where(SlipRow.run_id == run.id)
    ).one()
    return SlipProgress(
        run=run,
        total=sum(counts.values()),
        succeeded=counts[ItemResult.SUCCEEDED],
        failed=counts[ItemResult.FAILED],
        uncertain=counts[ItemResult.UNCERTAIN],
        skipped=counts[ItemResult.SKIPPED],
        unattempted=counts[ItemResult.PENDING],
        captured=captured,
        captured_yen=yen or 0,
        pace=RunPace.of(
            run.started_at, last, utc_now(), worked=worked, left=counts[ItemResult.PENDING]
        ),
    )


def lines(run_id: str, *, after: int = 0, limit: int = 200) -> list[ReportedRow]:
    """Up to `limit` rows beginning at `after`: what needs a person first, then by line."""
    rank = sa.case({result.value: n for n, result in enumerate(_FIRST)}, value=SlipRow.result)
    found = db.session.scalars(
        sa.select(SlipRow)
        .where(SlipRow.run_id == run_id)
        .order_by(rank, SlipRow.line)
        .offset(after)
        .limit(limit)
        .options(joinedload(SlipRow.attempt))
        .execution_options(populate_existing=True)
    )
    return [_line(row) for row in found]


def failed_lines(run_id: str) -> Iterator[ReportedRow]:
    """All rows that failed, by line."""
    after = 0
    while True:
        chunk = db.session.scalars(
            sa.select(SlipRow)
            .where(
                SlipRow.run_id == run_id,
                SlipRow.result == ItemResult.FAILED,
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


def _counts(run_id: str) -> dict[ItemResult, int]:
    counts = dict.fromkeys(ItemResult, 0)
    for row in db.session.execute(
        sa.select(SlipRow.result, sa.func.count().label("number"))
        .where(SlipRow.run_id == run_id)
        .group_by(SlipRow.result)
    ):
        counts[row.result] = row.number
    return counts


def _line(row: SlipRow) -> ReportedRow:
    carrier = CARRIERS.get(row.carrier_code, "")
    if row.refusal:
        refusal = words.read(Refusal, row.refusal)
        return ReportedRow(row, carrier, f"実売上できません({refusal.label})：{refusal.sentence}")
    error = error_content(row.attempt)
    if row.message or error is None or row.result is ItemResult.PENDING:
        return ReportedRow(row, carrier, row.message)
    if row.result is ItemResult.SUCCEEDED:  # captured, but not by us
        return ReportedRow(
            row, carrier, CAPTURED_ELSEWHERE.sentence, (), CAPTURED_ELSEWHERE.next_step
        )
    return ReportedRow(row, carrier, error.sentence, error.codes, error.next_step)
