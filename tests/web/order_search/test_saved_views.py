"""Conditions of the list under a name: one's own, and what colleagues share."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.models import Role
from tests.forms import token_of
from tests.signing_in import signed_in
from tests.web.pages import flat

pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def tanaka(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def sato(app: Flask) -> FlaskClient:
    return signed_in(app, Role.VIEWER, "佐藤")


def send(browser: FlaskClient, path: str, **fields: str) -> str:
    """Press a button of the list; the page that follows."""
    token = token_of(browser.get("/orders"))
    return flat(browser.post(path, data={"csrf_token": token, **fields}, follow_redirects=True))


def save(browser: FlaskClient, name: str, **more: str) -> str:
    return send(browser, "/orders/views", conditions="status=capture_failed", name=name, **more)


def views(browser: FlaskClient) -> dict[str, str]:
    """Names over the list and where they lead."""
    page = flat(browser.get("/orders"))
    found = re.findall(r'id="view-\d+" href="([^"]+)"[^>]*><bdi>([^<]+)</bdi>', page)
    return {name: href.replace("&amp;", "&") for href, name in found}


def test_a_view_is_saved_and_opened_again(tanaka: FlaskClient, sato: FlaskClient) -> None:
    page = save(tanaka, "断られた注文")
    assert "条件「断られた注文」を保存しました。" in page
    [way] = views(tanaka).values()
    assert "売上失敗 0件" in flat(tanaka.get(way))
    assert views(sato) == {}
    save(tanaka, "断られた注文", is_shared="1")  # the same name: in place of the first
    assert list(views(sato)) == ["断られた注文"]


def test_a_card_number_is_not_kept_however_it_is_written(tanaka: FlaskClient) -> None:  # S11
    token = token_of(tanaka.get("/orders"))
    form = {"csrf_token": token, "conditions": "q=%34111111111111111", "name": "番号"}
    assert tanaka.post("/orders/views", data=form).status_code == 303
    assert "カード番号と思われる数字" in flat(tanaka.get("/orders"))
    assert views(tanaka) == {}


def test_only_its_owner_deletes_a_view(tanaka: FlaskClient, sato: FlaskClient) -> None:
    page = save(tanaka, "共有", is_shared="1")
    [path] = re.findall(r'action="(/orders/views/\d+/delete)"', page)
    assert path not in flat(sato.get("/orders"))
    assert "この条件はすでに削除されています。" in send(sato, path)
    assert list(views(sato)) == ["共有"]
    assert "条件「共有」を削除しました。" in send(tanaka, path)
    assert views(sato) == {}


@pytest.mark.parametrize("name", ["", "  ", "あ" * 41, "a\x07b"])
def test_a_name_that_cannot_be_shown_is_refused(tanaka: FlaskClient, name: str) -> None:
    assert "条件の名前を1文字以上40文字以内で入力してください。" in save(tanaka, name)
    assert views(tanaka) == {}


def test_there_are_twenty_at_most(tanaka: FlaskClient) -> None:
    for number in range(20):
        save(tanaka, f"条件{number}")
    assert "保存できる条件は20件までです" in save(tanaka, "もう一つ")
    assert len(views(tanaka)) == 20


def test_keys_of_one_sign_can_be_switched_off(tanaka: FlaskClient) -> None:
    assert 'data-keys="off"' not in flat(tanaka.get("/orders"))
    assert "使わない設定、" in send(tanaka, "/account/shortcuts")
    assert 'data-keys="off"' in flat(tanaka.get("/orders"))
    assert "使う設定、" in send(tanaka, "/account/shortcuts", has_shortcuts="1")
    assert 'data-keys="off"' not in flat(tanaka.get("/orders"))


def test_a_person_chooses_the_colours(tanaka: FlaskClient) -> None:
    assert "data-scheme" not in flat(tanaka.get("/orders"))
    assert "「暗い配色」にしました" in send(tanaka, "/account/shortcuts", scheme="dark")
    assert '<html lang="ja" data-scheme="dark">' in flat(tanaka.get("/orders"))
    send(tanaka, "/account/shortcuts", scheme="neon")  # no word of ours: as the device has it
    assert "data-scheme" not in flat(tanaka.get("/orders"))
