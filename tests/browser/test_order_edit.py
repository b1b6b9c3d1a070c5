"""注文内容修正 as the help page tells it, in a real browser, with and without JavaScript (R62-R77c)."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from sgpshop.models import Order, OrderKind
from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check
from tests.factories import make_order
from tests.seeds import LATER, each_once

_PLAIN = pytest.param(False, id="plain forms")
_PLAIN_LATER = pytest.param(False, id="plain forms", marks=LATER)
_HTMX = pytest.param(True, id="htmx")
JAVASCRIPT = pytest.mark.parametrize("javascript", [_HTMX, _PLAIN])
#: the same plain forms as those of the tests above it
JAVASCRIPT_FIRST = pytest.mark.parametrize("javascript", [_HTMX, _PLAIN_LATER])


def root(page: Page) -> object:
    return page.locator("[data-version]")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def correct(page: Page, typed: str) -> None:
    """編集, type, 確定; the names are unique on the page."""
    press(page, "編集")
    page.get_by_label("合計金額").fill(typed)
    press(page, "確定")


@JAVASCRIPT
def test_edit_confirm_send_capture(site: Site, visitor: Visitor, javascript: bool) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}", javascript=javascript)
    page.get_by_role("link", name="注文内容修正").click()  # R54
    expect(page.locator("[aria-current=step]")).to_contain_text("①")
    correct(page, "９，５００円")
    expect(root(page)).to_have_attribute("data-total", "9500")  # type: ignore[arg-type]
    line = page.locator(".is-correction", has_text="修正額")
    expect(line).to_have_text("修正額 9,500円（−500円）")  # R64
    expect(line).to_have_css("color", "rgb(206, 0, 0)")  # red
    expect(page.locator("s", has_text="10,000円")).to_be_visible()
    expect(page.locator("[aria-current=step]")).to_contain_text("②")  # R74
    assert site.world.trade(order.order_no)["amount"] == 10_000
    press(page, "変更内容をSMBC-GPに送信")
    expect(root(page)).to_have_attribute("data-gateway-amount", "9500")  # type: ignore[arg-type]
    expect(page.get_by_role("button", name="変更内容をSMBC-GPに送信")).to_be_disabled()
    expect(page.locator("body")).to_contain_text("送信済み")
    expect(page.locator(".correction")).to_contain_text("修正額 9,500円（−500円）")
    expect(line).to_have_count(0)  # nothing is open about it any more
    press(page, "SGPカード実売上処理")
    page.locator("[data-confirm-yes]").click()
    expect(root(page)).to_have_attribute("data-payment-status", "captured")  # type: ignore[arg-type]
    trade = site.world.trade(order.order_no)
    assert (trade["status"], trade["amount"]) == ("SALES", 9_500)  # R73


@JAVASCRIPT_FIRST
def test_send_and_capture_in_one_go(site: Site, visitor: Visitor, javascript: bool) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit", javascript=javascript)
    correct(page, "9000")
    press(page, "送信して実売上処理")
    expect(page.locator("form.confirmation")).to_contain_text("¥9,000")
    page.locator("[data-confirm-no]").click()
    expect(page.locator("form.confirmation")).to_have_count(0)
    assert site.world.trade(order.order_no)["amount"] == 10_000
    press(page, "送信して実売上処理")
    page.locator("[data-confirm-yes]").click()
    expect(root(page)).to_have_attribute("data-payment-status", "captured")  # type: ignore[arg-type]
    assert site.world.trade(order.order_no)["amount"] == 9_000


@JAVASCRIPT_FIRST
def test_cancelling_the_edit_changes_nothing(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit", javascript=javascript)
    press(page, "編集")
    page.get_by_label("合計金額").fill("1")
    press(page, "取消")
    expect(page.get_by_role("button", name="編集")).to_be_visible()
    expect(root(page)).to_have_attribute("data-version", "1")  # type: ignore[arg-type]


def test_the_amount_is_echoed_while_typing_and_typed_content_stays(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    page.get_by_label("備考").fill("まだ保存していない")
    press(page, "編集")
    expect(page.get_by_label("合計金額")).to_be_focused()
    page.get_by_label("合計金額").fill("１２，０００")
    expect(page.locator("#total-echo")).to_contain_text("12,000円(現在の 10,000円から +2,000円)")
    page.get_by_label("合計金額").fill("1e3")
    expect(page.locator("#total-echo")).to_contain_text("数字だけ")  # R65
    page.keyboard.press("Enter")
    expect(page.locator("#total-error")).to_be_visible()
    expect(page.get_by_label("合計金額")).to_have_value("1e3")
    page.get_by_label("合計金額").fill("9500")
    page.keyboard.press("Enter")
    expect(root(page)).to_have_attribute("data-total", "9500")  # type: ignore[arg-type]
    expect(page.get_by_label("備考")).to_have_value("まだ保存していない")


@JAVASCRIPT
def test_items_are_added_changed_and_deleted(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit", javascript=javascript)
    page.locator("[name=quantity]").first.fill("2")
    press(page, "商品を追加")
    expect(page.locator("[name=quantity]")).to_have_count(3)
    expect(page.locator("[name=quantity]").first).to_have_value("2")  # kept
    page.locator("[name=name]").last.fill("ノート")
    page.locator("[name=unit_price]").last.fill("３００")
    page.locator("[name=quantity]").last.fill("4")
    if not javascript:
        press(page, "再計算")
    expect(page.locator("#recalculated")).to_contain_text("¥21,200")  # R76a
    press(page, "変更内容を保存")
    expect(root(page)).to_have_attribute("data-total", "21200")  # type: ignore[arg-type]
    page.get_by_label("削除").first.check()
    press(page, "変更内容を保存")
    expect(root(page)).to_have_attribute("data-total", "1200")  # type: ignore[arg-type]


def test_enter_in_a_field_only_calculates(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    page.get_by_label("送料").fill("500")
    page.keyboard.press("Enter")
    expect(page.locator("#edit-summary")).to_contain_text("¥10,500")
    expect(root(page)).to_have_attribute("data-version", "1")  # type: ignore[arg-type]


def test_saving_right_after_typing_saves_what_was_typed(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit")
    for total, carriage in (("10500", "500"), ("10600", "600"), ("10700", "700")):
        page.get_by_label("送料").fill(carriage)
        page.wait_for_timeout(380)  # while the recalculation is about to be asked for
        press(page, "変更内容を保存")
        expect(root(page)).to_have_attribute("data-total", total)  # type: ignore[arg-type]


@JAVASCRIPT
def test_a_typed_total_is_asked_about(site: Site, visitor: Visitor, javascript: bool) -> None:
    [order] = site.orders(1, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit", javascript=javascript)
    correct(page, "9500")
    expect(root(page)).to_have_attribute("data-total", "9500")  # type: ignore[arg-type]
    page.get_by_label("送料").fill("500")
    if not javascript:
        press(page, "変更内容を保存")
    page.get_by_label("計算した 10,500円にする").check()  # R76b
    press(page, "変更内容を保存")
    expect(root(page)).to_have_attribute("data-total", "10500")  # type: ignore[arg-type]


@pytest.mark.parametrize(("javascript", "what"), each_once([True, False], ["total", "content"]))
def test_two_people(site: Site, visitor: Visitor, javascript: bool, what: str) -> None:
    [order] = site.orders(1, total=10_000)
    path = f"/orders/{order.order_no}/edit"
    mine, theirs = visitor.open(path, javascript=javascript), visitor.open(path)
    press(mine, "編集")
    correct(theirs, "8000")
    expect(root(theirs)).to_have_attribute("data-total", "8000")  # type: ignore[arg-type]
    if what == "total":
        mine.get_by_label("合計金額").fill("9500")
        press(mine, "確定")
    else:
        mine.get_by_label("備考").fill("私の備考")
        press(mine, "変更内容を保存")
    told = mine.locator(".since")
    expect(told).to_contain_text("田中さんが合計金額を修正しました")  # P20: by whom and what
    expect(told).to_contain_text("10,000円 → 8,000円")
    assert site.world.trade(order.order_no)["amount"] == 10_000
    if what == "total":
        expect(mine.get_by_label("合計金額")).to_have_value("9500")
        press(mine, "確定")
        expect(root(mine)).to_have_attribute("data-total", "9500")  # type: ignore[arg-type]
    else:
        expect(mine.get_by_label("備考")).to_have_value("私の備考")
        press(mine, "変更内容を保存")
        expect(mine.locator("body")).to_contain_text("注文内容の変更を保存しました")


def test_an_order_captured_meanwhile_becomes_read_only_in_place(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1, total=10_000)
    mine = visitor.open(f"/orders/{order.order_no}/edit")
    press(mine, "編集")
    theirs = visitor.open(f"/orders/{order.order_no}/capture")
    theirs.locator("[data-confirm-yes]").click()
    expect(root(theirs)).to_have_attribute("data-payment-status", "captured")  # type: ignore[arg-type]
    mine.get_by_label("合計金額").fill("9500")
    press(mine, "確定")
    expect(root(mine)).to_have_attribute("data-payment-status", "captured")  # type: ignore[arg-type]
    expect(mine.locator("#edit-reason")).to_contain_text("決済完了")  # R75a
    expect(mine.locator(".since")).to_contain_text("田中さんの実売上処理が完了しました")
    expect(mine.get_by_role("button", name="確定")).to_have_count(0)


class TestSlow:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"ANSWER_WAIT": 0.2}

    def test_sending_shows_processing_and_then_arrives(self, site: Site, visitor: Visitor) -> None:
        [order] = site.orders(1, total=10_000)
        page = visitor.open(f"/orders/{order.order_no}/edit")
        correct(page, "9500")
        expect(root(page)).to_have_attribute("data-total", "9500")  # type: ignore[arg-type]
        site.world.fault("delay:2", "ChangeTran")
        press(page, "変更内容をSMBC-GPに送信")
        expect(page.locator("#payment-error")).to_contain_text("処理中")
        expect(root(page)).to_have_attribute(  # type: ignore[arg-type]
            "data-gateway-amount", "9500"
        )
        expect(page.get_by_role("button", name="編集")).to_be_visible()


def test_every_state_of_the_screen(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=10_000, note="長い備考" * 60, buyer="寿限無" * 20)
    page = visitor.open(f"/orders/{order.order_no}/edit", viewport=NARROW)
    check(page)
    press(page, "編集")
    page.get_by_label("合計金額").fill("abc")
    press(page, "確定")
    expect(page.locator("#total-error")).to_be_visible()
    check(page)
    page.get_by_label("合計金額").fill("9500")
    press(page, "確定")
    expect(page.locator(".correction")).to_be_visible()
    check(page)
    page.get_by_label("送料").fill("x")
    page.locator("[name=quantity]").first.fill("3")
    press(page, "変更内容を保存")
    expect(page.locator(".field-error").first).to_be_visible()
    check(page)
    page.get_by_label("送料").fill("500")
    press(page, "変更内容を保存")
    expect(page.locator("#edit-summary fieldset")).to_be_visible()
    send = page.get_by_role("button", name="送信して実売上処理")
    expect(send).to_be_disabled()  # nothing is saved before that is answered
    check(page)
    page.get_by_label("9,500円のままにする").check()
    press(page, "変更内容を保存")
    expect(send).to_be_enabled()
    check(page)
    send.click()
    expect(page.locator("[data-confirm-yes]")).to_be_visible()
    check(page)
    page.locator("[data-confirm-yes]").click()
    expect(page.locator("#edit-reason")).to_be_visible()
    check(page)


@pytest.mark.parametrize("kind", [OrderKind.PREORDER, OrderKind.SUBSCRIPTION])
def test_kinds_that_send_nothing(site: Site, visitor: Visitor, kind: OrderKind) -> None:
    with site.app.app_context():
        order: Order = make_order(kind=kind, total=10_000)
    page = visitor.open(f"/orders/{order.order_no}/edit", viewport=NARROW)
    expect(page.get_by_role("button", name="変更内容をSMBC-GPに送信")).to_have_count(0)  # R69
    check(page)
