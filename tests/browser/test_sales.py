"""The accountant closes a month: sums, what differs, journal and CSV, by keyboard alone (R146, R149)."""

from __future__ import annotations

import csv
import re

from playwright.sync_api import Page, expect

from sgpshop.domain.billing_calendar import month_of, previous_month
from sgpshop.models import Operation, utc_now
from tests.browser.conftest import Site, Visitor
from tests.browser.test_every_screen import check
from tests.browser.test_print import pages_of
from tests.browser.test_scanner import reach
from tests.services.acting import press


def go_to(page: Page, name: str, kind: str = "link") -> None:
    """Walk by Tab until the control of this name has the focus, then press Enter."""
    reach(page, page.get_by_role(kind, name=name, exact=True))  # type: ignore[arg-type]
    page.keyboard.press("Enter")


def compare(page: Page, console_list: bytes) -> None:
    """取引一覧と突き合わせ; a file itself is chosen in a window of the system's."""
    go_to(page, "注文検索/一括処理")
    go_to(page, "取引一覧と突き合わせ")
    reach(page, page.locator("#file"))
    page.locator("#file").set_input_files(
        {"name": "transactions.csv", "mimeType": "text/csv", "buffer": console_list}
    )
    go_to(page, "照合する", "button")


def test_a_month_is_closed_by_keyboard(site: Site, visitor: Visitor) -> None:
    orders = site.orders(3)
    for order in orders:
        with site.app.app_context():
            press(order, Operation.CAPTURE)
    month = month_of(utc_now())
    page = visitor.open("/")
    go_to(page, "売上集計")
    expect(page.locator("[data-sold='9000'][data-total='9000']")).to_be_visible()
    go_to(page, "前の月")
    before = previous_month(month)
    expect(page.locator(f"[data-month='{before:%Y-%m}'][data-sold='0']")).to_be_visible()
    go_to(page, "次の月")
    expect(page.locator("[data-in-journal='9000']")).to_be_visible()
    check(page)
    with page.expect_download() as download:
        go_to(page, "CSV", "button")
    text = download.value.path().read_text("utf-8-sig")
    heading, *_, total = csv.reader(text.splitlines())
    assert dict(zip(heading, total, strict=True))["差引"] == "9000"
    with page.expect_download() as download:
        go_to(page, "弥生会計", "button")
    assert len(download.value.path().read_text("cp932").splitlines()) == 3
    go_to(page, "3")
    expect(page.locator("[data-order-no]")).to_have_count(3)
    expect(page.get_by_role("columnheader", name=re.compile("売上日時"))).to_be_visible()

    address = "/mulpayconsole/shop/tshop00000001/transactions.csv"
    console_list = site.world.simulator.test_client().get(address).get_data()
    compare(page, console_list)
    expect(page.locator("main")).to_contain_text("3件すべて一致しています")
    compare(page, console_list.replace(b",3000,", b",2999,", 1))
    expect(page.locator("[data-order-no]")).to_have_count(1)
    expect(page.locator("[data-order-no]")).to_contain_text("¥2,999")
    check(page)


def test_the_month_fits_a_telephone_and_a_sheet(site: Site, visitor: Visitor) -> None:
    for order in site.orders(2):
        with site.app.app_context():
            press(order, Operation.CAPTURE)
    page = visitor.open("/sales")
    assert pages_of(page) == 1
    page.set_viewport_size({"width": 390, "height": 844})
    check(page)
    expect(page.get_by_role("button", name="Excel")).to_be_visible()
