"""The result of a bulk run in words: one line per order, on the screen and as a file (R49)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from sgpshop.domain import words
from sgpshop.domain.csv_writing import Value, csv_file
from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.errors import NotFound
from sgpshop.domain.order_rules import Refusal
from sgpshop.extensions import db
from sgpshop.models import BulkAction, BulkItem, BulkRun, ItemResult, Order
from sgpshop.services.bulk import captures, deliveries
from sgpshop.services.bulk.captures import CapturePreview, CaptureProgress
from sgpshop.services.bulk.deliveries import DeliveryPreview
from sgpshop.services.payments.error_content import CAPTURED_ELSEWHERE, error_content

_HEADER = ("注文番号", "金額", "結果", "エラーコード", "内容", "次の操作")
_CHUNK = 500
#: what the reason of a line that was left out is a word of
_REASONS: dict[BulkAction, type[Refusal] | type[DeliveryRefusal]] = {
    BulkAction.SGP_CAPTURE: Refusal,
    BulkAction.DELIVER: DeliveryRefusal,
}
_DONE = {BulkAction.SGP_CAPTURE: "が決済完了", BulkAction.DELIVER: "が配送完了"}


@dataclass(frozen=True)
class ReportLine:
    """One order of a run; `order` is the order as it is now, `amount` yen as confirmed."""

    order: Order
    amount: int
    result: ItemResult
    codes: tuple[str, ...] = ()
    content: str = ""
    next_step: str = ""


def own_preview(run_id: str, person_id: int) -> CapturePreview | DeliveryPreview:
    """What a run that this person prepared would do.  Raises NotFound, also for another's run."""
    run = db.session.get(BulkRun, run_id)
    if run is None or run.person_id != person_id:
        raise NotFound("この一括処理は見つかりません。")
    if run.action is BulkAction.DELIVER:
        return deliveries.preview(run_id)
    return captures.preview(run_id)


def lines(run_id: str, *, after: int = 0, limit: int = 200) -> list[ReportLine]:
    """Up to `limit` lines beginning at `after`, failed ones first."""
    action = captures.action_of(run_id)
    return [_line(item, action) for item in captures.lines(run_id, after=after, limit=limit)]


def order_ids(run_id: str) -> list[int]:
    """The ids of all orders of a run."""
    return list(db.session.scalars(sa.select(BulkItem.order_id).where(BulkItem.run_id == run_id)))


def heading(progress: CaptureProgress) -> str:
    """The run in one sentence that is true at this moment: 128件中 125件が決済完了、… (look.md)."""
    parts = [
        f"{count:,}件{words}"
        for count, words in (
            (progress.succeeded, _DONE.get(progress.action, "が完了")),
            (progress.failed, "が売上失敗"),
            (progress.uncertain, "は結果確認中"),
            (progress.skipped, "は対象外"),
            (progress.unattempted, "はこれから処理"),
        )
        if count
    ]
    return f"{progress.total:,}件中 " + "、".join(parts)


def as_csv(run_id: str) -> bytes:
    """結果CSV."""
    captures.progress(run_id)  # NotFound for a run that does not exist or was not started
    return b"".join(csv_file(_HEADER, _chunks(run_id)))


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


def _line(item: BulkItem, action: BulkAction) -> ReportLine:
    if item.result is ItemResult.SKIPPED and item.reason:
        refusal = words.read(_REASONS.get(action, Refusal), item.reason)
        content = f"対象外:{refusal.label}"
        return ReportLine(item.order, item.amount, item.result, (), content, refusal.sentence)
    error = error_content(item.attempt)
    if error is not None and item.result is ItemResult.SUCCEEDED:  # captured, but not by us
        error = CAPTURED_ELSEWHERE
    elif error is None or item.result not in (ItemResult.FAILED, ItemResult.UNCERTAIN):
        return ReportLine(item.order, item.amount, item.result)
    return ReportLine(
        item.order, item.amount, item.result, error.codes, error.sentence, error.next_step
    )
