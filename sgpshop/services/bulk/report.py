"""What came of a bulk run: its figures, and one line per order, on the screen and as a file (R49)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from sgpshop.domain.csv_writing import Value, csv_file
from sgpshop.domain.errors import NotFound
from sgpshop.extensions import db
from sgpshop.models import BulkItem, BulkRun, ItemResult, Order
from sgpshop.services.bulk import actions, runs
from sgpshop.services.bulk.action import Action
from sgpshop.services.bulk.progress import RunProgress, counted, needy_first
from sgpshop.services.payments.error_content import line_content

HEADER = ("注文番号", "金額", "結果", "エラーコード", "内容", "次の操作")
_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class BulkProgress(RunProgress):
    """How far a started run is."""

    run: BulkRun
    action: Action

    @property
    def heading(self) -> str:
        """The run in one sentence."""
        return self.told("件", self.action.done, self.action.failed)


@dataclass(frozen=True)
class ReportLine:
    """One order of a run; `order` is the order as it is now, `amount` yen as confirmed."""

    order: Order
    amount: int
    result: ItemResult
    codes: tuple[str, ...] = ()
    content: str = ""
    next_step: str = ""


def progress(run_id: str) -> BulkProgress:
    """Figures of a started run.  Raises NotFound."""
    run = runs.get(run_id)
    if run.started_at is None:
        raise NotFound("この一括処理はまだ開始されていません。")
    figures = counted(BulkItem, run_id, run.started_at)
    return BulkProgress(run=run, action=actions.named(run.action), **figures)


def lines(run_id: str, *, after: int = 0, limit: int = 200) -> list[ReportLine]:
    """Up to `limit` lines beginning at `after`: failed, uncertain, left out first."""
    action = actions.named(runs.get(run_id).action)
    then = (ItemResult.SKIPPED, ItemResult.PENDING, ItemResult.SUCCEEDED)
    items = db.session.scalars(
        sa.select(BulkItem)
        .where(BulkItem.run_id == run_id)
        .order_by(needy_first(BulkItem, *then), BulkItem.position)
        .offset(after)
        .limit(limit)
        .options(
            joinedload(BulkItem.attempt),
            joinedload(BulkItem.order).joinedload(Order.transaction),
            joinedload(BulkItem.order).joinedload(Order.open_attempt),
        )
    )
    return [_line(item, action) for item in items]


def order_ids(
    run_id: str, *, result: ItemResult | None = None, since: datetime | None = None
) -> list[int]:
    """Ids of the orders of a run: with that result (失敗した注文を選ぶ), or that got one since then."""
    query = sa.select(BulkItem.order_id).where(BulkItem.run_id == run_id)
    if result is not None:
        query = query.where(BulkItem.result == result)
    if since is not None:
        query = query.where(BulkItem.finished_at >= since)
    return list(db.session.scalars(query.order_by(BulkItem.position)))


def as_csv(run_id: str) -> bytes:
    """結果CSV."""
    progress(run_id)  # NotFound for a run that does not exist or was not started
    return b"".join(csv_file(HEADER, _chunks(run_id)))


def _chunks(run_id: str) -> Iterator[list[tuple[Value, ...]]]:
    after = 0
    while chunk := lines(run_id, after=after, limit=_CHUNK):
        yield [
            (
                line.order.order_no,
                line.amount,
                line.result.label,
                "|".join(line.codes),
                line.content,
                line.next_step,
            )
            for line in chunk
        ]
        after += len(chunk)


def _line(item: BulkItem, action: Action) -> ReportLine:
    if item.result is ItemResult.SKIPPED and item.reason:
        reason = action.reason(item.reason)
        content = f"対象外:{reason.label}"
        return ReportLine(item.order, item.amount, item.result, (), content, reason.sentence)
    error = line_content(item.attempt, item.result)
    if error is None:
        return ReportLine(item.order, item.amount, item.result)
    return ReportLine(
        item.order, item.amount, item.result, error.codes, error.sentence, error.next_step
    )
