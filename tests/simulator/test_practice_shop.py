"""練習ショップ: a person buys, the order goes over the API, and the browser is led to the end."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sgpshop.simulator.practice_api import (
    KEY_VARIABLE,
    URL_VARIABLE,
    BadAddress,
    PracticeApi,
)
from sgpshop.simulator.practice_shop import CAPTURE_ENDS
from tests.forms import forms_of, hidden_of

from .live import LiveGateway
from .shop import Shop
from .small_shop import KEY, SmallShop, encoded


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[LiveGateway]:
    with LiveGateway(tmp_path / "gateway.db", seed=3) as live:
        yield live


@pytest.fixture
def small_shop(gateway: LiveGateway) -> Iterator[SmallShop]:
    """A shop that the practice shop was told of, as `demo` tells it."""
    with SmallShop(gateway.call) as shop:
        told = {"api_url": shop.url, "api_key": KEY}
        assert gateway.control("POST", "practice-shop", told) == {"api_url": shop.url}
        yield shop


class Buyer:
    """A browser without scripts: it follows redirects, and presses buttons by their forms."""

    def __init__(self, gateway: LiveGateway) -> None:
        self.base = f"http://127.0.0.1:{gateway.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.page = self.session.get(f"{self.base}/practice-shop/")

    def buys(
        self, goods: str = "A-1", card: str = "good", quantity: str = "2", three_ds: str = "1"
    ) -> str:
        """Choose and press 購入する."""
        chosen = {"goods": goods, "card": card, "quantity": quantity, "three_ds": three_ds}
        return self._post(f"{self.base}/practice-shop/orders", chosen)

    def presses(self, label: str) -> str:
        """Press a button of the page's only form."""
        page = self.page.text
        action = forms_of(page)[1].action
        hidden = hidden_of(page)
        button = re.search(rf'<button type="submit"([^>]*)>{label}</button>', page)
        assert button, f"no {label} in {page}"
        hidden |= dict(re.findall(r'name="(\w+)" value="(\w+)"', button[1]))
        return self._post(requests.compat.urljoin(self.page.url, action), hidden)

    def opens(self, path: str) -> str:
        self.page = self.session.get(self.base + path)
        return self.page.text

    def _post(self, url: str, data: dict[str, str]) -> str:
        self.page = self.session.post(url, data=data)
        return self.page.text

    @property
    def order_no(self) -> str:
        found = re.search('data-order-no="(P[0-9]{18})"', self.page.text)
        assert found
        return found[1]


@pytest.fixture
def buyer(small_shop: SmallShop, gateway: LiveGateway) -> Buyer:
    return Buyer(gateway)


def test_the_shop_says_that_it_is_practice_and_what_it_sells(buyer: Buyer) -> None:
    page = buyer.page.text
    assert "<strong>練習ショップ</strong>" in page
    assert "実際のカードへの請求は行われません" in page
    for kind in ("通常商品", "予約商品", "定期購入"):
        assert kind in page
    for card in (
        "通常",
        "残高不足",
        "限度額超過",
        "使用不可",
        "応答エラー(C01)",
        "チャレンジ",
        "frictionless",
        "拒否",
    ):
        assert card in page
    assert "script-src" not in buyer.page.headers["Content-Security-Policy"]


def test_an_order_reaches_the_shop(
    gateway: LiveGateway, small_shop: SmallShop, buyer: Buyer
) -> None:
    page = buyer.buys()
    assert "注文を受け付けました" in page
    assert "決済方法ステータス:仮売上" in page
    assert f"{small_shop.url}/orders/{buyer.order_no}" in page
    assert "SGPカード実売上処理" in page  # what to do next
    trade = gateway.call("SearchTrade", OrderID=buyer.order_no)
    assert (trade["Status"], trade["Amount"]) == ("AUTH", "2500")
    assert small_shop.keys == [f"Bearer {KEY}"]


def test_a_buyer_may_be_spared_three_d_secure(small_shop: SmallShop, buyer: Buyer) -> None:
    small_shop.uses_three_ds = True
    assert "注文を受け付けました" in buyer.buys(card="challenge", three_ds="")
    assert "&#34;return_url&#34;: null" in buyer.opens("/practice-shop/log")


@pytest.mark.parametrize(
    ("goods", "hint", "status"),
    [("Y-1", "商品が入荷したら", "CHECK"), ("T-1", "1日から10日", "CHECK")],
)
def test_each_kind_of_order_says_what_comes_next(
    gateway: LiveGateway, buyer: Buyer, goods: str, hint: str, status: str
) -> None:
    assert hint in buyer.buys(goods)
    assert gateway.status(buyer.order_no) == status
    log = buyer.opens("/practice-shop/log")
    assert ("&#34;subscription&#34;" in log) is (goods == "T-1")


def test_the_next_capture_fails_as_it_was_chosen_and_no_other(
    gateway: LiveGateway, buyer: Buyer
) -> None:
    assert "次の実売上を失敗させる" in buyer.opens("/practice-shop/next-capture")
    assert "選んでください" in buyer.presses("次の1回を失敗させる")
    for how, _ in CAPTURE_ENDS.items():
        assert f'value="{how}"' in buyer.page.text
    page = buyer.session.post(buyer.page.url, data={"how": "over-limit"}).text
    assert "次の実売上処理は「限度額超過で断られる」になります" in page
    [rule] = gateway.control("GET", "faults")["faults"]
    assert (rule["api"], rule["job_cd"], rule["times"]) == ("AlterTran", "SALES", 1)
    assert rule["fault"] == "error:42G550000"


def test_a_declined_card_is_told_in_the_shop_s_words(small_shop: SmallShop, buyer: Buyer) -> None:
    page = buyer.buys(card="short_of_funds")
    assert "カードが承認されませんでした" in page
    assert "残高不足(42G020000)" in page
    assert not small_shop.orders


def test_a_buyer_passes_three_d_secure_without_scripts(
    gateway: LiveGateway, small_shop: SmallShop, buyer: Buyer
) -> None:
    small_shop.uses_three_ds = True
    assert "本人認証(3-Dセキュア)" in buyer.buys(card="challenge")
    assert "本人認証の手続きが終わりました" in buyer.presses("認証する")
    page = buyer.presses("ショップに戻る")
    assert "ありがとうございました" in page
    assert "仮売上" in page
    assert buyer.page.url == f"{buyer.base}/practice-shop/thanks/{buyer.order_no}"
    assert gateway.status(buyer.order_no) == "AUTH"


@pytest.mark.parametrize("button", ["認証しない", "中断"])
def test_a_buyer_does_not_pass(
    gateway: LiveGateway, small_shop: SmallShop, buyer: Buyer, button: str
) -> None:
    small_shop.uses_three_ds = True
    buyer.buys(card="challenge")
    buyer.presses(button)
    assert "ご注文は成立していません" in buyer.presses("ショップに戻る")
    assert gateway.status(buyer.order_no) == "AUTHENTICATED"


@pytest.mark.parametrize(
    ("card", "ends"), [("frictionless", "ありがとうございました"), ("rejected", "成立していません")]
)
def test_a_card_that_asks_nothing(
    small_shop: SmallShop, buyer: Buyer, card: str, ends: str
) -> None:
    small_shop.uses_three_ds = True
    assert "本人認証の手続きが終わりました" in buyer.buys(card=card)
    assert ends in buyer.presses("ショップに戻る")


def test_no_answer_is_told_as_what_it_is_and_the_order_can_be_sent_again(
    small_shop: SmallShop, buyer: Buyer
) -> None:
    small_shop.answer_instead = [None, (503, b"<html>")]
    assert "まだ分かりません" in buyer.buys()
    first = buyer.order_no
    assert "HTTP 503" in buyer.presses("同じ注文をもう一度送る")
    assert "注文を受け付けました" in buyer.presses("同じ注文をもう一度送る")
    assert list(small_shop.orders) == [first]


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""),
        (201, b"[1]"),
        (202, b"{}"),
        encoded(202, {"redirect_url": "javascript:alert(1)"}),
        encoded(422, {"title": "<script>alert(1)</script>", "detail": 7}),
    ],
)
def test_any_answer_is_shown_and_nothing_of_it_runs(
    small_shop: SmallShop, buyer: Buyer, answer: tuple[int, bytes]
) -> None:
    small_shop.answer_instead = [answer]
    page = buyer.buys()
    assert buyer.page.status_code == 200
    assert "<script>" not in page
    assert "javascript:" not in page


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"goods": "X"}, "商品を選んでください"),
        ({"card": "4111111111111111"}, "カードを選んでください"),
        ({"quantity": "0"}, "数量は1から20まで"),
        ({"quantity": "二"}, "数量は1から20まで"),
        ({"quantity": "999"}, "数量は1から20まで"),
    ],
)
def test_a_wrong_choice(
    small_shop: SmallShop, buyer: Buyer, chosen: dict[str, str], problem: str
) -> None:
    assert problem in buyer.buys(**chosen)
    assert buyer.page.status_code == 422
    assert not small_shop.keys


def test_what_went_over_the_wire_is_shown_without_secrets(buyer: Buyer) -> None:
    assert "まだ注文していません" in buyer.opens("/practice-shop/log")
    buyer.buys()
    number = buyer.order_no
    log = buyer.opens("/practice-shop/log")
    assert number in log
    assert "payment_status" in log
    for secret in ("tok_", KEY, "4111111111111111"):
        assert secret not in log


def test_without_a_shop_it_is_not_open(shop: Shop) -> None:
    for path in ("", "log", "orders/P1", "thanks/P1"):
        page = shop.http.get(f"/practice-shop/{path}")
        assert page.status_code == 404
        assert "開いていません" in page.text
    assert shop.http.post("/practice-shop/orders").status_code == 404


def test_an_order_it_does_not_remember(buyer: Buyer) -> None:
    assert "この注文の記録はありません" in buyer.opens("/practice-shop/orders/P1")
    assert buyer.page.status_code == 404


def test_the_environment_may_name_the_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PracticeApi.from_environment() is None
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:8000/")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    api = PracticeApi.from_environment()
    assert api == PracticeApi("http://127.0.0.1:8000", KEY)
    assert KEY not in repr(api)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("", KEY),
        ("ftp://shop", KEY),
        ("http://", KEY),
        ("http://shop:x", KEY),
        ("http://me@shop", KEY),
        ("http://shop/?x=1", KEY),
        ("http://shop", ""),
        ("http://shop", "two\nlines"),
        ("http://shop", "鍵"),
    ],
)
def test_an_address_or_a_key_that_is_none(shop: Shop, url: str, key: str) -> None:
    with pytest.raises(BadAddress):
        PracticeApi.at(url, key)
    told = {"api_url": url, "api_key": key}
    assert shop.http.post("/_control/practice-shop", json=told).status_code == 400
    assert shop.http.post("/_control/practice-shop", json={"api_url": url}).status_code == 400


@pytest.mark.usefixtures("small_shop")
def test_a_page_of_another_site_neither_buys_nor_says_how_a_capture_ends(
    gateway: LiveGateway,
) -> None:
    buyer = Buyer(gateway)
    buyer.session.headers["Sec-Fetch-Site"] = "cross-site"
    for path, data in (("next-capture", {"how": "lost-answer"}), ("orders", {"goods": "A-1"})):
        answer = buyer.session.post(f"{buyer.base}/practice-shop/{path}", data=data)
        assert answer.status_code == 403
    assert gateway.control("GET", "faults") == {"faults": []}
