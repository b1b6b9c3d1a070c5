"""Help where the word stands, the first minute of a tab, and what there is to practise with."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from sgpshop.domain.payment_status import PaymentStatus
from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check
from tests.browser.test_sales import go_to


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "plain"])
def test_a_word_is_explained_where_it_stands_by_keyboard(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    [order] = site.orders(1, status=PaymentStatus.NEEDS_REVIEW)
    page = visitor.open(f"/orders/{order.order_no}", javascript=javascript)
    for word in ("決済方法ステータス", "要確認", "オーソリ期限", "照合"):
        go_to(page, f"{word}とは", "button")
        paragraph = page.get_by_role("region", name=word, exact=True)
        expect(paragraph).to_be_visible()
        page.keyboard.press("Escape")
        expect(paragraph).to_be_hidden()
    go_to(page, "照合とは", "button")
    go_to(page, "ヘルプで詳しく見る")
    page.wait_for_url("**/help#reconcile")


def test_a_corrected_amount_explains_itself_on_both_screens(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1, total=900, gateway_amount=1000, original_total=1000)
    page = visitor.open(f"/orders/{order.order_no}", viewport=NARROW)
    for path in ("/edit", ""):
        page.goto(f"{site.url}/orders/{order.order_no}{path}")
        page.get_by_role("button", name="修正額とは").click()
        expect(page.get_by_role("region", name="修正額")).to_contain_text("変更内容をSMBC-GPに送信")
    check(page)


def test_a_word_of_the_list_and_of_home(site: Site, visitor: Visitor) -> None:
    site.orders(1, status=PaymentStatus.NEEDS_REVIEW)
    page = visitor.open("/orders")
    page.get_by_role("button", name="決済方法ステータスとは").click()
    expect(page.get_by_role("region", name="決済方法ステータス")).to_contain_text("仮売上")
    check(page)
    page.goto(site.url)
    page.get_by_role("button", name="要確認とは").click()
    expect(page.get_by_role("region", name="要確認")).to_be_visible()


def test_a_tab_in_the_background_counts_on(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/help")
    page.clock.install()
    page.goto(site.url)
    expect(page).to_have_title("ホーム | SGP Shop")
    page.locator(".shop-name").focus()
    site.orders(3, status=PaymentStatus.CAPTURE_FAILED, told=True)
    page.clock.fast_forward("01:01")
    expect(page).to_have_title("(3) ホーム | SGP Shop")
    expect(page.locator(".work-name", has_text="売上失敗")).to_be_visible()
    expect(page.locator(".shop-name")).to_be_focused()


def test_help_is_searched_and_a_month_is_closed_by_its_pages(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/help")
    page.get_by_label("ヘルプの中を探す").last.fill("月末")
    page.keyboard.press("Enter")
    expect(page.locator("[data-found]").first).to_be_visible()
    page.set_viewport_size(NARROW)  # what was found stands before the index there
    expect(page.locator("[data-found]").first).to_be_in_viewport()
    page.goto(f"{site.url}/help/close-month")
    check(page)


def test_practice_is_a_menu(site: Site, visitor: Visitor) -> None:
    site.app.config["GATEWAY_URL"] = "http://127.0.0.1:8001"
    page = visitor.open("/help", viewport=NARROW)
    page.get_by_text("練習モード", exact=True).first.click()
    for words in ("練習ショップ", "次の実売上を失敗させる…"):
        link = page.get_by_role("link", name=words)
        expect(link).to_be_visible()
        assert "/practice-shop/" in (link.get_attribute("href") or "")
    page.get_by_role("link", name="データを最初に戻すには").click()
    expect(page.locator("#practice-start-over")).to_be_in_viewport()
