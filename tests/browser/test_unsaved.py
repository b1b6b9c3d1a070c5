"""注文内容修正: while something typed is not saved nothing is sent or charged, and leaving asks (B1)."""

from __future__ import annotations

import pytest
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


@pytest.mark.parametrize("leave", ["at once", "Tab"])
def test_a_total_that_is_being_typed_is_saved_with_the_content(
    site: Site, visitor: Visitor, leave: str
) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    bar = page.locator("#edit-summary")
    expect(bar).to_contain_text("変更はまだありません")
    page.get_by_role("button", name="編集").click()
    page.get_by_label("合計金額").fill("3000")
    if leave == "Tab":
        page.keyboard.press("Tab")
    expect(bar.get_by_text("入力した合計金額も一緒に保存します")).to_be_visible()
    expect(bar.get_by_text("変更はまだありません")).to_be_hidden()
    page.get_by_label("送料").fill("700")
    page.get_by_role("button", name="変更内容を保存").click()
    root = page.locator("#order-edit")
    expect(root).to_have_attribute("data-total", "3000")
    expect(page.get_by_label("送料")).to_have_value("700")
    expect(page.get_by_role("button", name="SGPカード実売上処理")).to_be_disabled()  # R72
    expect(page.get_by_role("button", name="変更内容をSMBC-GPに送信")).to_be_enabled()


def test_a_total_that_cannot_be_is_told_when_the_content_is_saved(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    page.get_by_label("備考").fill("急ぎ")
    page.get_by_role("button", name="編集").click()
    page.get_by_label("合計金額").fill("3千円")
    page.get_by_role("button", name="変更内容を保存").click()
    expect(page.locator("#total-error")).to_contain_text("数字だけ")
    expect(page.get_by_label("備考")).to_have_value("急ぎ")
    expect(page.get_by_role("button", name="SGPカード実売上処理")).to_be_disabled()
    page.get_by_label("合計金額").fill("3000")
    page.get_by_role("button", name="変更内容を保存").click()
    expect(page.locator("#order-edit")).to_have_attribute("data-total", "3000")
    expect(page.get_by_label("備考")).to_have_value("急ぎ")


def test_what_is_typed_elsewhere_is_told_in_the_bar_too(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    page.get_by_label("備考").fill("急ぎ")
    expect(page.locator("#edit-summary").get_by_text("変更はまだありません")).to_be_hidden()


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
