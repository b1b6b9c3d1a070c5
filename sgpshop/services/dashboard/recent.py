"""最近の一括処理: the last bulk runs, slip files and order files, whoever began them; four queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    BulkItem,
    BulkRun,
    ImportRun,
    ItemResult,
    Operation,
    SlipRow,
    SlipRun,
)
from sgpshop.services.bulk import actions

_SHOWN = 5
SLIPS, ORDERS = "伝票番号ファイル", "注文ファイル"


@dataclass(frozen=True)
class RecentRun:
    """What was done with many orders; `yen` that were captured by it, None for order files."""

    id: str
    kind: str
    words: str
    at: datetime
    actor: str
    total: int
    succeeded: int
    failed: int
    waiting: int
    yen: int | None


def recent() -> list[RecentRun]:
    """The newest of all three kinds, newest first."""
    found: list[RecentRun] = []
    kinds: tuple[tuple[Any, Any, Any], ...] = (
        (BulkRun, BulkItem, ()),
        (SlipRun, SlipRow, (SlipRun.key_id.is_(None),)),  # not what programs say, one by one
    )
    for run, line, of_people in kinds:
        runs = db.session.scalars(
            sa.select(run)
            .where(run.started_at.is_not(None), *of_people)
            .order_by(run.started_at.desc())
            .limit(_SHOWN)
        ).all()
        counts = _counts(line, [one.id for one in runs])
        found += [_of_run(one, counts[one.id]) for one in runs]
    files = db.session.scalars(
        sa.select(ImportRun)
        .where(ImportRun.finished_at.is_not(None))
        .order_by(ImportRun.created_at.desc())
        .limit(_SHOWN)
    )
    found += [_of_file(one) for one in files]
    return sorted(found, key=lambda one: one.at, reverse=True)[:_SHOWN]


def _counts(line: Any, run_ids: Iterable[str]) -> dict[str, dict[ItemResult, tuple[int, int]]]:
    """Lines and captured yen of each run, by result."""
    captured = sa.func.sum(line.amount).filter(Attempt.operation == Operation.CAPTURE)
    rows = db.session.execute(
        sa.select(line.run_id, line.result, sa.func.count(), captured)
        .outerjoin(Attempt, Attempt.id == line.attempt_id)
        .where(line.run_id.in_(list(run_ids)))
        .group_by(line.run_id, line.result)
    )
    found: dict[str, dict[ItemResult, tuple[int, int]]] = defaultdict(dict)
    for run_id, result, number, yen in rows:
        found[run_id][result] = (number, int(yen or 0))
    return found


def _of_run(run: BulkRun | SlipRun, counts: dict[ItemResult, tuple[int, int]]) -> RecentRun:
    is_bulk = isinstance(run, BulkRun)
    succeeded, yen = counts.get(ItemResult.SUCCEEDED, (0, 0))
    failed, _ = counts.get(ItemResult.FAILED, (0, 0))
    waiting = [counts.get(one, (0, 0))[0] for one in (ItemResult.PENDING, ItemResult.UNCERTAIN)]
    assert run.started_at is not None
    return RecentRun(
        id=run.id,
        kind="bulk" if is_bulk else "slips",
        words=actions.named(run.action).label if isinstance(run, BulkRun) else SLIPS,
        at=run.started_at,
        actor=run.actor,
        total=sum(number for number, _ in counts.values()),
        succeeded=succeeded,
        failed=failed,
        waiting=sum(waiting),
        yen=yen,
    )


def _of_file(run: ImportRun) -> RecentRun:
    return RecentRun(
        id=run.id,
        kind="orders",
        words=ORDERS,
        at=run.created_at,
        actor=run.actor,
        total=run.orders,
        succeeded=run.added + run.updated + run.unchanged,
        failed=run.left_out,
        waiting=0,
        yen=None,
    )
