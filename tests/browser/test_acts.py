"""How few acts each task of the day takes from where it begins; fails when one more is needed.

An act is a click, a chord of keys or a field filled; a word typed and sent by Enter is one, as is a scan.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.models import Operation, Order
from sgpshop.services import settings
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing
from tests.browser.conftest import Site, Visitor
from tests.factories import make_order
from tests.services.acting import press, seen
from tests.services.deliveries.test_labels import SENDER
from tests.services.slip_files import slip, slip_file


class Hand:
    """Somebody at a window; counts what they do."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.acts = 0

    def press(self, name: str | re.Pattern[str]) -> None:
        """A button or a link."""
        self.click(
            self.page.get_by_role("button", name=name).or_(self.page.get_by_role("link", name=name))
        )

    def click(self, place: Locator) -> None:
        self.acts += 1
        place.first.click()

    def fill(self, place: Locator, words: str) -> None:
        self.acts += 1
        place.fill(words)

    def send(self, place: Locator, words: str) -> None:
        """Typed, or scanned, and Enter."""
        self.fill(place, words)
        place.press("Enter")


def test_a_callers_order_is_opened_by_a_word(site: Site, visitor: Visitor) -> None:
    """By which words, tests/web/order_search/test_find.py asks."""
    with site.app.app_context():
        make_order()
        caller = make_order(buyer="髙﨑 邉子")
    page = visitor.open("/")
    hand = Hand(page)
    hand.send(page.locator("#find-word"), "高崎")
    page.wait_for_url(f"**/orders/{caller.order_no}")
    assert hand.acts == 1


def test_all_shipped_orders_are_captured_from_home_and_the_result_is_one_press_away(
    site: Site, visitor: Visitor
) -> None:
    orders = site.orders(5, total=1500)
    with site.app.app_context(), writing() as session:
        session.execute(sa.update(Order).values(processing_class=ProcessingClass.DELIVERED))
    page = visitor.open("/")
    hand = Hand(page)
    hand.press("5件を売上処理")
    hand.press("処理を実行")
    expect(page.locator("dialog")).to_contain_text("¥7,500")
    hand.click(page.locator("dialog [data-confirm-yes]"))
    expect(page.locator("#bulk-bar")).to_contain_text("5件中 5件が決済完了")
    assert hand.acts <= 3
    assert {site.world.sales(order.order_no) for order in orders} == {1}
    page.goto(site.url)
    hand = Hand(page)
    hand.press("結果")
    expect(page.locator("#result")).to_have_attribute("data-succeeded", "5")
    assert hand.acts <= 1


def test_one_order_is_captured_from_its_page(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}")
    hand = Hand(page)
    hand.press("SGPカード実売上処理")
    hand.click(page.locator("[data-confirm-yes]"))
    expect(page.locator("#messages")).to_contain_text("完了しました")
    assert hand.acts <= 2


def test_an_amount_is_changed_sent_and_captured(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    hand = Hand(page)
    hand.press("編集")
    hand.fill(page.get_by_label("合計金額"), "9000")
    hand.press("確定")
    hand.press("送信して実売上処理")
    hand.click(page.locator("[data-confirm-yes]"))
    root = page.locator("[data-version]")
    expect(root).to_have_attribute("data-payment-status", "captured")
    assert site.world.trade(order.order_no)["amount"] == 9_000
    assert hand.acts <= 5


@pytest.mark.parametrize("is_paid", [True, False], ids=["paid", "not paid"])
def test_the_slip_number_of_one_parcel(site: Site, visitor: Visitor, *, is_paid: bool) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}")
    if is_paid:
        page.get_by_role("button", name="SGPカード実売上処理").click()
        page.locator("[data-confirm-yes]").click()
        expect(page.locator("#messages")).to_contain_text("完了しました")
    hand = Hand(page)
    hand.fill(page.get_by_label("伝票番号", exact=True), "4000-0000-0001")
    hand.click(page.get_by_role("button", name="登録", exact=True))
    expect(page.locator("#messages, #deliveries .notice").first).to_contain_text("登録")
    assert hand.acts <= 2


def test_parcels_by_scanner(site: Site, visitor: Visitor) -> None:
    site.orders(4)
    page = visitor.open("/slips")
    hand = Hand(page)
    for n in range(4):
        hand.send(page.locator("#slip-grid .slips").nth(n), f"{50000000000 + n}")
    hand.press("内容を確認する")
    hand.press("処理を実行")
    expect(page.locator("#result")).to_have_attribute("data-succeeded", "4")
    assert hand.acts <= 4 + 2


def test_labels_out_and_the_carriers_file_back(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    orders = site.orders(3)
    with site.app.app_context():
        settings.save("山田", capture_on_slip=True, **SENDER)
    page = visitor.open("/slips")
    hand = Hand(page)
    hand.click(page.locator("[data-all]"))
    hand.press("送り状ファイル")
    expect(page.locator("[data-labels]")).to_be_visible()
    assert hand.acts <= 2
    file = tmp_path / "slips.csv"
    file.write_bytes(slip_file(*(slip(order) for order in orders)))
    page.goto(f"{site.url}/slips/file")
    hand = Hand(page)
    page.get_by_label("伝票番号ファイル").set_input_files(file)
    hand.acts += 1
    hand.press("内容を確認する")
    hand.press("処理を実行")
    expect(page.locator("#result")).to_have_attribute("data-succeeded", "3")
    assert hand.acts <= 3
    assert {site.world.sales(order.order_no) for order in orders} == {1}


def test_a_month_is_one_press_away(site: Site, visitor: Visitor) -> None:
    """Captured, given back, and what is still uncollected."""
    sold, shipped = site.orders(2, total=1500)
    with site.app.app_context():
        press(sold, Operation.CAPTURE)
        parcels.deliver(shipped.id, seen(shipped), Actor.person("田中"), [0])
    page = visitor.open("/")
    hand = Hand(page)
    hand.press("売上集計")
    month = "[data-sold='1500'][data-given-back='0'][data-uncollected='1500']"
    expect(page.locator(month)).to_be_visible()
    assert hand.acts <= 1
