"""2段階認証 in a browser, by keyboard alone, with and without JavaScript (S2)."""

from __future__ import annotations

import time

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check
from tests.seeds import LATER
from tests.signing_in import PASSWORD

both_ways = pytest.mark.parametrize(
    "javascript", [True, pytest.param(False, marks=LATER)], ids=["javascript", "plain"]
)


def code(seed: str, *, later: int = 0) -> str:
    return pyotp.TOTP(seed).at(int(time.time()) + 30 * later)


def sign_in(page: Page, site: Site) -> None:
    """Name and password, by keyboard: the first field has the focus."""
    page.goto(f"{site.url}/login")
    expect(page.get_by_label("ユーザー名")).to_be_focused()
    page.keyboard.type("田中")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("認証コード(6桁)")).to_be_focused()


@both_ways
def test_it_is_set_up_and_used_by_keyboard(site: Site, visitor: Visitor, javascript: bool) -> None:
    page = visitor.open("/account", javascript=javascript, viewport=NARROW)
    page.get_by_role("link", name="2段階認証を設定").press("Enter")
    if javascript:
        check(page)
    expect(page.locator("main svg path").last).to_be_visible()
    page.get_by_text("QRコードを読み取れないとき").press("Enter")
    seed = page.locator("main code").inner_text().replace(" ", "")
    page.get_by_label("認証コード(6桁)").fill(code(seed))
    page.keyboard.press("Enter")
    expect(page.locator("[data-recovery-codes] code")).to_have_count(10)
    codes = page.locator("[data-recovery-codes] code").all_inner_texts()
    if javascript:
        check(page)
    page.get_by_role("link", name="控えたので先に進む").press("Enter")
    page.context.clear_cookies()

    sign_in(page, site)
    if javascript:
        check(page)
    page.keyboard.type("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("認証コードが違うか")
    page.get_by_label("認証コード(6桁)").fill(code(seed, later=1))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/")
    page.context.clear_cookies()

    sign_in(page, site)
    page.get_by_text("スマートフォンが手元にないとき").press("Enter")
    page.get_by_label("予備コード", exact=True).fill(codes[0])
    page.keyboard.press("Enter")
    expect(page.locator(".notice.is-warning")).to_contain_text("残り9個")
    page.goto(f"{site.url}/account/second-factor")
    if javascript:
        check(page)
    page.get_by_role("button", name="解除する").press("Enter")
    expect(page.locator(".notice.is-success")).to_contain_text("2段階認証を解除しました")
