"""Slip numbers through a real browser: file, preview, 処理を実行, result — also without JavaScript."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, WIDE, Site, Visitor, look_again_until
from tests.browser.test_every_screen import check
from tests.services.slip_files import slip, slip_file


def hand_in(page: Page, file: Path) -> None:
    page.get_by_label("伝票番号ファイル").set_input_files(file)
    page.get_by_label("利用する").check()
    page.get_by_role("button", name="内容を確認する").click()
    page.wait_for_url(re.compile(r"/slips/[0-9a-f]{32}"))


@pytest.mark.parametrize(
    ("javascript", "viewport"), [(True, WIDE), (False, NARROW)], ids=["htmx", "plain forms at 390"]
)
def test_from_file_to_result(
    site: Site, visitor: Visitor, tmp_path: Path, javascript: bool, viewport: dict[str, int]
) -> None:
    orders = site.orders(3)
    file = tmp_path / "slips.csv"
    file.write_bytes(slip_file(*(slip(order) for order in orders), slip("P999")))
    page = visitor.open("/slips/file", javascript=javascript, viewport=viewport)
    if javascript:  # axe needs it
        check(page)
    hand_in(page, file)
    preview = page.locator("#preview")
    expect(preview).to_have_attribute("data-captures", "3")
    expect(preview).to_have_attribute("data-bad", "1")
    if javascript:
        check(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="処理を実行").click()
    result = page.locator("#result")
    if not javascript:
        look_again_until(page, lambda: result.get_attribute("data-run-state") == "finished")
    expect(result).to_have_attribute("data-run-state", "finished")
    expect(result).to_have_attribute("data-succeeded", "3")
    expect(result).to_have_attribute("data-failed", "1")
    if javascript:
        check(page)
    assert [site.world.sales(order.order_no) for order in orders] == [1, 1, 1]
    page.get_by_role("button", name="失敗した行をやり直す").click()
    expect(page.locator("#preview")).to_have_attribute("data-bad", "1")
