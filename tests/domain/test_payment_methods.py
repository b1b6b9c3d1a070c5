"""Which names of a way of payment are our card payment (§2.3 of the layouts)."""

from __future__ import annotations

import pytest

from sgpshop.domain.payment_methods import KnownMethods

SHOP = KnownMethods.of("カードでお支払い", ["クレジットカード"], ["楽天バンク決済"])


@pytest.mark.parametrize(
    "name",
    [
        "SGP",
        "sgp",
        "ＳＧＰ：クレジットカード決済",
        "SGP: クレジットカード決済",
        "SGP カード決済",
        "SGPクレジットカード決済(仮売上)",
        "カード でお支払い",
        "クレジットカード(一括)",
        "ｸﾚｼﾞｯﾄｶｰﾄﾞ",
    ],
)
def test_ours(name: str) -> None:
    assert SHOP.is_sgp(name) is True


@pytest.mark.parametrize(
    "name",
    [
        "代金引換",
        "商品代引",
        "銀行振込(前払い)",
        "Cash on Delivery (COD)",
        "PayPay",
        "コンビニ決済",
        "後払い.com",
        "R",
        "D1",
        "楽天バンク決済",
        "Amazon Pay",
        "ＮＰ後払い",
    ],
)
def test_others(name: str) -> None:
    assert SHOP.is_sgp(name) is False


@pytest.mark.parametrize(
    "name",
    ["クレジットカード決済", "カード(ポイント併用)", "VISA", "SGPX", "Authorize", "決済方法1"],
)
def test_nobody_knows(name: str) -> None:
    assert SHOP.is_sgp(name) is None


def test_what_the_shop_said_wins() -> None:
    assert KnownMethods.of("", [], ["SGPカード(旧)"]).is_sgp("SGPカード(旧)") is False
    assert KnownMethods.of("", ["PayPay(SGP)"], []).is_sgp("PayPay(SGP)") is True
