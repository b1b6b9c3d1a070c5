"""注文内容修正: while something typed is not saved nothing is sent or charged, and leaving asks (B1)."""

from __future__ import annotations

from playwright.sync_api import Dialog, expect

from tests.browser.conftest import NARROW, Site, Visitor


def test_capture_is_off_while_a_quantity_is_typed_and_leaving_asks(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    capture = page.get_by_role("button", name="SGPカード実売上処理")
    reason = page.locator("#unsaved-reason")
    expect(capture).to_be_enabled()
    expect(reason).to_be_hidden()
    page.get_by_label("送料").fill("700")
    expect(capture).to_be_disabled()
    expect(reason).to_be_visible()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    page.get_by_role("link", name="詳細注文情報").click()
    expect(page.get_by_label("送料")).to_have_value("700")
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="変更内容を保存").click()
    expect(page.get_by_role("button", name="変更内容をSMBC-GPに送信")).to_be_enabled()
    expect(reason).to_be_hidden()


def test_a_total_that_was_typed_and_given_up_leaves_the_capture_on(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    capture = page.get_by_role("button", name="SGPカード実売上処理")
    page.get_by_role("button", name="編集").click()
    page.get_by_label("合計金額").fill("5")
    expect(capture).to_be_disabled()
    page.get_by_role("button", name="取消").click()
    expect(capture).to_be_enabled()


def test_without_javascript_the_recalculated_page_says_so(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/edit", javascript=False)
    page.get_by_label("送料").fill("700")
    page.get_by_role("button", name="再計算").last.click()
    expect(page.get_by_role("button", name="SGPカード実売上処理")).to_be_disabled()
    expect(page.locator("#unsaved-reason")).to_be_visible()


def test_on_a_phone_the_bar_to_save_stands_above_the_tabs(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/edit", viewport=NARROW)
    save = page.get_by_role("button", name="変更内容を保存").bounding_box()
    tabs = page.locator(".phone-tabs").bounding_box()
    assert save
    assert tabs
    assert save["y"] + save["height"] <= tabs["y"]
