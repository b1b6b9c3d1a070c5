"""What happened to the parcel: an axis of its own, never mixed with the payment (rules.md §5)."""

from __future__ import annotations

from collections.abc import Iterable

from sgpshop.domain.words import Labelled


class DeliveryStatus(Labelled):
    """配送ステータス of one delivery."""

    UNPROCESSED = "unprocessed", "未処理"
    INSTRUCTED = "instructed", "配送指示済"
    PREPARING = "preparing", "配送準備中"
    DELIVERED = "delivered", "配送完了"
    RETURNED = "returned", "返送"
    CANCELLED = "cancelled", "注文キャンセル"


#: The parcel has not left; in the order of work.
OPEN_STATUSES = (
    DeliveryStatus.UNPROCESSED,
    DeliveryStatus.INSTRUCTED,
    DeliveryStatus.PREPARING,
)


class ProcessingClass(Labelled):
    """処理区分 of a whole order: exactly these four (R28)."""

    UNPROCESSED = "unprocessed", "未処理"
    DELIVERED = "delivered", "配送"
    CANCELLED = "cancelled", "注文キャンセル"
    RETURNED = "returned", "返送"


def processing_class(deliveries: Iterable[DeliveryStatus]) -> ProcessingClass:
    """The 処理区分 that follows from the deliveries of one order (R29).

    返送 when at least one came back and none is still open; 配送 only when all that are not
    cancelled are delivered; 注文キャンセル when all are cancelled.
    """
    statuses = set(deliveries)
    if not statuses or statuses & set(OPEN_STATUSES):
        return ProcessingClass.UNPROCESSED
    if DeliveryStatus.RETURNED in statuses:
        return ProcessingClass.RETURNED
    if statuses == {DeliveryStatus.CANCELLED}:
        return ProcessingClass.CANCELLED
    return ProcessingClass.DELIVERED
