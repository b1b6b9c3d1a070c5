"""Why an order of many is not cancelled with the others (R91, R94): only what is plainly 仮売上 is.

Whatever would be a refund, is not certain, or holds nothing is cancelled one by one, where it is said
what that does to the money.  Words for what domain.order_acts decides about 注文キャンセル.
"""

from __future__ import annotations

from datetime import datetime

from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.hold_rules import HoldRefusal
from sgpshop.domain.order_acts import Act, ActTerms, button
from sgpshop.domain.order_rules import OrderFacts, busy_with, reserves_nothing
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.words import Reason


class CancelRefusal(Reason):
    """Why an order is left out; the values are stored with run lines (R49)."""

    OTHER_METHOD = HoldRefusal.OTHER_METHOD.parts
    CAPTURED = (
        "captured",
        "決済完了済み(返金になる)",
        "返金になるため、まとめてキャンセルできません。詳細注文情報で金額を確認してキャンセルしてください。",
    )
    CANCELLED = HoldRefusal.CANCELLED.parts
    BUSY = HoldRefusal.BUSY.parts
    BEING_PAID = HoldRefusal.BEING_PAID.parts
    NEEDS_REVIEW = HoldRefusal.NEEDS_REVIEW.parts
    NOT_AUTHORIZED = (
        "not_authorized",
        "仮売上ではない",
        "まとめてキャンセルできるのは仮売上の注文だけです。詳細注文情報からキャンセルしてください。",
    )
    NOTHING_HELD = (
        "nothing_held",
        "予約(仮売上の金額がない)",
        "SMBC-GPに仮売上の金額がない注文です。詳細注文情報からキャンセルしてください。",
    )
    OTHER_TRANSACTION = HoldRefusal.OTHER_TRANSACTION.parts
    DELIVERED = (
        "delivered",
        "配送完了済み",
        "配送完了の注文はキャンセルできません。商品が戻る場合は返送処理をしてください。",
    )
    TOO_EARLY = (
        "too_early",
        "キャンセルできない時間内",
        "注文から間もないため、まだキャンセルできません。しばらくしてからお試しください。",
    )
    CHANGED = DeliveryRefusal.CHANGED.parts


_BY_STATUS = {
    PaymentStatus.CAPTURED: CancelRefusal.CAPTURED,
    PaymentStatus.CANCELLED: CancelRefusal.CANCELLED,
    PaymentStatus.NEEDS_REVIEW: CancelRefusal.NEEDS_REVIEW,
}


def cancel_refusal(order: OrderFacts, terms: ActTerms, now: datetime) -> CancelRefusal | None:
    """Why this order is not cancelled with others, or None when it is (§4.3)."""
    status = order.payment_status
    if not order.is_sgp or status is None:
        return CancelRefusal.OTHER_METHOD
    if order.open_attempt is not None:
        return CancelRefusal(busy_with(order.open_attempt).value)
    if status is not PaymentStatus.AUTHORIZED:
        return _BY_STATUS.get(status, CancelRefusal.NOT_AUTHORIZED)
    if reserves_nothing(order):
        return CancelRefusal.NOTHING_HELD
    if order.transaction is not None and order.transaction.is_mismatched:
        return CancelRefusal.OTHER_TRANSACTION
    if order.processing_class is ProcessingClass.DELIVERED:
        return CancelRefusal.DELIVERED
    return None if button(Act.CANCEL, order, terms, now).is_enabled else CancelRefusal.TOO_EARLY
