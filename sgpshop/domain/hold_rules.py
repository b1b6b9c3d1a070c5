"""Why the authorization of an order of many is neither changed nor extended (R68, R83).

Words for what domain.order_acts decides about 変更内容をSMBC-GPに送信 and オーソリ期間延長.
"""

from __future__ import annotations

from datetime import datetime

from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.order_acts import EXTENDING_IS_OFF, Act, ActTerms, button
from sgpshop.domain.order_rules import (
    OrderFacts,
    Refusal,
    busy_with,
    is_unsent,
    reserves_nothing,
)
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.domain.words import Reason


class HoldRefusal(Reason):
    """Why an order is left out; the values are stored with run lines (R49)."""

    OTHER_METHOD = Refusal.OTHER_METHOD.parts
    CAPTURED = Refusal.CAPTURED.parts
    CANCELLED = Refusal.CANCELLED.parts
    BUSY = Refusal.BUSY.parts
    BEING_PAID = Refusal.BEING_PAID.parts
    NEEDS_REVIEW = (
        "needs_review",
        "要確認",
        "要確認の注文です。決済の状態が確認できるまでお待ちください。",
    )
    NOTHING_HELD = (
        "nothing_held",
        "仮売上の金額がない",
        "予約・定期購入など、SMBC-GPに仮売上の金額がない注文のため、必要ありません。",
    )
    NO_CHANGE = (
        "no_change",
        "送信する変更がない",
        "合計金額とSMBC-GP側金額が同じため、送信は不要です。",
    )
    SWITCHED_OFF = "switched_off", "利用しない設定", EXTENDING_IS_OFF
    OTHER_TRANSACTION = Refusal.OTHER_TRANSACTION.parts
    CALLED_OFF = Refusal.CALLED_OFF.parts
    NOT_LINKED = Refusal.NOT_LINKED.parts
    TOTAL_IS_ZERO = (
        "total_is_zero",
        "金額が0円",
        "合計金額が0円です。0円にする場合は注文キャンセルをしてください。",
    )
    CHANGED = DeliveryRefusal.CHANGED.parts


_BY_STATUS = {
    PaymentStatus.CAPTURED: HoldRefusal.CAPTURED,
    PaymentStatus.CANCELLED: HoldRefusal.CANCELLED,
    PaymentStatus.AWAITING_BILLING: HoldRefusal.NOTHING_HELD,
    PaymentStatus.BILLING_REPORTED: HoldRefusal.NOTHING_HELD,
}


def hold_refusal(act: Act, order: OrderFacts, terms: ActTerms, now: datetime) -> HoldRefusal | None:
    """Why `act` (SEND_CHANGES or EXTEND) is not offered for this order, or None when it is (§4.3)."""
    if button(act, order, terms, now).is_enabled:
        return None
    status = order.payment_status
    if not order.is_sgp or status is None:
        return HoldRefusal.OTHER_METHOD
    if act is Act.EXTEND and not terms.extend_auth_enabled:
        return HoldRefusal.SWITCHED_OFF
    if order.open_attempt is not None:
        return HoldRefusal(busy_with(order.open_attempt).value)
    if status not in CAPTURABLE:  # 要確認, or what only another version knows
        return _BY_STATUS.get(status, HoldRefusal.NEEDS_REVIEW)
    if reserves_nothing(order):
        return HoldRefusal.NOTHING_HELD
    transaction = order.transaction
    if transaction is not None and transaction.is_mismatched:
        return HoldRefusal.OTHER_TRANSACTION
    if order.is_called_off:
        return HoldRefusal.CALLED_OFF
    if transaction is None or not transaction.is_linked or transaction.gateway_amount is None:
        return HoldRefusal.NOT_LINKED
    if act is Act.SEND_CHANGES and is_unsent(order):
        return HoldRefusal.TOTAL_IS_ZERO
    return HoldRefusal.NO_CHANGE
