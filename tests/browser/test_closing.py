"""The accountant closes October, as help leads: sales of many days, what differs, journal and CSV, by keyboard."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import python_calamine
from playwright.sync_api import expect

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import MoneyMovement
from sgpshop.storage.database import writing
from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check
from tests.browser.test_print import pages_of
from tests.browser.test_sales import go_to
from tests.browser.test_scanner import reach
from tests.factories import make_order
from tests.seeds import LATER
from tests.services.order_files.test_spreadsheets import Spreadsheet

OCTOBER = date(2026, 10, 1)
#: What LibreOffice is told of our CSV: commas, quotes, UTF-8, from the first line on, find numbers.
_CSV = "Text - txt - csv (StarCalc):44,34,76,1,,1041,false,true"


def sell(
    site: Site, day: date, yen: int, *, back_on: date | None = None, told_on: date | None = None
) -> str:
    """A sale of that day, all at 8 %; given back on another day; told of later than its file allows."""
    moment = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
    with site.app.app_context():
        order = make_order(
            total=yen,
            status=PaymentStatus.CANCELLED if back_on else PaymentStatus.CAPTURED,
            ordered_at=moment - timedelta(days=1),
            told=True,
        )
        assert order.transaction is not None
        of_it = {
            "order_id": order.id,
            "transaction_id": order.transaction.id,
            "is_subscription": False,
            "tax_10": 0,
        }
        sale = of_it | {"kept_before": 0, "kept_after": yen, "at_8": yen, "tax_8": yen * 8 // 108}
        gone = of_it | {
            "kept_before": yen,
            "kept_after": 0,
            "at_8": -yen,
            "tax_8": -(yen * 8 // 108),
        }
        with writing() as session:
            session.add(MoneyMovement(**sale, day=day, booked_on=told_on or day, is_refund=False))
            if back_on:
                session.add(MoneyMovement(**gone, day=back_on, booked_on=back_on, is_refund=True))
        return order.order_no


def test_october_is_closed_by_keyboard(site: Site, visitor: Visitor, tmp_path: Path) -> None:
    """20 days with a sale, two on the 7th; one given back in October, one in November; two told late."""
    for number in range(20):
        sell(site, OCTOBER + timedelta(days=number), 1000 + number)
    of_the_7th = sell(site, date(2026, 10, 7), 500)
    sell(site, date(2026, 10, 21), 3000, back_on=date(2026, 10, 28))
    sell(site, date(2026, 10, 22), 4000, back_on=date(2026, 11, 2))
    sell(site, date(2026, 10, 31), 700, told_on=date(2026, 11, 5))
    sell(site, date(2026, 9, 30), 90, told_on=date(2026, 10, 3))
    sold = sum(1000 + number for number in range(20)) + 500 + 3000 + 4000 + 700
    total = sold - 3000
    in_file = total - 700 + 90

    page = visitor.open("/")
    go_to(page, "売上集計")
    reach(page, page.get_by_label("月", exact=True))
    page.keyboard.press("Control+a")
    page.keyboard.type("2026-10")
    page.keyboard.press("Enter")
    whole = page.locator("[data-month='2026-10']")
    expect(whole).to_have_attribute("data-sold", str(sold))
    expect(whole).to_have_attribute("data-given-back", "-3000")
    expect(whole).to_have_attribute("data-total", str(total))
    days = page.locator("tr[data-day]")
    expect(days).to_have_count(24)
    shown = [int(one.get_attribute("data-total") or "") for one in days.all()]
    assert sum(shown) == total
    expect(page.locator("tr[data-day='2026-10-07']")).to_contain_text("¥1,506")

    # What the file of October has otherwise is said, with why.
    journal = page.locator("[data-in-journal]")
    expect(journal).to_have_attribute("data-in-journal", str(in_file))
    expect(journal).to_contain_text("あとで分かり、次の月以降のファイルに入る分")
    expect(journal).to_contain_text("前の月までの日付で、この月のファイルに入る分")
    with page.expect_download() as download:
        go_to(page, "弥生会計", "button")
    rows = list(csv.reader(download.value.path().read_text("cp932").splitlines()))
    assert (
        len(rows) == 20 + 1 + 2 + 1 + 1
    )  # the sales, that of the 7th, two and one refund, that of September
    assert sum(_signed(row) for row in rows) == in_file

    with page.expect_download() as download:
        go_to(page, "CSV", "button")
    saved = Spreadsheet(tmp_path).open_and_save(
        download.value.path().read_bytes(), "csv", "xlsx", _CSV
    )
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(saved))
    heading, *by_day, last = book.get_sheet_by_index(0).to_python()
    assert dict(zip(heading, last, strict=True))["差引"] == total
    assert len(by_day) == 31
    assert {type(row[0]) for row in by_day} == {date}  # a day, no text
    assert sum(row[5] for row in by_day) == total

    reach(page, page.locator("tr[data-day='2026-10-07'] a"))
    page.keyboard.press("Enter")
    expect(page.locator("[data-order-no]")).to_have_count(2)
    expect(page.locator(f"[data-order-no='{of_the_7th}']")).to_be_visible()


def _signed(row: list[str]) -> int:
    """Yen of a line of 弥生会計: a refund has the sales account on the other side."""
    yen = int(row[8])
    return yen if row[10] == "売上高" else -yen


@pytest.mark.parametrize(
    "javascript", [True, pytest.param(False, marks=LATER)], ids=["javascript", "plain"]
)
def test_help_alone_leads_through_the_month(site: Site, visitor: Visitor, javascript: bool) -> None:
    """Only what the page says is pressed: each word in 「」 is there."""
    sell(site, OCTOBER, 1000)
    page = visitor.open("/help", javascript=javascript)
    go_to(page, "売上を締める(月次)")
    expect(page.locator("#sums")).to_contain_text("売上集計を開いて")
    for step in ("open-questions", "sums", "compare"):
        page.locator(f"#{step} a[href^='/']").first.click()
        expect(page.locator("main h1, main h2").first).to_be_attached()
        page.go_back()
    page.locator("#sums a").first.click()
    expect(page.locator("[data-month]")).to_be_visible()
    for words in ("CSV", "Excel", "弥生会計"):
        expect(page.get_by_role("button", name=words, exact=True)).to_be_visible()


def test_the_steps_are_for_a_telephone_and_for_paper(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/help/close-month")
    assert pages_of(page) <= 3
    page.set_viewport_size(NARROW)
    check(page)


def test_the_longest_month_is_one_sheet(site: Site, visitor: Visitor) -> None:
    for number in range(31):
        sell(site, OCTOBER + timedelta(days=number), 1_000_000 + number)
    sell(site, date(2026, 10, 31), 700, told_on=date(2026, 11, 5))
    sell(site, date(2026, 9, 30), 90, told_on=date(2026, 10, 3))
    page = visitor.open("/sales?month=2026-10")
    expect(page.locator("tr[data-day]")).to_have_count(31)
    assert pages_of(page) == 1
