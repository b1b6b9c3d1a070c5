"""納品書 on paper and 配送完了 of many in a browser, with and without JavaScript (R51, R145)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from sgpshop.extensions import db
from sgpshop.models import Order, OrderLine
from sgpshop.storage.database import writing
from tests.browser.conftest import Site, Visitor, look_again_until
from tests.browser.test_every_screen import check
from tests.seeds import LATER


def pages_of(page: Page) -> int:
    """How many sheets of A4 the browser makes of this page."""
    return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format="A4", print_background=True)))


def long_order(site: Site) -> Order:
    [order] = site.orders(1)
    with site.app.app_context(), writing() as session:
        order = session.get_one(Order, order.id)
        order.lines += [
            OrderLine(
                position=n,
                name=f"煎茶 {n}番 " + "深蒸し" * 8,
                unit_price=100,
                quantity=n,
                tax_rate=8,
            )
            for n in range(2, 51)
        ]
    return order


def test_the_screen_of_a_print(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/print")
    check(page)
    expect(page.get_by_role("button", name="印刷")).to_be_visible()


def test_without_javascript_a_sentence_stands_for_the_button(site: Site, visitor: Visitor) -> None:
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/print", javascript=False)
    expect(page.get_by_role("button", name="印刷")).to_be_hidden()
    # The test's browser keeps a <noscript> to itself, though it runs no script.
    assert "ブラウザーのメニューの「印刷」" in page.content()


def test_on_paper_each_sheet_begins_a_page_and_only_the_sheets_are_there(
    site: Site, visitor: Visitor
) -> None:
    for order in site.orders(3):
        last = order
    page = visitor.open(f"/orders/{last.order_no}/print")
    assert pages_of(page) == 1
    page.emulate_media(media="print")
    expect(page.locator(".tools")).to_be_hidden()
    long = long_order(site)
    page.goto(f"{site.url}/orders/{long.order_no}/print")
    page.emulate_media(media="print")
    expect(page.locator(".again")).to_contain_text(long.order_no)  # on every page of the table
    assert pages_of(page) >= 2


@pytest.mark.parametrize(
    "javascript", [True, pytest.param(False, marks=LATER)], ids=["htmx", "plain forms"]
)
def test_printing_and_delivering_many(site: Site, visitor: Visitor, javascript: bool) -> None:
    orders = site.orders(3, total=1000)
    page = visitor.open("/orders", javascript=javascript)
    for order in orders:
        page.locator(f'input[value="{order.order_no}"]').check()
    page.get_by_role("button", name="一括処理を選択").click()
    page.get_by_role("button", name="納品書印刷", exact=True).click()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="処理を実行").click()
    printed = opened.value
    expect(printed.locator(".sheet")).to_have_count(3)
    assert pages_of(printed) == 3
    printed.close()
    page.get_by_role("button", name="一括処理を選択").click()  # the ticks are still there
    page.get_by_role("button", name="配送完了", exact=True).click()
    page.get_by_role("button", name="処理を実行").click()
    expect(page.get_by_text("うち3件(¥3,000)は、未売上のまま配送完了になります。")).to_be_visible()
    page.locator("[data-confirm-yes]").click()
    if not javascript:
        run = page.locator("[data-run-state]")
        look_again_until(page, lambda: run.get_attribute("data-run-state") == "finished")
    expect(page.locator("main").get_by_text("3件中 3件が配送完了")).to_be_visible()
    if javascript:
        expect(page.locator("#said")).to_have_text("3件中 3件が配送完了")
    with site.app.app_context():
        classes = [db.session.get_one(Order, order.id).processing_class for order in orders]
    assert set(classes) == {"delivered"}
    assert all(site.world.sales(order.order_no) == 0 for order in orders)  # R30


def test_the_choice_of_before_cannot_be_carried_out_while_another_is_made(
    site: Site, visitor: Visitor
) -> None:
    [order] = site.orders(1)
    page = visitor.open("/orders")
    page.locator(f'input[value="{order.order_no}"]').check()
    page.get_by_role("button", name="一括処理を選択").click()
    page.get_by_role("button", name="納品書印刷", exact=True).click()
    run = page.get_by_role("button", name="処理を実行")
    expect(run).to_have_attribute("formaction", "/orders/bulk/print")
    held: list[Route] = []
    page.route("**/orders/bulk/selection", lambda route: held.append(route))
    page.get_by_role("button", name="一括処理を選択").click()
    expect(run).to_be_disabled()
    while not held:
        page.wait_for_timeout(20)
    held.pop().continue_()
    page.unroute("**/orders/bulk/selection")
    page.get_by_role("button", name="配送完了", exact=True).click()
    expect(page.locator(".chosen-action")).to_contain_text("配送完了")
    expect(run).to_be_enabled()


def test_list_and_order_on_paper(site: Site, visitor: Visitor) -> None:  # B18
    orders = site.orders(30)
    page = visitor.open("/orders?from=&to=")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 within its margins
    row = page.locator("#order-table tbody tr").first
    expect(row).to_have_css("display", "table-row")  # no telephone's card
    for hidden in (
        ".top-bar",
        ".phone-tabs",
        "#bulk-bar",
        ".tick >> nth=0",
        "main .button >> nth=0",
    ):
        expect(page.locator(hidden)).to_be_hidden()
    assert b"/MediaBox [0 0 841" in page.pdf(prefer_css_page_size=True)  # it lies
    page.goto(f"{site.url}/orders/{orders[0].order_no}")
    assert pages_of(page) <= 2
    for name in ("SGPカード実売上処理", "登録"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()
    expect(page.get_by_text(orders[0].order_no).first).to_be_visible()


def test_a_picking_list_from_the_grid(site: Site, visitor: Visitor) -> None:
    orders = site.orders(2)
    page = visitor.open("/slips")
    page.get_by_role("checkbox", name="このページの注文をすべて選択").check()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="ピッキングリスト").click()
    printed = opened.value  # it may have come no further than its first byte
    expect(printed.locator(".sheet")).to_have_attribute("data-orders", str(len(orders)))
    check(printed)
    assert pages_of(printed) == 1
    printed.get_by_role("link", name="発送へ戻る").click()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="納品書印刷").click()
    notes = opened.value
    expect(notes.locator('[data-has-amounts="true"]')).to_have_count(2)
    notes.get_by_role("button", name="なし").click()
    expect(notes.locator('[data-has-amounts="false"]')).to_have_count(2)
    check(notes)
