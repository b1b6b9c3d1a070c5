"""ユーザー (`/settings/people`) and アカウント (`/account`): S1-S5, R150."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import LoginSession, Person, Role, Scope, utc_now
from sgpshop.services.access import api_keys, passwords
from sgpshop.services.access.sessions import key_of
from sgpshop.storage.database import writing
from tests.forms import token_of
from tests.signing_in import PASSWORD, make_person, signed_in
from tests.web.frame.test_auth import enter
from tests.web.pages import flat

URL = "/settings/people"
NEW = "another good passphrase"


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


@pytest.fixture
def tanaka(app: Flask) -> int:
    """The id of an operator."""
    with app.app_context():
        return make_person("田中").id


def post(client: FlaskClient, url: str, page: str = "", **fields: str) -> TestResponse:
    token = token_of(client.get(page or url))
    return client.post(url, data={"csrf_token": token} | fields)


def create(client: FlaskClient, **changed: str) -> TestResponse:
    return post(client, URL, **({"name": "鈴木", "role": "viewer", "password": NEW} | changed))


def let_time_pass(app: Flask) -> None:
    with app.app_context(), writing() as session:
        long_ago = utc_now() - timedelta(minutes=11)
        session.execute(sa.update(LoginSession).values(confirmed_at=long_ago))


def person(app: Flask, name: str) -> Person:
    with app.app_context():
        return db.session.scalars(sa.select(Person).filter_by(name=name)).one()


def test_a_new_person_can_sign_in_with_their_right(app: Flask, owner: FlaskClient) -> None:
    assert create(owner).status_code == 303
    page = flat(owner.get(URL))
    assert "「鈴木」を登録しました" in page
    assert 'data-person="鈴木" data-role="viewer" data-active="true"' in page
    newcomer = app.test_client()
    assert enter(newcomer, name="鈴木", password=NEW).status_code == 303
    assert newcomer.get("/orders").status_code == 200
    assert newcomer.get(URL).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "店長"),  # taken
        ("name", " 空白"),
        ("name", "田" * 81),
        ("name", "見え\u200bない"),
        ("password", "short"),
        ("password", "password1234"),
        ("password", ""),
        ("role", "admin"),
        ("role", ""),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_field(
    app: Flask, owner: FlaskClient, field: str, value: str
) -> None:
    answer = create(owner, **{field: value})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert NEW not in answer.text
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count(Person.id))) == 1


def test_a_right_is_changed_and_counts_from_the_next_sign_in(
    app: Flask, owner: FlaskClient
) -> None:
    tanaka = signed_in(app, Role.OPERATOR, "田中")
    url = f"{URL}/{person(app, '田中').id}"
    answer = post(owner, url, act="rights", role="viewer", is_active="True")
    assert answer.status_code == 303
    assert tanaka.get("/orders").location.startswith("/login")  # S3
    assert person(app, "田中").role is Role.VIEWER


def test_a_person_is_disabled_and_enabled(app: Flask, owner: FlaskClient, tanaka: int) -> None:
    url = f"{URL}/{tanaka}"
    post(owner, url, act="rights", role="operator", is_active="False")
    assert "できない(停止中)" in owner.get(URL).text
    assert enter(app.test_client(), name="田中").status_code == 422
    post(owner, url, act="rights", role="operator", is_active="True")
    assert enter(app.test_client(), name="田中").status_code == 303


def test_the_last_owner_stays(app: Flask, owner: FlaskClient) -> None:
    url = f"{URL}/{person(app, '店長').id}"
    for role, is_active in (("viewer", "True"), ("owner", "False")):
        answer = post(owner, url, act="rights", role=role, is_active=is_active)
        assert answer.status_code == 422
        assert "利用できるオーナーがほかにいないため" in answer.text
    assert owner.get(URL).status_code == 200


def test_sessions_are_ended_and_a_password_is_set(app: Flask, owner: FlaskClient) -> None:
    tanaka = signed_in(app, Role.OPERATOR, "田中")
    url = f"{URL}/{person(app, '田中').id}"
    post(owner, url, act="sessions")
    assert tanaka.get("/orders").location.startswith("/login")
    assert post(owner, url, act="password", password="short").status_code == 422
    assert post(owner, url, act="password", password=NEW).status_code == 303
    assert enter(app.test_client(), name="田中", password=NEW).status_code == 303


def test_the_password_is_asked_for_again(app: Flask, owner: FlaskClient, tanaka: int) -> None:
    """S5: for people and rights, whichever button."""
    let_time_pass(app)
    url = f"{URL}/{tanaka}"
    refused = [
        create(owner),
        post(owner, url, act="rights", role="owner", is_active="True"),
        post(owner, url, act="sessions"),
        post(owner, url, act="password", password=NEW),
    ]
    for answer in refused:
        assert answer.status_code == 422
        assert 'name="current_password"' in answer.text
    assert person(app, "田中").role is Role.OPERATOR
    right = {"role": "owner", "is_active": "True", "current_password": PASSWORD}
    assert post(owner, url, act="rights", **right).status_code == 303
    assert person(app, "田中").role is Role.OWNER


def test_nobody_there_and_no_button(owner: FlaskClient, tanaka: int) -> None:
    assert owner.get(f"{URL}/9999").status_code == 404
    assert post(owner, f"{URL}/9999", page=URL, act="sessions").status_code == 404
    assert post(owner, f"{URL}/{tanaka}", act="").status_code == 422


class TestAccount:
    """Everybody has the own password and sessions in hand."""

    def change(self, client: FlaskClient, **changed: str) -> TestResponse:
        fields = {"current_password": PASSWORD, "password": NEW, "password_again": NEW} | changed
        return post(client, "/account/password", page="/account", **fields)

    def test_the_own_password_is_changed_and_ends_other_sessions(self, app: Flask) -> None:
        here = signed_in(app, Role.VIEWER, "見学")
        with app.app_context(), writing() as session:
            session.add(LoginSession(id=key_of("elsewhere"), person_id=1))
        assert self.change(here).status_code == 303
        assert "パスワードを変更し" in here.get("/account").text
        with app.app_context():
            assert db.session.scalar(sa.select(sa.func.count(LoginSession.id))) == 1  # S3
        assert enter(app.test_client(), name="見学", password=NEW).status_code == 303

    @pytest.mark.parametrize(
        "typed",
        [
            {"current_password": "wrong password"},
            {"current_password": ""},
            {"password": "short", "password_again": "short"},
            {"password": "password1234", "password_again": "password1234"},
            {"password_again": "something different"},
        ],
    )
    def test_a_mistake_changes_nothing(self, app: Flask, typed: dict[str, str]) -> None:
        client = signed_in(app, Role.OPERATOR, "田中")
        answer = self.change(client, **typed)
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        assert NEW not in answer.text
        assert enter(app.test_client(), name="田中").status_code == 303

    def test_sessions_are_shown_and_ended(self, app: Flask) -> None:
        here = signed_in(app, Role.OPERATOR, "田中")
        with app.app_context(), writing() as session:
            for n in range(3):
                key = key_of(f"elsewhere{n}")
                session.add(LoginSession(id=key, person_id=1, browser="<b>Unheard"))
        page = here.get("/account")
        assert page.text.count('name="mark"') == 4  # three, and all others
        assert "&lt;b&gt;Unheard" in page.text
        mark = key_of("elsewhere0")[:16]
        assert post(here, "/account/sessions", page="/account", mark=mark).status_code == 303
        assert here.get("/account").text.count('name="mark"') == 3
        post(here, "/account/sessions", page="/account", mark="others")
        assert 'name="mark"' not in here.get("/account").text
        assert post(here, "/account/sessions", page="/account").status_code == 422


def test_an_owner_sees_everyones_sessions_and_ends_one(app: Flask, owner: FlaskClient) -> None:
    """S3: which device, from where, since when."""
    tanaka = signed_in(app, Role.OPERATOR, "田中")
    person_id = person(app, "田中").id
    telephone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"
    with app.app_context(), writing() as session:
        session.add(
            LoginSession(
                id=key_of("lost"), person_id=person_id, browser=telephone, address="192.0.2.7"
            )
        )
    url = f"{URL}/{person_id}"
    page = flat(owner.get(url))
    assert "iPhoneのSafari" in page
    assert "192.0.2.7" in page
    let_time_pass(app)
    mark = key_of("lost")[:16]
    assert post(owner, url, act="sessions", mark=mark).status_code == 422  # S5
    fields = {"act": "sessions", "mark": mark, "current_password": PASSWORD}
    assert post(owner, url, **fields).status_code == 303
    assert "選んだ端末のログインを終了しました" in flat(owner.get(URL))
    assert "iPhone" not in owner.get(url).text
    assert tanaka.get("/orders").status_code == 200


def test_the_keys_of_somebody_disabled_are_named_and_ended_by_one_act(
    app: Flask, owner: FlaskClient, tanaka: int
) -> None:
    with app.app_context():
        keys = [api_keys.create(name, [Scope.READ], by="田中") for name in ("カート", "倉庫")]
        other = api_keys.create("店長の鍵", [Scope.READ], by="店長")
    page = flat(owner.get(f"{URL}/{tanaka}"))
    assert "この人が作ったAPIキーが2件あります" in page
    post(owner, f"{URL}/{tanaka}", act="rights", role="operator", is_active="False")
    said = flat(owner.get(URL))
    assert "この人が作ったAPIキー(「カート」、「倉庫」)は、いまも使えます" in said
    assert post(owner, f"{URL}/{tanaka}", act="keys").status_code == 303
    assert "APIキー2件を無効にしました" in flat(owner.get(URL))
    with app.app_context():
        for key in keys:
            with pytest.raises(api_keys.KeyRefused):
                api_keys.recognize(key)
        assert api_keys.recognize(other).name == "店長の鍵"
    assert "この人が作ったAPIキー" not in flat(owner.get(f"{URL}/{tanaka}"))


def test_of_many_keys_of_somebody_disabled_some_are_named(
    app: Flask, owner: FlaskClient, tanaka: int
) -> None:
    """What is said goes by a cookie, and browsers drop one of more than 4 kB."""
    names = ["".join(chr(0x4E00 + 61 * n + 7 * at * n) for at in range(60)) for n in range(1, 40)]
    with app.app_context():
        for name in names:
            api_keys.create(name, [Scope.READ], by="田中")
    answer = post(owner, f"{URL}/{tanaka}", act="rights", role="operator", is_active="False")
    assert max(len(cookie) for cookie in answer.headers.getlist("Set-Cookie")) < 4093
    said = flat(owner.get(URL))
    assert f"「{names[4]}」、ほか34件)は、いまも使えます" in said


def test_ending_somebodys_keys_needs_the_password_after_ten_minutes(
    app: Flask, owner: FlaskClient, tanaka: int
) -> None:  # S5
    with app.app_context():
        key = api_keys.create("カート", [Scope.READ], by="田中")
    let_time_pass(app)
    answer = post(owner, f"{URL}/{tanaka}", act="keys")
    assert (answer.status_code, "もう一度入力してください" in answer.text) == (422, True)
    with app.app_context():
        assert api_keys.recognize(key).name == "カート"


def test_no_password_is_set_while_too_many_are_at_it(
    app: Flask, owner: FlaskClient, tanaka: int
) -> None:  # P23
    with ExitStack() as others:
        for _ in range(passwords.MOST_AT_ONCE):
            others.enter_context(passwords.one_of_few())
        refused = [
            create(owner),
            post(owner, f"{URL}/{tanaka}", act="password", password=NEW),
            post(
                owner,
                "/account/password",
                page="/account",
                current_password=PASSWORD,
                password=NEW,
                password_again=NEW,
            ),
        ]
    assert [(one.status_code, one.headers["Retry-After"]) for one in refused] == [(429, "5")] * 3
    assert enter(app.test_client(), name="田中").status_code == 303
    assert create(owner).status_code == 303
