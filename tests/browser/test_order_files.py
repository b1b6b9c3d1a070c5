"""Order files go in through the screen: the sample, and one with many kinds of bad rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sgpshop.services.demo.sample import SAMPLE
from tests.browser.conftest import Site, Visitor, look_again_until
from tests.seeds import LATER

BAD = Path(__file__).parent.parent / "data" / "orders-with-bad-rows.csv"


def upload(page: Page, file: Path) -> None:
    page.locator('input[name="file"]').set_input_files(file)
    page.get_by_role("button", name="内容を確認する").click()
    page.wait_for_url(re.compile(r"/orders/imports/[0-9a-f]+"))
    expect(page.locator("[data-run-state]")).to_have_attribute("data-run-state", "prepared")
    page.get_by_role("button", name=re.compile("件を取り込む")).click()
    expect(page.locator("[data-run-state=prepared]")).to_have_count(0)


@pytest.mark.parametrize(
    "javascript", [True, pytest.param(False, marks=LATER)], ids=["htmx", "plain forms"]
)
def test_the_sample_goes_in(site: Site, visitor: Visitor, javascript: bool) -> None:
    page = visitor.open("/orders/imports", javascript=javascript)
    upload(page, SAMPLE)
    run = page.locator("[data-run-state]")
    if not javascript:
        look_again_until(page, lambda: run.get_attribute("data-run-state") == "finished")
    expect(run).to_have_attribute("data-run-state", "finished")
    expect(run).to_have_attribute("data-added", "300")
    page.goto(f"{site.url}/orders?date_field=ordered_at&from=&to=")
    expect(page.locator("body")).to_contain_text("300件")


def test_bad_rows_are_told_by_line_and_the_good_ones_are_kept(site: Site, visitor: Visitor) -> None:
    """Without JavaScript: the other file goes in with it."""
    page = visitor.open("/orders/imports", javascript=False)
    upload(page, BAD)
    run = page.locator("[data-run-state]")
    look_again_until(page, lambda: run.get_attribute("data-run-state") == "finished")
    expect(page.locator("tr[data-line]").nth(11)).to_be_visible()  # at least 12 kinds
    expect(page.locator("[data-run-state]")).not_to_have_attribute("data-added", "0")
