"""How far a run is, in figures: of bulk runs and of slip files, which count alike (R49)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    BulkItem,
    CardTransaction,
    ItemResult,
    Operation,
    SlipRow,
    utc_now,
)
from sgpshop.models.base import UtcDateTime
from sgpshop.services.bulk.time_left import RunPace
from sgpshop.storage.among import among

#: What somebody has to do something about comes first.
_FIRST = (ItemResult.FAILED, ItemResult.UNCERTAIN)


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """Counts of lines; `unattempted` ones are still to come."""

    succeeded: int
    failed: int
    #: of the failed, lines that were wrong from the start: nothing was tried with them
    wrong: int
    uncertain: int
    skipped: int
    unattempted: int
    #: orders captured by this run, and yen that were taken
    captured: int
    captured_yen: int
    pace: RunPace

    @property
    def total(self) -> int:
        """All lines."""
        return self.succeeded + self.failed + self.uncertain + self.skipped + self.unattempted

    @property
    def done(self) -> int:
        """Lines that were worked off, whatever came of them."""
        return self.total - self.unattempted

    @property
    def is_running(self) -> bool:
        """Whether lines are still to be worked off; uncertain ones count as worked off (R49)."""
        return self.unattempted > 0

    def told(self, unit: str, succeeded: str, failed: str) -> str:
        """The run in one sentence that is true at this moment: 128件中 125件が決済完了、…"""
        parts = [
            f"{count:,}{unit}{words}"
            for count, words in (
                (self.succeeded, succeeded),
                (self.failed - self.wrong, failed),
                (self.wrong, "は未処理(内容の誤り)"),
                (self.uncertain, "は結果確認中"),
                (self.skipped, "は対象外"),
                (self.unattempted, "はこれから処理"),
            )
            if count
        ]
        return f"{self.total:,}{unit}中 " + "、".join(parts)


def counted(
    line: type[BulkItem] | type[SlipRow], run_id: str, began: datetime | None
) -> dict[str, Any]:
    """The fields of RunProgress, of the lines of one run that `began` then (None: not yet)."""
    return counted_all(line, {run_id: began})[run_id]


def counted_all(
    line: type[BulkItem] | type[SlipRow], runs: Mapping[str, datetime | None]
) -> dict[str, dict[str, Any]]:
    """The same of several runs, by their ids with when they began; one query."""
    if not runs:
        return {}
    now = utc_now()
    began = sa.case(
        {run_id: sa.literal(at or now, UtcDateTime()) for run_id, at in runs.items()},
        value=line.run_id,
    )
    is_captured = sa.and_(Attempt.operation == Operation.CAPTURE, line.amount.is_not(None))
    rows: dict[str, dict[ItemResult, Any]] = {run_id: {} for run_id in runs}
    for row in db.session.execute(
        sa.select(
            line.run_id,
            line.result,
            sa.func.count().label("number"),
            # What was left out or refused at the start says nothing about the pace.
            sa.func.count().filter(line.finished_at > began).label("worked"),
            sa.func.max(line.finished_at).label("last"),
            sa.func.count().filter(is_captured).label("captured"),
            # What was taken: somebody else may have captured another amount before us.
            sa.func.sum(sa.func.coalesce(CardTransaction.captured_amount, line.amount))
            .filter(is_captured)
            .label("yen"),
        )
        .outerjoin(Attempt, Attempt.id == line.attempt_id)
        .outerjoin(CardTransaction, CardTransaction.id == Attempt.transaction_id)
        .where(among(line.run_id, runs))
        .group_by(line.run_id, line.result)
    ):
        rows[row.run_id][row.result] = row
    return {run_id: _figures(rows[run_id], at or now, now) for run_id, at in runs.items()}


def _figures(rows: Mapping[ItemResult, Any], began: datetime, now: datetime) -> dict[str, Any]:
    counts: Mapping[ItemResult, int] = {result: row.number for result, row in rows.items()}
    good = rows.get(ItemResult.SUCCEEDED)
    bad = rows.get(ItemResult.FAILED)
    left = counts.get(ItemResult.PENDING, 0)
    return {
        "succeeded": counts.get(ItemResult.SUCCEEDED, 0),
        "failed": counts.get(ItemResult.FAILED, 0),
        "wrong": bad.number - bad.worked if bad else 0,
        "uncertain": counts.get(ItemResult.UNCERTAIN, 0),
        "skipped": counts.get(ItemResult.SKIPPED, 0),
        "unattempted": left,
        "captured": good.captured if good else 0,
        "captured_yen": int(good.yen or 0) if good else 0,
        "pace": RunPace.of(
            began,
            max((row.last for row in rows.values() if row.last is not None), default=None),
            now,
            worked=sum(row.worked for row in rows.values()),
            left=left,
        ),
    }


def needy_first(line: type[BulkItem] | type[SlipRow], *then: ItemResult) -> sa.Case[int]:
    """What lines are sorted by: what needs a person, then the other results in that order."""
    order: Sequence[ItemResult] = (*_FIRST, *then)
    return sa.case({result.value: rank for rank, result in enumerate(order)}, value=line.result)
