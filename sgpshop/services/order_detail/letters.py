"""What to write to a buyer whose card was declined: ready to be sent, copied or read aloud."""

from __future__ import annotations

from dataclasses import dataclass

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import for_buyer, worst
from sgpshop.models import Order
from sgpshop.services.order_detail.detail import OrderProblem
from sgpshop.services.settings import ShopSettings


@dataclass(frozen=True)
class Letter:
    """A polite text, in Japanese; it names neither codes nor the card."""

    subject: str
    body: str


def letter(order: Order, problem: OrderProblem | None, shop: ShopSettings) -> Letter | None:
    """The text for the buyer of an order in 売上失敗; None where the buyer cannot help."""
    if problem is None or order.payment_status is not PaymentStatus.CAPTURE_FAILED:
        return None
    why = for_buyer(worst(problem.codes)) if problem.codes else ""
    if not why:
        return None
    sender = "\n".join(line for line in (shop.shop_name, shop.shop_tel) if line)
    return Letter(
        f"【{shop.shop_name or 'ご注文'}】お支払いについてのお願い(注文番号 {order.order_no})",
        f"{order.buyer_name} 様\n\n"
        f"このたびはご注文いただき、ありがとうございます。\n"
        f"ご注文(注文番号 {order.order_no}、合計 {order.total:,}円)のお支払いについて、"
        f"{why}ため、お手続きを完了できませんでした。代金は請求されていません。\n\n"
        "恐れ入りますが、別のカードまたは別のお支払い方法をご検討のうえ、"
        "ご返信くださいますようお願いいたします。\n"
        "ご不明な点は、カードの裏面に記載のカード会社へお問い合わせください。\n\n"
        f"{sender}".rstrip(),
    )
