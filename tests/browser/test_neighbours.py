"""From one order of a list to the next, by press and by key, and back to the same list."""

from __future__ import annotations

import itertools

from playwright.sync_api import expect

from tests.browser.conftest import Site, Visitor
from tests.browser.test_every_screen import check


def test_the_orders_of_the_list_follow_one_another(site: Site, visitor: Visitor) -> None:
    site.orders(3)
    page = visitor.open("/orders?status=authorized")
    links = page.locator("#order-table tbody tr a")
    expect(links).to_have_count(3)
    numbers = links.all_inner_texts()
    page.locator("#order-table tbody tr").nth(0).locator("a").first.click()
    place = page.locator("#neighbours")
    expect(place).to_contain_text("仮売上 1/3")
    page.get_by_role("link", name="次の注文").click()
    expect(place).to_contain_text("2/3")
    page.keyboard.press("j")
    expect(place).to_contain_text("3/3")
    expect(page.get_by_role("link", name="次の注文")).to_be_hidden()
    page.keyboard.press("k")
    expect(place).to_contain_text("2/3")
    page.locator(".breadcrumb a").click()
    page.wait_for_url("**/orders?status=authorized")
    page.goto(f"{site.url}/orders/{numbers[0]}")
    page.evaluate("sessionStorage.clear()")


def test_of_a_page_among_several_it_is_said_how_many_there_are(
    site: Site, visitor: Visitor
) -> None:
    site.orders(21)
    page = visitor.open("/orders?status=authorized&size=20")
    page.locator("#order-table tbody tr").nth(6).locator("a").first.click()
    expect(page.locator("#neighbours")).to_contain_text("仮売上 7/20 (全21件)")
    page.evaluate("sessionStorage.clear()")


def test_what_happened_to_the_money_is_said(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=9612)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator("[data-confirm-yes]").click()
    expect(page.locator("#messages")).to_contain_text(
        f"{order.order_no} 実売上 ¥9,612 が完了しました。"
    )


def test_after_a_capture_the_next_order_of_the_list_is_one_press_away(
    site: Site, visitor: Visitor
) -> None:
    site.orders(3)
    page = visitor.open("/orders?status=authorized&sort=ordered_at&dir=asc")
    links = page.locator("#order-table tbody tr a")
    expect(links).to_have_count(3)
    numbers = links.all_inner_texts()
    page.locator("#order-table tbody tr").nth(0).locator("a").first.click()
    for here, after in itertools.pairwise(numbers):
        page.wait_for_url(f"**/orders/{here}")
        page.get_by_role("button", name="SGPカード実売上処理").click()
        page.locator("[data-confirm-yes]").click()
        expect(page.locator("#messages")).to_contain_text(f"{here} 実売上 ¥3,000 が完了しました。")
        page.get_by_role("link", name="次の仮売上へ").click()
        page.wait_for_url(f"**/orders/{after}")
    page.evaluate("sessionStorage.clear()")
    page.goto(f"{site.url}/orders/{numbers[0]}")  # not from a list: whichever waits
    expect(page.get_by_role("link", name="次の仮売上へ")).to_have_attribute(
        "href", f"/orders/{numbers[2]}"
    )


def test_a_text_for_the_buyer_and_the_ids_are_copied(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    site.world.fault("error:42G550000", order_id=order.order_no)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    page.locator("[data-confirm-yes]").click()
    page.get_by_role("button", name="文面をコピー").click()
    expect(page.locator("#said")).to_have_text("コピーしました")
    copied = "navigator.clipboard.readText()"
    assert order.order_no in page.evaluate(copied)
    page.get_by_text("SMBC-GPの詳細").click()
    page.locator("[data-copy=gateway-order-id]").click()
    expect(page.locator("[data-copy=gateway-order-id]")).to_have_text("コピーしました")
    assert page.evaluate(copied) == order.order_no
    check(page)
    page.get_by_role("button", name="連絡済みにする").click()
    expect(page.locator(".order-head")).to_contain_text("連絡済み")
    page.context.clear_permissions()
