"""What happened to the parcel: an axis of its own, never mixed with the payment (rules.md §5)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sgpshop.domain import words


class DeliveryStatus(StrEnum):
    """配送ステータス of one delivery."""

    UNPROCESSED = "unprocessed"
    INSTRUCTED = "instructed"
    PREPARING = "preparing"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELLED = "cancelled"

    @property
    def label(self) -> str:
        """The Japanese word on the screen."""
        return _DELIVERY_LABELS.get(self) or words.unknown(self)


_DELIVERY_LABELS = {
    DeliveryStatus.UNPROCESSED: "未処理",
    DeliveryStatus.INSTRUCTED: "配送指示済",
    DeliveryStatus.PREPARING: "配送準備中",
    DeliveryStatus.DELIVERED: "配送完了",
    DeliveryStatus.RETURNED: "返送",
    DeliveryStatus.CANCELLED: "注文キャンセル",
}

#: The parcel has not left; in the order of work.
OPEN_STATUSES = (
    DeliveryStatus.UNPROCESSED,
    DeliveryStatus.INSTRUCTED,
    DeliveryStatus.PREPARING,
)


class ProcessingClass(StrEnum):
    """処理区分 of a whole order: exactly these four (R28)."""

    UNPROCESSED = "unprocessed"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"

    @property
    def label(self) -> str:
        """The Japanese word on the screen."""
        return _CLASS_LABELS.get(self) or words.unknown(self)


_CLASS_LABELS = {
    ProcessingClass.UNPROCESSED: "未処理",
    ProcessingClass.DELIVERED: "配送",
    ProcessingClass.CANCELLED: "注文キャンセル",
    ProcessingClass.RETURNED: "返送",
}


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
