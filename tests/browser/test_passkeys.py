"""A passkey as the second step, made and used by Chromium's own virtual device (S2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Page, Route, expect

from sgpshop.extensions import db
from sgpshop.models import Activity, LoginSession, Passkey, Person
from tests.browser.conftest import NARROW, Site, Visitor
from tests.browser.test_every_screen import check
from tests.signing_in import PASSWORD

URL = "/account/second-factor"
LOGIN = "パスキーでログイン"


def named(site: Site) -> str:
    """The address by name: browsers make no keys for numbers."""
    return site.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def page(site: Site, visitor: Visitor) -> Iterator[Page]:
    """A window of a machine that has a key in it, whose owner is at hand."""
    page = visitor.open("/login", viewport=NARROW)
    page.context.clear_cookies()
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield page
    devices.send("WebAuthn.removeVirtualAuthenticator", device)
    devices.detach()
    page.context.clear_cookies()


def sign_in(page: Page, site: Site) -> None:
    """Name and password, by keyboard."""
    page.goto(f"{named(site)}/login")
    expect(
        page.locator("[name=name]")
    ).to_be_focused()  # with the first frame, late on a busy machine
    page.keyboard.type("田中")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("パスワード")).to_have_count(0)


def add(page: Page, site: Site, name: str) -> None:
    page.goto(named(site) + URL)
    page.get_by_label("名前", exact=True).fill(name)
    page.get_by_role("button", name="パスキーを追加").press("Enter")


def set_up(page: Page, site: Site) -> list[str]:
    """The first second step; its 予備コード."""
    sign_in(page, site)
    add(page, site, "店のパソコン")
    expect(page.locator("[data-recovery-codes] code")).to_have_count(10)
    return page.locator("[data-recovery-codes] code").all_inner_texts()


def test_it_is_made_and_used_by_keyboard(page: Page, site: Site) -> None:
    codes = set_up(page, site)
    page.goto(named(site) + URL)
    expect(page.locator("main")).to_contain_text("店のパソコン")
    check(page)
    page.context.clear_cookies()

    sign_in(page, site)
    expect(page.get_by_label("認証コード(6桁)")).to_have_count(0)  # there is no telephone
    check(page)
    button = page.get_by_role("button", name=LOGIN)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{named(site)}/")
    page.context.clear_cookies()

    sign_in(page, site)  # where the device is not at hand
    page.get_by_text("パスキーを使えないとき").press("Enter")
    page.get_by_label("予備コード", exact=True).fill(codes[0])
    page.keyboard.press("Enter")
    expect(page.locator(".notice.is-warning")).to_contain_text("残り9個")

    page.goto(named(site) + URL)
    page.get_by_role("button", name="店のパソコンを外す").press("Enter")
    expect(page.locator(".notice.is-success")).to_contain_text("パスキーを外しました")
    page.context.clear_cookies()
    sign_in(page, site)
    expect(page).to_have_url(f"{named(site)}/")  # the password alone again


def test_before_something_grave_it_takes_the_place_of_the_password(
    page: Page, site: Site
) -> None:  # S5
    set_up(page, site)
    with site.app.app_context():
        db.session.execute(sa.update(LoginSession).values(confirmed_at=None))
        db.session.commit()
    page.goto(named(site) + URL)
    page.get_by_role("button", name="新しい予備コードを作る…").press("Enter")
    check(page)
    again = page.get_by_role("dialog").get_by_role("button", name="パスキーで確認して続ける")
    again.press("Enter")
    expect(page.locator("[data-recovery-codes] code")).to_have_count(10)
    page.goto(named(site) + URL)  # good for ten minutes
    expect(page.get_by_role("button", name="新しい予備コードを作る", exact=True)).to_be_visible()


def test_a_device_that_is_no_ones_or_says_no_is_told(page: Page, site: Site) -> None:
    set_up(page, site)
    add(page, site, "同じ端末")  # one key a device and person
    expect(page.locator("[data-passkey-problem]")).to_be_visible()
    expect(page.locator("[data-passkey-problem]")).to_contain_text("パスキーを作れませんでした")


def test_what_a_device_answered_opens_once(page: Page, site: Site) -> None:
    """Whoever overheard it all, password and answer, comes too late."""
    set_up(page, site)
    page.context.clear_cookies()
    sign_in(page, site)
    with page.expect_request(re.compile("/login/code")) as sent:
        page.get_by_role("button", name=LOGIN).click()
    expect(page).to_have_url(f"{named(site)}/")
    heard = {name: values[0] for name, values in parse_qs(sent.value.post_data or "").items()}
    thief = requests.Session()
    form = thief.get(f"{named(site)}/login").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token is not None
    answer = thief.post(f"{named(site)}/login/code", data=heard | {"csrf_token": token[1]})
    assert answer.status_code == 422
    assert "パスキーを確認できませんでした" in answer.text
    assert "/login" in thief.get(f"{named(site)}/orders").url


def test_by_a_number_for_an_address_the_screen_says_why_not(site: Site, visitor: Visitor) -> None:
    page = visitor.open(URL)
    expect(page.locator("main")).to_contain_text("https で始まるホスト名のアドレス")


def alone(page: Page, site: Site) -> None:
    """The button of the login page, by keyboard; the device is asked for any key it has for us."""
    page.goto(f"{named(site)}/login")
    page.get_by_role("button", name=LOGIN).press("Enter")


def choose_alone(page: Page, site: Site, words: str) -> None:
    page.goto(named(site) + URL)
    page.get_by_role("button", name=words, exact=True).press("Enter")
    expect(page.locator(".notice.is-success")).to_be_visible()


def test_who_wants_it_signs_in_by_a_passkey_alone(page: Page, site: Site) -> None:
    page.goto(f"{named(site)}/login")
    expect(page.get_by_role("button", name=LOGIN)).to_have_count(0)  # nobody wants it
    set_up(page, site)
    choose_alone(page, site, "パスキーだけでログインできるようにする")
    check(page)
    page.context.clear_cookies()
    alone(page, site)
    expect(page).to_have_url(f"{named(site)}/")
    with site.app.app_context():
        newest = db.session.scalars(sa.select(Activity).order_by(Activity.id.desc())).first()
        assert newest is not None
        assert (newest.event, newest.actor) == ("signed_in", "田中")
        assert newest.detail["note"].endswith("パスキーだけ")

    choose_alone(page, site, "利用しない")
    page.context.clear_cookies()
    page.goto(f"{named(site)}/login")
    expect(page.get_by_role("button", name=LOGIN)).to_have_count(0)


def test_a_key_alone_opens_to_its_own_wish_and_once(page: Page, site: Site) -> None:
    set_up(page, site)
    choose_alone(page, site, "パスキーだけでログインできるようにする")
    page.context.clear_cookies()
    heard: list[str] = []

    def keep(route: Route) -> None:
        heard.append(route.request.post_data or "")
        route.abort()

    page.route("**/login/passkey", keep)  # it never arrives
    with page.expect_event("requestfailed"):
        alone(page, site)
    page.unroute("**/login/passkey")
    sent = {name: values[0] for name, values in parse_qs(heard[0]).items()}

    def send(**other: str) -> int:
        """The same answer from another browser, which has a token of its own."""
        browser = requests.Session()
        form = browser.get(f"{named(site)}/login", timeout=10).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', form)
        assert token is not None
        data = sent | {"csrf_token": token[1]} | other
        headers = {"Origin": named(site)}
        return browser.post(
            f"{named(site)}/login/passkey",
            data=data,
            headers=headers,
            timeout=10,
            allow_redirects=False,
        ).status_code

    for odd in ("", "{}", "[]", '{"id": 1}', '{"id": "x"}'):
        assert send(passkey=odd) == 422
    assert send(passkey_question="x") == 422
    with site.app.app_context():
        db.session.execute(sa.update(Person).values(is_active=False))
        db.session.commit()
    assert send() == 422  # who may not sign in does not so either
    with site.app.app_context():
        db.session.execute(sa.update(Person).values(is_active=True, passkey_alone=False))
        db.session.commit()
    assert send() == 422  # nor who does not want it
    with site.app.app_context():
        other = Person(name="佐藤", role="viewer", password_hash="x", passkey_alone=True)
        db.session.add(other)
        db.session.execute(sa.update(Person).values(passkey_alone=True))
        db.session.commit()
    assert send() == 303
    assert send() == 422  # a challenge is good once
    with site.app.app_context():
        assert db.session.query(Passkey).count() == 1
