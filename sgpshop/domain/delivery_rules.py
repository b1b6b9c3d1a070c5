"""Why an order of many is not made 配送完了: words for what domain.order_acts decides (R30, R51)."""

from __future__ import annotations

from datetime import datetime

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.order_acts import Act, ActTerms, button
from sgpshop.domain.order_rules import OrderFacts, is_being_paid
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.words import Reason


class DeliveryRefusal(Reason):
    """Why an order is left out; the values are stored with run lines (R49)."""

    DELIVERED = ("delivered", "配送完了済み", "すでに配送完了になっています。")
    RETURNED = (
        "returned",
        "返送済み",
        "返送処理済みの注文です。もう一度発送した場合は、詳細注文情報でステータスを変更してください。",
    )
    CANCELLED = ("cancelled", "注文キャンセル済み", "注文キャンセル済みです。")
    BEING_PAID = (
        "being_paid",
        "購入手続き中",
        "購入者が購入手続き中の注文は、決済の結果が出るまで配送完了にできません。",
    )
    NEEDS_REVIEW = (
        "needs_review",
        "要確認",
        "要確認の注文は、決済の状態が確認できるまで配送完了にできません。",
    )
    BEING_CANCELLED = (
        "being_cancelled",
        "キャンセル処理中",
        "注文キャンセルの処理中です。結果が出るまでお待ちください。",
    )
    BILLED = (
        "billed",
        "定期購入の売上報告後",
        "売上報告の後の定期購入の注文は、配送完了にできません。",
    )
    CALLED_OFF = (
        "called_off",
        "ファイルで注文キャンセル",
        "注文ファイルで注文キャンセルになった注文です。発送を止めて、注文の画面の通知を確認してください。"
        "そのまま発送するなら、通知を確認済みにしてから実行してください。",
    )
    CHANGED = (
        "changed",
        "確認後に更新された",
        "確認した後で注文の内容が更新されました。内容を確認してから、もう一度選んでください。",
    )


_BY_CLASS = {
    ProcessingClass.DELIVERED: DeliveryRefusal.DELIVERED,
    ProcessingClass.RETURNED: DeliveryRefusal.RETURNED,
    ProcessingClass.CANCELLED: DeliveryRefusal.CANCELLED,
}


def delivery_refusal(order: OrderFacts, terms: ActTerms, now: datetime) -> DeliveryRefusal | None:
    """Why this order is not made 配送完了 among others, or None when it is (§4.3).

    Asked wherever many go out at once: by bulk runs, slip files, the grid of 発送 and programs.
    """
    if button(Act.DELIVER, order, terms, now).is_enabled:
        # Of many, nobody reads the notice of each (R143).
        return DeliveryRefusal.CALLED_OFF if order.is_called_off else None
    if order.payment_status is PaymentStatus.CANCELLED:
        return DeliveryRefusal.CANCELLED
    if by_parcels := _BY_CLASS.get(order.processing_class):
        return by_parcels
    if is_being_paid(order.open_attempt):
        return DeliveryRefusal.BEING_PAID
    if order.payment_status is PaymentStatus.NEEDS_REVIEW:
        return DeliveryRefusal.NEEDS_REVIEW
    if order.open_attempt is not None:
        return DeliveryRefusal.BEING_CANCELLED
    return DeliveryRefusal.BILLED
