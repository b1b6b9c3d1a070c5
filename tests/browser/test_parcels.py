"""Parcels by hand in a browser: 配送完了, 返送処理 and what follows, with and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from sgpshop.models import Order
from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check


def press(page: Page, words: str) -> None:
    page.get_by_role("button", name=words, exact=True).click()


def yes(page: Page) -> None:
    page.locator("[data-confirm-yes]").click()


def parcel(page: Page) -> object:
    return page.locator("[data-delivery-status]")


def stands(page: Page, status: str) -> None:
    expect(parcel(page)).to_have_attribute("data-delivery-status", status)  # type: ignore[arg-type]


def is_told(page: Page, words: str) -> None:
    """Said aloud by the one status region, and the focus is on what shows it."""
    expect(page.get_by_role("status").filter(has_text=words)).to_have_count(1)
    expect(page.locator(".notice.is-success", has_text=words)).to_be_focused()


def nothing_was_sent(site: Site, order: Order) -> None:
    for api in ("AlterTran", "ChangeTran"):
        assert site.world.requests(order.order_no, api) == []


@pytest.mark.parametrize("javascript", [True, False], ids=["htmx", "plain forms"])
def test_from_delivery_to_return_and_back(site: Site, visitor: Visitor, javascript: bool) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}", javascript=javascript)
    press(page, "配送完了")
    expect(page.locator("#deliveries")).to_contain_text("未売上のまま配送完了になります")  # R30
    yes(page)
    stands(page, "delivered")
    expect(page.locator(".notice.is-success")).to_have_text("配送完了にしました。")
    press(page, "返送処理")
    expect(page.locator("#deliveries")).to_contain_text("SMBC-GPの決済は取り消されません")  # R90
    page.get_by_label("返送の理由").fill("受取拒否")
    yes(page)
    stands(page, "returned")
    expect(page.locator(".order-head")).to_contain_text("返送済み・取消未対応")  # R90a
    press(page, "返金しない")
    page.get_by_label("返金しない理由").fill("代品を送る")
    yes(page)
    expect(page.locator(".order-head")).not_to_contain_text("返送済み・取消未対応")
    press(page, "ステータスの変更")
    page.get_by_label("配送ステータス").select_option("unprocessed")
    yes(page)
    stands(page, "unprocessed")  # R31
    nothing_was_sent(site, order)
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "authorized")


def test_by_keyboard_alone(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}")
    page.get_by_role("button", name="配送完了", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-confirm-yes]")).to_be_focused()
    page.keyboard.press("Enter")
    is_told(page, "配送完了にしました")


def test_one_click_captures_and_delivers(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=9500)
    page = visitor.open(f"/orders/{order.order_no}/deliver")
    expect(page.locator("#deliveries")).to_contain_text("¥9,500")
    press(page, "実売上処理して配送完了")
    expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")
    stands(page, "delivered")  # R30
    assert site.world.sales(order.order_no) == 1


def test_a_double_click_is_one_act(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/deliver")
    page.locator("[data-confirm-yes]").dblclick()
    stands(page, "delivered")
    expect(page.locator("[data-version]")).to_have_attribute("data-version", "2")  # P19


def test_every_confirmation_is_usable(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, buyer="寿限無" * 20)
    page = visitor.open(f"/orders/{order.order_no}/deliver", viewport=NARROW)
    check(page)
    page.goto(f"{site.url}/orders/{order.order_no}/return")
    check(page)
    page.get_by_label("返送の理由").fill("長い理由" * 50)
    yes(page)
    stands(page, "returned")
    check(page)
    page.goto(f"{site.url}/orders?returned_open=1")
    expect(page.locator("#results")).to_contain_text("返送済み・取消未対応")  # R35
    check(page)
    for act in ("statuses", "waive-cancel"):
        page.goto(f"{site.url}/orders/{order.order_no}/{act}")
        expect(page.locator("[data-confirm-yes]")).to_be_visible()
        check(page)
    page.get_by_label("返金しない理由").fill("長い理由" * 50)
    yes(page)
    expect(page.locator("#deliveries")).to_contain_text(re.compile("「返金しない」を解除"))
    check(page)


@pytest.mark.parametrize("way", ["swapped", "whole page"])
def test_whoever_is_quick_is_told_as_well(site: Site, visitor: Visitor, way: str) -> None:
    """A form that leaves before htmx has taken it over goes as a whole page."""
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/deliver")
    if way == "whole page":
        page.locator("form:has([data-confirm-yes])").evaluate("form => form.submit()")
    else:
        yes(page)
    is_told(page, "配送完了にしました")
    stands(page, "delivered")
