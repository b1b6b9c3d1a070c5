"""From one order of a list to the next, by press and by key, and back to the same list."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Site, Visitor


def test_the_orders_of_the_list_follow_one_another(site: Site, visitor: Visitor) -> None:
    site.orders(3)
    page = visitor.open("/orders?status=authorized")
    numbers = [link.inner_text() for link in page.locator("#order-table tbody tr a").all()]
    page.locator("#order-table tbody tr").nth(0).locator("a").first.click()
    place = page.locator("#neighbours")
    expect(place).to_contain_text("1/3")
    page.get_by_role("link", name="次の注文").click()
    expect(place).to_contain_text("2/3")
    page.keyboard.press("j")
    expect(place).to_contain_text("3/3")
    expect(page.get_by_role("link", name="次の注文")).to_be_hidden()
    page.keyboard.press("k")
    expect(place).to_contain_text("2/3")
    page.locator(".breadcrumb a").click()
    assert page.url.endswith("/orders?status=authorized")
    assert len(numbers) >= 3
    page.goto(f"{site.url}/orders/{numbers[0]}")
    page.evaluate("sessionStorage.clear()")


def test_what_happened_to_the_money_is_said(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=9612)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator("[data-confirm-yes]").click()
    expect(page.locator("#messages")).to_contain_text(
        f"{order.order_no} 実売上 ¥9,612 が完了しました。"
    )
