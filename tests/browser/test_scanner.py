"""The clerk's parcels of a morning: 4 by scanner, 3 by file, one with two numbers, one number that is none (R78a)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from sgpshop.extensions import db
from sgpshop.models import Delivery, LoginSession, Order
from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check
from tests.browser.test_slips import hand_in
from tests.services.slip_files import slip, slip_file


def label(n: int) -> str:
    """A number of Yamato's with a last digit that checks."""
    return f"{(body := 40000000000 + n):011d}{body % 7}"


def scan(page: Page, code: str) -> None:
    """What a barcode scanner does: it types, and presses Enter."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def reach(page: Page, place: Locator) -> None:
    """Go there by Tab, as without a mouse."""
    wanted = (
        place.first.element_handle()
    )  # to look for it by its name takes longer than to press Tab
    for _ in range(200):
        at = wanted.evaluate("one => one.isConnected && [one === document.activeElement]")
        if not at:  # another stands in its place meanwhile
            wanted = place.first.element_handle()
        elif at[0]:
            return
        else:
            page.keyboard.press("Tab")
    raise AssertionError(f"no way to {place}")


def press(page: Page, name: str) -> None:
    """Reach a button or a link by Tab, and press it."""
    reach(page, page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)))
    page.keyboard.press("Enter")


def shows(fields: Locator, *numbers: str) -> None:
    """The fields hold these, once the page is there."""
    expect(fields).to_have_count(len(numbers))
    for field, number in zip(fields.all(), numbers, strict=True):
        expect(field).to_have_value(number)


def numbers(site: Site) -> dict[str, str]:
    with site.app.app_context():
        rows = db.session.query(Order.order_no, Delivery.slip_no, Delivery.more_slips).join(
            Delivery
        )
        return {no: f"{slip} {more}".strip() for no, slip, more in rows}


def test_a_morning_by_scanner_and_file_without_a_mouse(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    orders = [order.order_no for order in site.orders(9)]
    page = visitor.open("/slips")
    first = page.locator("#slip-grid .slips").first
    expect(first).to_be_focused()
    page.locator("select[name=carrier_code]").first.select_option("002")
    first.focus()
    for n in range(4):
        scan(page, label(n))
    page.keyboard.type(f"{label(4)} {label(5)}")  # two boxes
    page.keyboard.press("Enter")
    scan(page, "1234?")
    page.keyboard.press("ArrowUp")  # a look at it
    expect(page.locator("#slip-grid .slips").nth(5)).to_be_focused()
    expect(page.locator("#slip-count")).to_have_text("6")
    check(page)
    press(page, "内容を確認する")
    preview = page.locator("#preview")
    expect(preview).to_have_attribute("data-to-do", "5")
    expect(preview).to_have_attribute("data-bad", "1")
    expect(page.get_by_text(label(5))).to_be_visible()
    check(page)
    press(page, "処理を実行")
    expect(page.locator("#result")).to_have_attribute("data-run-state", "finished")
    expect(page.locator("#result")).to_have_attribute("data-succeeded", "5")

    file = tmp_path / "slips.csv"
    file.write_bytes(slip_file(*(slip(no, label(20 + n)) for n, no in enumerate(orders[6:]))))
    page.goto(f"{site.url}/slips/file")
    hand_in(page, file)
    press(page, "処理を実行")
    expect(page.locator("#result")).to_have_attribute("data-succeeded", "3")

    page.goto(f"{site.url}/slips")
    expect(page.locator("#slip-grid .slips")).to_have_count(1)  # the wrong one waits
    expect(page.locator("#slip-grid .slips")).to_have_value("")  # its result was seen
    page.goto(f"{site.url}/slips/history")
    expect(page.locator("tbody tr")).to_have_count(2)
    check(page)
    wanted = [label(n) for n in range(4)] + [f"{label(4)} {label(5)}", ""]
    wanted += [label(20 + n) for n in range(3)]
    assert [numbers(site)[no] for no in orders] == wanted


def test_a_label_read_twice_is_overwritten_by_the_next(site: Site, visitor: Visitor) -> None:
    site.orders(3)
    page = visitor.open("/slips")
    fields = page.locator("#slip-grid .slips")
    expect(fields.first).to_be_focused()
    for code in ("1111", "1111"):
        scan(page, code)
    expect(page.locator("#slip-said")).to_contain_text("1111 は入力済みです")
    for code in ("2222", "3333"):
        scan(page, code)
    expect(page.locator("#slip-said")).to_be_empty()
    shows(fields, "1111", "2222", "3333")
    expect(page.locator("#check-slips")).to_be_focused()


def test_what_was_typed_survives_reload_another_screen_no_connection_and_a_session_that_ended(
    site: Site, visitor: Visitor
) -> None:  # B3
    site.orders(2)
    page = visitor.open("/slips", viewport=NARROW)
    fields = page.locator("#slip-grid .slips")
    fields.first.fill("1111")
    page.reload()
    expect(fields.first).to_have_value("1111")
    page.goto(f"{site.url}/orders")
    page.goto(f"{site.url}/slips?q=nothing-like-it")
    expect(page.locator("#slip-count")).to_have_text("1")
    page.goto(f"{site.url}/slips")
    page.locator("[data-another]").first.click()
    page.keyboard.type("2222")
    expect(fields.first).to_have_value("1111 2222")
    page.context.set_offline(True)
    page.get_by_role("button", name="内容を確認する").click()
    expect(page.locator("#slip-said")).to_contain_text("入力した内容は残っています")
    page.context.set_offline(False)
    with site.app.app_context():
        db.session.query(LoginSession).delete()
        db.session.commit()
    page.get_by_role("button", name="内容を確認する").click()
    expect(page.locator("#messages")).to_contain_text(
        "しばらく操作がなかったか、ほかで終了されたため"
    )


@pytest.mark.parametrize("javascript", [True, False], ids=["htmx", "plain forms"])
def test_on_a_phone_with_and_without_javascript(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    orders = site.orders(2)
    page = visitor.open("/slips", javascript=javascript, viewport=NARROW)
    fields = page.locator("#slip-grid .slips")
    fields.first.focus()
    scan(page, "1111")
    expect(fields.nth(1)).to_be_focused()
    scan(page, "2222")
    expect(page.locator("#slip-count")).to_have_text("2")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="内容を確認する").click()
    page.wait_for_url(re.compile(r"/slips/[0-9a-f]{32}"))
    page.get_by_role("link", name="入力に戻って直す").click()
    shows(fields, "1111", "2222")
    page.get_by_role("button", name="内容を確認する").click()
    page.get_by_role("button", name="処理を実行").click()
    expect(page.locator("#result")).to_be_visible()
    while "" in numbers(site).values():
        page.wait_for_timeout(100)
    assert sorted(numbers(site)[order.order_no] for order in orders) == ["1111", "2222"]
