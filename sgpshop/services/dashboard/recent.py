"""最近の一括処理: the last bulk runs, slip files and order files, whoever began them; one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

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
from sgpshop.storage.rows import read as rows_of

_SHOWN = 5
_FILES = {"slips": "伝票番号の登録", "orders": "注文ファイル"}
_NONE = sa.literal(0), sa.literal(0), sa.literal(0)
_DONE = ImportRun.added + ImportRun.updated + ImportRun.unchanged
#: a file of which no order could be read was refused to whoever chose it, there and then
_IS_ENDED = sa.and_(ImportRun.finished_at.is_not(None), ImportRun.orders > 0)
#: not what programs say, one by one
_IS_OF_PEOPLE = SlipRun.key_id.is_(None)


@dataclass
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
    yen: int | None
    waiting: int = 0
    skipped: int = 0

    def add(self, result: ItemResult, number: int, yen: int) -> None:
        """So many lines of it ended so."""
        self.total += number
        if result is ItemResult.SUCCEEDED:
            self.succeeded += number
            self.yen = yen
        elif result is ItemResult.FAILED:
            self.failed += number
        elif result is ItemResult.SKIPPED:
            self.skipped += number
        elif result in (ItemResult.PENDING, ItemResult.UNCERTAIN):
            self.waiting += number


def recent() -> list[RecentRun]:
    """The newest of all three kinds, newest first."""
    rows = rows_of(_statement())
    found: dict[str, RecentRun] = {}
    for kind, id_, action, at, actor, total, done, failed, result, number, yen in rows:
        words = _FILES.get(kind) or actions.named(action).label
        taken = None if kind == "orders" else 0
        run = found.setdefault(
            id_, RecentRun(id_, kind, words, at, actor, total, done, failed, taken)
        )
        if result is not None:
            run.add(result, number, int(yen or 0))
    return list(found.values())[:_SHOWN]


@cache
def _statement() -> sa.Select[*tuple[Any, ...]]:
    files = ImportRun.orders, _DONE, ImportRun.left_out
    newest = sa.union_all(
        _newest("bulk", BulkRun, BulkRun.action, BulkRun.started_at, sa.true()),
        _newest("slips", SlipRun, sa.literal(""), SlipRun.started_at, _IS_OF_PEOPLE),
        _newest("orders", ImportRun, sa.literal(""), ImportRun.created_at, _IS_ENDED, files),
    ).cte("newest")
    counts = sa.union_all(*(_counts(line, newest) for line in (BulkItem, SlipRow))).subquery()
    return (
        sa.select(newest, *list(counts.c)[1:])
        .outerjoin_from(newest, counts, counts.c.run_id == newest.c.id)
        .order_by(newest.c.at.desc(), newest.c.id)
    )


def _newest(
    kind: str,
    run: Any,
    action: Any,
    at: Any,
    is_meant: Any,
    figures: Sequence[Any] = _NONE,
) -> sa.Select[*tuple[Any, ...]]:
    """The newest runs of a kind, in the order of RecentRun."""
    columns = (sa.literal(kind).label("kind"), run.id.label("id"), action.label("action"))
    newest = (
        sa.select(*columns, at.label("at"), run.actor.label("actor"), *figures)
        .where(at.is_not(None), is_meant)
        .order_by(at.desc())
        .limit(_SHOWN)
    )
    return sa.select(newest.subquery())


def _counts(line: Any, newest: sa.CTE) -> sa.Select[*tuple[Any, ...]]:
    """Lines and captured yen of each run, by result."""
    captured = sa.func.sum(line.amount).filter(Attempt.operation == Operation.CAPTURE)
    return (
        sa.select(line.run_id, line.result, sa.func.count(), captured)
        .outerjoin(Attempt, Attempt.id == line.attempt_id)
        .where(line.run_id.in_(sa.select(newest.c.id)))
        .group_by(line.run_id, line.result)
    )
