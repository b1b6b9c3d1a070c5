"""What the practice shop sells, and the cards a person can pay with there (protocol.md §5)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SHIPPING_FEE = 500
MAX_QUANTITY = 20
CARD_EXPIRES = "4912"


@dataclass(frozen=True, slots=True)
class Goods:
    """A product; `kind` is the order's, `next_step` what staff do with such an order next."""

    code: str
    name: str
    unit_price: int
    tax_rate: int
    kind: str
    kind_label: str
    next_step: str


GOODS = {
    goods.code: goods
    for goods in (
        Goods(
            code="A-1",
            name="煎茶 100g",
            unit_price=1000,
            tax_rate=8,
            kind="normal",
            kind_label="通常商品",
            next_step="「仮売上」で届きます。発送したら「SGPカード実売上処理」をすると「決済完了」になります。",
        ),
        Goods(
            code="Y-1",
            name="新茶(来月入荷)",
            unit_price=1800,
            tax_rate=8,
            kind="preorder",
            kind_label="予約商品",
            next_step="カードの確認だけが済み、まだ何も確保されていません。"
            "商品が入荷したら、予約商品の画面から決済します。",
        ),
        Goods(
            code="T-1",
            name="お茶の定期便",
            unit_price=2400,
            tax_rate=8,
            kind="subscription",
            kind_label="定期購入",
            next_step="「決済待ち」で届きます。配送完了にした翌月の1日から10日に売上が登録され、"
            "結果が届くと決まります。",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class PracticeCard:
    """A test card under the name of what it does."""

    name: str
    label: str
    number: str


CARDS = {
    card.name: card
    for card in (
        PracticeCard("good", "通常(承認される)", "4111111111111111"),
        PracticeCard("short_of_funds", "残高不足", "4999000000000002"),
        PracticeCard("over_limit", "限度額超過", "4999000000000010"),
        PracticeCard("unusable", "使用不可", "4999000000000028"),
        PracticeCard("loses_answers", "応答エラー(C01)", "4999000000000036"),
        PracticeCard("challenge", "3-Dセキュア チャレンジ(認証画面が出る)", "4100000000005000"),
        PracticeCard(
            "frictionless", "3-Dセキュア frictionless(画面なしで認証)", "4100000000000100"
        ),
        PracticeCard("rejected", "3-Dセキュア 拒否", "4100000000500000"),
    )
}

_BUYER = {
    "name": "練習 花子",
    "kana": "レンシュウ ハナコ",
    "email": "renshu@example.jp",
    "tel": "0312345678",
    "postal_code": "1000001",
    "prefecture": "東京都",
    "address": "千代田区千代田1-1",
    "member_id": None,
}


def order(
    goods: Goods,
    quantity: int,
    *,
    token: str,
    now: datetime,
    return_url: Callable[[str], str] | None,
) -> Mapping[str, Any]:
    """The body of `POST /api/v1/orders` (interfaces.md §5); `now` is aware and makes the number.

    `return_url` answers where the browser is to come back to, for an order number; None: the buyer
    is not asked to pass 3-D Secure.
    """
    item = {
        "code": goods.code,
        "name": goods.name,
        "unit_price": goods.unit_price,
        "quantity": quantity,
        "tax_rate": goods.tax_rate,
    }
    number = f"{now:%y%m%d%H%M%S%f}"
    body = {
        "order_no": f"P{number}",
        "ordered_at": now.isoformat(timespec="seconds"),
        "kind": goods.kind,
        "buyer": _BUYER,
        "items": [item],
        "deliveries": [],
        "shipping_fee": SHIPPING_FEE,
        "handling_fee": 0,
        "discount": 0,
        "coupon": 0,
        "points_used": 0,
        "total": goods.unit_price * quantity + SHIPPING_FEE,
        "memo": "練習ショップからの注文",
        "payment": {"token": token},
        "return_url": return_url(f"P{number}") if return_url else None,
        "three_ds": "required" if return_url else "none",
    }
    if goods.kind == "subscription":
        body["subscription"] = {"id": f"T{number}", "round": 1}
    return body
