"""注文を探す: the box on every page, by hand and by key, wide and narrow (R35a)."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import NARROW, WIDE, Site, Visitor
from tests.factories import make_order


def test_type_and_enter_opens_the_one_hit_from_any_page(site: Site, visitor: Visitor) -> None:
    with site.app.app_context():
        caller = make_order(buyer="髙﨑 邉子", buyer_tel="090-1234-5678", tel_search="09012345678")
        for _ in range(2):
            make_order()
    page = visitor.open("/help")
    for words in ("高崎", "５６７８", caller.order_no.lower()):
        page.keyboard.press("/")
        expect(page.locator("#find-word")).to_be_focused()
        page.keyboard.type(words)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/orders/{caller.order_no}")
        page.go_back()
    page.fill("#find-word", "佐藤")
    page.keyboard.press("Enter")
    expect(page.locator("#order-table tbody tr")).to_have_count(2)
    expect(page.locator("#find-word")).to_have_value("佐藤")
    page.fill("#find-word", "どこにもいない人")
    page.keyboard.press("Enter")
    expect(page.get_by_text("条件に合う注文はありません")).to_be_visible()
    assert visitor.complaints == []


def test_the_first_order_stays_within_sight(site: Site, visitor: Visitor) -> None:
    site.orders(3)
    for viewport, most in ((WIDE, 230), (NARROW, 330)):
        page = visitor.open("/orders", viewport=viewport)
        first = page.locator("#order-table tbody tr").first.bounding_box()
        box = page.locator("#find-word").bounding_box()
        assert first is not None
        assert box is not None
        assert first["y"] <= most
        assert box["x"] + box["width"] <= viewport["width"]


def test_on_a_phone_a_thumb_reaches_the_box(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open("/help", viewport=NARROW)
    page.locator(".phone-tabs label").click()
    expect(page.locator("#find-word")).to_be_focused()
    page.keyboard.type(order.order_no)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/orders/{order.order_no}")
