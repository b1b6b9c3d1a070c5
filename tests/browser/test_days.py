"""A day of the owner, by mouse over a slow line that breaks; and one of the clerk, without a mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, Role
from sgpshop.storage.database import writing
from tests.browser.conftest import NARROW, Site, Visitor, look_again_until
from tests.browser.test_scanner import label, press, scan
from tests.signing_in import PASSWORD, make_person

#: milliseconds to every answer
LATENCY = 400


@pytest.fixture(autouse=True)
def only_what_was_cut(visitor: Visitor) -> Iterator[None]:
    """Chromium complains about every request that is cut off here on purpose."""
    yield
    visitor.complaints = [words for words in visitor.complaints if "net::ERR_" not in words]


class Line:
    """What is between a window and the site."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Network.enable")

    def becomes(self, *, latency: int = 0, offline: bool = False) -> None:
        conditions = {"downloadThroughput": -1, "uploadThroughput": -1}
        conditions |= {"latency": latency, "offline": offline}
        self._session.send("Network.emulateNetworkConditions", conditions)


def stands(page: Page, status: str) -> None:
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", status)


def test_the_owner(site: Site, visitor: Visitor) -> None:
    shipped = site.orders(3, total=2000)
    [declined, dear, called_off] = site.orders(3, total=8000)
    site.world.fault("error:42G550000", order_id=declined.order_no)
    with site.app.app_context():
        make_person("店長", Role.OWNER)
        numbers = [order.order_no for order in (*shipped, declined)]
        with writing() as session:
            session.execute(
                sa.update(Order)
                .where(Order.order_no.in_(numbers))
                .values(processing_class=ProcessingClass.DELIVERED)
            )
    site.cookie["value"] = "nobody"
    page = visitor.open("/")
    line = Line(page)
    line.becomes(latency=LATENCY)
    page.get_by_label("ユーザー名").fill("店長")
    page.get_by_label("パスワード").fill(PASSWORD)
    page.get_by_role("button", name="ログイン").click()

    # The morning's first look: what is shipped is charged, one card is declined.
    page.get_by_role("link", name="4件を売上処理").click()
    page.get_by_role("button", name="処理を実行").click()
    expect(page.locator("dialog")).to_contain_text("¥14,000")
    page.locator("dialog [data-confirm-yes]").click()
    expect(page.locator("#bulk-bar")).to_contain_text("4件中 3件が決済完了")
    page.locator(".shop-name").click()
    expect(page.locator("main")).to_contain_text("成功 3・失敗 1")

    # Why: the order says it, and whom to ask.
    page.get_by_role("link", name=re.compile("^売上失敗: ")).click()
    page.get_by_role("link", name=declined.order_no).click()
    expect(page.locator("#payment-error")).to_contain_text("限度額")
    expect(page.locator("#payment-error")).to_contain_text("請求は行われていません")

    # An amount is corrected; the line breaks in the middle and nothing is said to be done.
    page.locator("#find-word").fill(dear.order_no)
    page.locator("#find-word").press("Enter")
    page.get_by_role("link", name="注文内容修正").click()
    page.get_by_role("button", name="編集").click()
    page.get_by_label("合計金額").fill("7500")
    line.becomes(offline=True)
    page.get_by_role("button", name="確定").click()
    expect(page.locator("#messages .is-error")).to_contain_text("通信できませんでした")
    expect(page.get_by_label("合計金額")).to_have_value("7500")
    line.becomes(latency=LATENCY)
    page.get_by_role("button", name="確定").click()
    expect(page.locator("[data-version]")).to_have_attribute("data-total", "7500")
    page.get_by_role("button", name="送信して実売上処理").click()
    page.locator("[data-confirm-yes]").click()
    stands(page, "captured")

    # A delivery that will not come is called off; the day ends.
    page.goto(f"{site.url}/orders/{called_off.order_no}")
    page.get_by_role("button", name="注文キャンセル").click()
    page.locator("[data-confirm-yes]").click()
    stands(page, "cancelled")
    page.locator(".who summary").click()
    page.get_by_role("button", name="ログアウト").click()
    expect(page.get_by_role("button", name="ログイン")).to_be_visible()
    line.becomes()

    sold = {order.order_no: site.world.sales(order.order_no) for order in (*shipped, dear)}
    assert set(sold.values()) == {1}
    assert site.world.trade(dear.order_no)["amount"] == 7500
    assert [site.world.sales(one.order_no) for one in (declined, called_off)] == [0, 0]


def test_the_clerk(site: Site, visitor: Visitor) -> None:
    parcels = site.orders(3, total=1200)
    page = visitor.open("/")

    # A caller: found by number, and the note of it stays.
    page.keyboard.press("/")
    scan(page, parcels[0].order_no)
    page.wait_for_url(f"**/orders/{parcels[0].order_no}")
    page.locator("textarea[name=memo], #notes textarea").first.focus()
    page.keyboard.type("不在時は宅配ボックスへ")
    press(page, "記録する")
    expect(page.locator("#said")).not_to_have_text("")

    # Parcels: scanned, looked at, registered and charged together.
    page.goto(f"{site.url}/slips")
    expect(page.locator("#slip-grid .slips").first).to_be_focused()
    for n in range(3):
        scan(page, label(n))
    page.locator("input[name=capture_on_slip]").set_checked(True)
    press(page, "内容を確認する")
    press(page, "処理を実行")
    expect(page.locator("#result")).to_have_attribute("data-succeeded", "3")
    assert {site.world.sales(order.order_no) for order in parcels} == {1}

    # One comes back, and its money goes back too.
    page.goto(f"{site.url}/orders/{parcels[1].order_no}")
    press(page, "返送処理")
    page.get_by_label("返送の理由").focus()
    page.keyboard.type("受取拒否")
    page.locator("[data-confirm-yes]").press("Enter")
    expect(page.locator(".order-head")).to_contain_text("返金未対応")
    press(page, "注文キャンセル")
    page.locator("[name=refund_confirmed]").press("Space")
    page.locator("[data-confirm-yes]").press("Enter")
    stands(page, "cancelled")
    assert site.world.trade(parcels[1].order_no)["status"] in ("VOID", "RETURN", "RETURNX")


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_cancel_without_javascript(site: Site, visitor: Visitor, *, many: bool) -> None:
    orders = site.orders(2 if many else 1)
    path = "/orders" if many else f"/orders/{orders[0].order_no}"
    page = visitor.open(path, javascript=False, viewport=NARROW)
    if many:
        for order in orders:
            page.locator(f'input[name="order_no"][value="{order.order_no}"]').check()
        page.get_by_role("button", name="一括処理を選択").click()
        page.locator("#choose-cancel").click()
        page.get_by_role("button", name="処理を実行").click()
        expect(page.locator("main")).to_contain_text("元に戻せません")
        page.locator("[name=sum_confirmed]").check()
        page.locator("[data-confirm-yes]").click()
        run = page.locator("[data-run-state]")
        look_again_until(page, lambda: run.get_attribute("data-run-state") == "finished")
        expect(run).to_have_attribute("data-succeeded", "2")
    else:
        page.get_by_role("button", name="注文キャンセル").click()
        page.locator("[data-confirm-yes]").click()
        stands(page, PaymentStatus.CANCELLED.value)
    assert {site.world.trade(order.order_no)["status"] for order in orders} <= {"VOID", "RETURN"}
