"""設定 in a browser: the sales mode with its question, the password again, people (R85, S5, S3)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from sgpshop.models import LoginSession, Role
from sgpshop.services import settings
from sgpshop.storage.database import writing
from tests.browser.conftest import NARROW, WIDE, Site, Visitor
from tests.browser.test_every_screen import check
from tests.seeds import LATER
from tests.signing_in import PASSWORD, signed_in

both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "plain"])
#: of these forms another test presses the plain one
javascript_first = pytest.mark.parametrize(
    "javascript", [True, pytest.param(False, marks=LATER)], ids=["javascript", "plain"]
)


@pytest.fixture
def owner(site: Site) -> None:
    """The windows are the owner's."""
    client = signed_in(site.app, Role.OWNER, "店長")
    client.get("/healthz")
    cookie = client.get_cookie("sgpshop")
    assert cookie is not None
    site.cookie["value"] = cookie.value


def save(page: Page) -> None:
    page.get_by_role("button", name="保存", exact=True).click()


def stored(site: Site) -> settings.ShopSettings:
    with site.app.app_context():
        return settings.load()


def let_time_pass(site: Site) -> None:
    with site.app.app_context(), writing() as session:
        session.execute(sa.update(LoginSession).values(confirmed_at=None))


@both_ways
@pytest.mark.usefixtures("owner")
def test_another_sales_mode_is_asked_about(site: Site, visitor: Visitor, javascript: bool) -> None:
    site.orders(2, total=3000)
    page = visitor.open("/settings/sgp", javascript=javascript)
    page.get_by_label("売上処理種類").select_option("即時売上")
    page.get_by_label("ショップ名").fill("お茶の見本堂")
    save(page)
    expect(page.locator("main")).to_contain_text("¥6,000")  # R85
    page.locator("[data-confirm-no]").click()
    expect(page.get_by_label("売上処理種類")).to_have_value("auth_then_capture")
    expect(page.get_by_label("ショップ名")).to_have_value("お茶の見本堂")
    assert stored(site).shop_name == ""
    page.get_by_label("売上処理種類").select_option("即時売上")
    save(page)
    page.locator("[data-confirm-yes]").click()
    expect(page.locator(".notice.is-success")).to_have_text("設定を保存しました。")
    assert (stored(site).sales_mode, stored(site).shop_name) == ("immediate", "お茶の見本堂")


@javascript_first
@pytest.mark.usefixtures("owner")
def test_the_password_is_asked_for_and_nothing_typed_is_lost(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    page = visitor.open("/settings/sgp", javascript=javascript)
    let_time_pass(site)
    page.get_by_label("電話番号", exact=True).fill("03-0000-0000")
    save(page)
    page.get_by_label("ご自身のパスワード").fill(PASSWORD)
    save(page)
    expect(page.locator(".notice.is-success")).to_have_text("設定を保存しました。")
    assert stored(site).shop_tel == "03-0000-0000"


@javascript_first
@pytest.mark.usefixtures("owner")
def test_a_dialog_asks_for_the_password_and_keeps_every_secret_typed(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    let_time_pass(site)
    page = visitor.open("/settings/sgp", javascript=javascript)
    page.get_by_label("ショップパスワード").fill("shoppass02")
    page.get_by_label("電話番号", exact=True).fill("03-0000-0000")
    before = stored(site).shop_pass_sealed
    page.get_by_role("button", name="保存…").press("Enter")
    expect(page.get_by_label("ご自身のパスワード")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("ご自身のパスワード")).to_be_hidden()
    page.get_by_role("button", name="保存…").press("Enter")
    if javascript:
        check(page)
    page.get_by_label("ご自身のパスワード").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".notice.is-success")).to_have_text("設定を保存しました。")
    assert stored(site).shop_tel == "03-0000-0000"
    assert stored(site).shop_pass_sealed != before


@both_ways
@pytest.mark.usefixtures("owner")
def test_the_same_dialog_asks_before_any_other_setting_is_saved(
    site: Site, visitor: Visitor, javascript: bool
) -> None:
    let_time_pass(site)
    page = visitor.open("/settings/people", javascript=javascript)
    page.get_by_label("ユーザー名").fill("鈴木")
    page.get_by_label("最初のパスワード").fill("another good passphrase")
    page.get_by_role("button", name="登録…").press("Enter")
    expect(page.locator("#current-password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="鈴木").click()
    let_time_pass(site)
    page.reload()
    page.get_by_label("ログイン", exact=True).select_option("できない")
    page.get_by_role("button", name="変更…", exact=True).click()
    if javascript:
        check(page)
    page.locator("#password-for-rights").fill(PASSWORD)
    page.get_by_role("button", name="変更", exact=True).click()
    expect(page.locator('[data-person="鈴木"]')).to_have_attribute("data-active", "false")


@pytest.mark.usefixtures("owner")
def test_every_state_of_the_settings_is_for_everybody(site: Site, visitor: Visitor) -> None:
    site.orders(1)
    with site.app.app_context():
        settings.save(
            "店長", guide="<h3>案内</h3><ul><li><a href='https://example.jp/'>詳細</a></ul>"
        )
    page = visitor.open("/settings/sgp", viewport=NARROW)
    check(page)
    let_time_pass(site)
    page.get_by_label("決済名称").fill("長" * 16)
    save(page)
    expect(page.locator("#title-error")).to_be_visible()
    check(page)
    page.get_by_label("決済名称").fill("カード払い")
    page.get_by_label("売上処理種類").select_option("immediate")
    page.get_by_label("ご自身のパスワード").fill(PASSWORD)
    page.get_by_label("ショップパスワード").fill("shoppass01")
    save(page)
    expect(page.locator("[data-confirm-yes]")).to_be_visible()
    check(page)


@pytest.mark.usefixtures("owner")
def test_on_a_telephone_the_index_of_settings_is_a_press_away(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/settings/sgp", viewport=NARROW)
    box = page.get_by_label("ショップID").bounding_box()
    assert box
    assert box["y"] <= 330  # the form begins where the eye does
    menu = page.get_by_role("navigation", name="設定メニュー")
    expect(menu).to_be_hidden()
    page.get_by_role("button", name="設定メニュー").press("Enter")
    check(page)
    menu.get_by_role("link", name="納品書").press("Enter")
    page.wait_for_url("**/settings/files/paper")
    page.set_viewport_size(WIDE)
    expect(menu).to_be_visible()


@pytest.mark.usefixtures("owner")
def test_people_and_the_own_account_are_for_everybody(site: Site, visitor: Visitor) -> None:
    page = visitor.open("/settings/people", viewport=NARROW)
    let_time_pass(site)
    page.get_by_label("ユーザー名").fill("鈴木")
    page.get_by_label("最初のパスワード").fill("another good passphrase")
    page.get_by_role("button", name="登録").click()
    check(page)
    page.get_by_label("最初のパスワード").fill("another good passphrase")
    page.locator("#current-password").fill(PASSWORD)
    page.get_by_role("button", name="登録").click()
    page.get_by_role("link", name="鈴木").click()
    let_time_pass(site)
    page.get_by_label("ログイン", exact=True).select_option("できない")
    page.get_by_role("button", name="変更", exact=True).click()
    expect(page.locator("#password-for-rights-error")).to_be_visible()
    check(page)
    page.locator("#password-for-rights").fill(PASSWORD)
    page.get_by_role("button", name="変更", exact=True).click()
    expect(page.locator('[data-person="鈴木"]')).to_have_attribute("data-active", "false")
    page.get_by_text("その他", exact=True).click()
    page.get_by_role("link", name="アカウント", exact=True).click()
    expect(page.get_by_label("今のパスワード")).to_be_visible()
    check(page)
