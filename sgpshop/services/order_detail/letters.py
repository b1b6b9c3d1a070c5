"""What to write to a buyer who has to pay otherwise, or has not paid: ready to be sent, copied or read aloud."""

from __future__ import annotations

from dataclasses import dataclass

from sgpshop.domain.order_rules import ReviewCause, review_cause
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import for_buyer, worst
from sgpshop.models import Order
from sgpshop.services.order_detail.detail import OrderProblem
from sgpshop.services.settings import ShopSettings
from sgpshop.services.subscriptions.facts import OTHER_WAY


@dataclass(frozen=True)
class Letter:
    """A polite text, in Japanese; it names neither codes nor the card."""

    subject: str
    body: str


def letter(order: Order, problem: OrderProblem | None, shop: ShopSettings) -> Letter | None:
    """The text for the buyer of an order in 売上失敗 or left unpaid; None where the buyer cannot help."""
    what = _unfinished(order) or _declined(order, problem)
    if not what:
        return None
    sender = "\n".join(line for line in (shop.shop_name, shop.shop_tel) if line)
    return Letter(
        f"【{shop.shop_name or 'ご注文'}】お支払いについてのお願い(注文番号 {order.order_no})",
        f"{order.buyer_name} 様\n\n"
        f"このたびはご注文いただき、ありがとうございます。\n"
        f"ご注文(注文番号 {order.order_no}、合計 {order.total:,}円)のお支払いについて、"
        f"{what}\n\n{sender}".rstrip(),
    )


def _unfinished(order: Order) -> str:
    """Nobody is asked to pay once more here: that the payment was not made may be learned late."""
    there = order.transaction
    is_known = there is None or there.look_problem in (None, "", "not_found")
    if review_cause(order) is not ReviewCause.CHECKOUT_UNFINISHED or not is_known:
        return ""
    return (
        "カードのお手続きの完了を確認できておりません。\n\n"
        "恐れ入りますが、お手続きの途中でお困りの点や、お支払い方法の変更、ご注文の取りやめのご希望がございましたら、"
        "ご返信くださいますようお願いいたします。\n"
        "お支払いを確認できるまで、発送を見合わせております。"
    )


def _declined(order: Order, problem: OrderProblem | None) -> str:
    if problem is None or order.payment_status is not PaymentStatus.CAPTURE_FAILED:
        return ""
    if order.is_asked or (order.transaction is not None and order.transaction.others_live):
        return ""  # he may have paid already, past us (R141)
    why = for_buyer(worst(problem.codes)) if problem.codes else ""
    if not why and problem.next_step == OTHER_WAY:
        why = "ご登録のカードでお支払いいただけなかった"
    if not why:
        return ""
    return (
        f"{why}ため、お手続きを完了できませんでした。代金は請求されていません。\n\n"
        "恐れ入りますが、別のカードまたは別のお支払い方法をご検討のうえ、"
        "ご返信くださいますようお願いいたします。\n"
        "ご不明な点は、カードの裏面に記載のカード会社へお問い合わせください。"
    )
