"""/login and /logout (S2, S3, S19)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import KnownDevice, LoginAttempt, LoginSession, Person, Role
from sgpshop.services.access import passwords
from tests.forms import token_of
from tests.signing_in import PASSWORD, make_person, signed_in

HTMX = {"HX-Request": "true"}
#: a link or button was pressed
PRESSED = HTMX | {"HX-Boosted": "true"}


@pytest.fixture
def person(app: Flask) -> None:
    with app.app_context():
        make_person("田中", Role.OWNER)


def enter(client: FlaskClient, query: str = "", **typed: str) -> TestResponse:
    page = client.get("/login" + query)
    form = {"name": "田中", "password": PASSWORD, "csrf_token": token_of(page)} | typed
    return client.post("/login" + query, data=form)


@pytest.mark.usefixtures("person")
def test_signing_in_leads_to_the_page_that_was_wanted(client: FlaskClient) -> None:
    wanted = client.get("/settings/sgp")
    assert wanted.status_code == 303
    assert wanted.location == "/login?next=/settings/sgp"
    entered = enter(client, "?next=/settings/sgp")
    assert (entered.status_code, entered.location) == (303, "/settings/sgp")
    assert client.get("/settings/sgp").status_code == 200


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/%2fevil.example/",
        "/%252f/evil.example/",
        "/%5cevil.example/",
        "/orders%0d%0aSet-Cookie:x",
        "/\torders",
        "javascript:alert(1)",
        "orders",
        "",
    ],
)
def test_nobody_is_sent_to_another_site(client: FlaskClient, target: str) -> None:  # S19
    page = client.get("/login")
    form = {"name": "田中", "password": PASSWORD, "csrf_token": token_of(page)}
    entered = client.post("/login", query_string={"next": target}, data=form)
    assert (entered.status_code, entered.location) == (303, "/")


@pytest.mark.usefixtures("person")
def test_the_identifier_is_new_after_signing_in(client: FlaskClient) -> None:  # S3
    with client.session_transaction() as session:
        session["left_by_somebody"] = "x"
        session["_user_id"] = "chosen by an attacker"
    enter(client)
    with client.session_transaction() as session:
        assert "left_by_somebody" not in session
        assert session["_user_id"] != "chosen by an attacker"


@pytest.mark.usefixtures("person")
def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = enter(client).headers.getlist("Set-Cookie")[-1]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # test mode, plain HTTP
    assert "Expires" not in cookie  # gone with the browser


class TestOutsideTestMode:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"TEST_MODE": False}

    @pytest.mark.usefixtures("person")
    def test_the_cookie_goes_over_https_only(self, app: Flask) -> None:  # S3
        client = app.test_client()
        cookie = client.get("/login", base_url="https://localhost").headers["Set-Cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


@pytest.mark.usefixtures("person")
def test_every_failure_looks_the_same(app: Flask, client: FlaskClient) -> None:  # S2
    with app.app_context():
        make_person("退職者", is_active=False)
    answers = [
        enter(client, name="誰か"),
        enter(client, password="wrong password"),
        enter(client, name="退職者"),
    ]
    assert {answer.status_code for answer in answers} == {422}
    assert all("ユーザー名またはパスワードが違います。" in answer.text for answer in answers)
    assert not any("wrong password" in answer.text for answer in answers)


@pytest.mark.usefixtures("person")
def test_after_ten_failures_the_wait_is_told(client: FlaskClient) -> None:  # S2
    for _ in range(10):
        assert enter(client, password="wrong").status_code == 422
    refused = enter(client)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert "後にもう一度お試しください" in refused.text


@pytest.mark.usefixtures("person")
def test_one_too_many_at_once_comes_again_and_his_try_is_not_counted(
    app: Flask, client: FlaskClient
) -> None:  # P23
    with ExitStack() as others:
        for _ in range(passwords.MOST_AT_ONCE):
            others.enter_context(passwords.one_of_few())
        refused = enter(client)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        assert "5秒後にもう一度お試しください" in refused.text
    with app.app_context():
        assert db.session.scalars(sa.select(LoginAttempt)).all() == []
    assert enter(client).status_code == 303


@pytest.mark.parametrize(
    "typed", [{"name": ""}, {"password": ""}, {"name": "x" * 1000}, {"password": "x" * 1000}]
)
def test_what_is_missing_is_said_beside_the_field(
    client: FlaskClient, typed: dict[str, str]
) -> None:
    answer = enter(client, **typed)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert "ユーザー名" in answer.text


def test_logging_out_ends_the_session_on_the_server(app: Flask) -> None:  # S3
    client = signed_in(app, Role.VIEWER)
    with client.session_transaction() as session:
        stolen = session["_user_id"]
    csrf_token = token_of(client.get("/login?next=/help", follow_redirects=True))
    assert client.post("/logout", data={"csrf_token": csrf_token}).location == "/login"
    with client.session_transaction() as session:
        session["_user_id"] = stolen
    assert client.get("/orders").location == "/login?next=/orders"
    with app.app_context():
        assert db.session.scalars(sa.select(LoginSession)).all() == []


def test_nothing_is_changed_by_opening_logout(app: Flask) -> None:  # R152
    assert signed_in(app, Role.VIEWER).get("/logout").status_code == 405


def test_whoever_is_signed_in_needs_no_form(app: Flask) -> None:
    answer = signed_in(app, Role.OWNER).get("/login?next=/settings/sgp")
    assert (answer.status_code, answer.location) == (303, "/settings/sgp")


def test_a_disabled_person_is_out_at_the_next_request(app: Flask) -> None:  # S3
    client = signed_in(app, Role.OWNER)
    assert client.get("/settings/sgp").status_code == 200
    with app.app_context():
        db.session.execute(sa.update(Person).values(is_active=False))
        db.session.commit()
    answer = client.get("/settings/sgp")
    assert answer.location == "/login?next=/settings/sgp"
    assert "ほかで終了されたため、ログアウトしました" in client.get(answer.location).text


def test_htmx_is_sent_to_the_login_as_a_whole_page(client: FlaskClient) -> None:
    answer = client.get(
        "/orders",
        headers=PRESSED | {"HX-Current-URL": "http://localhost/orders?status=authorized"},
    )
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/orders?status%3Dauthorized"
    assert answer.text == ""


def test_a_piece_that_renews_itself_leads_nowhere_and_says_why(client: FlaskClient) -> None:
    """What somebody types on that page would be lost."""
    answer = client.get("/orders/P1/edit/total/echo?total=1", headers=HTMX)
    assert answer.status_code == 401
    assert "HX-Redirect" not in answer.headers
    assert "ほかで終了されたため、ログアウトしました" in answer.text
    assert "<main" not in answer.text


def test_an_attack_by_the_current_url_leads_nowhere(client: FlaskClient) -> None:  # S7, S19
    answer = client.get(
        "/orders", headers=PRESSED | {"HX-Current-URL": "https://x//evil.example/\r\n"[:24]}
    )
    next_page = answer.headers["HX-Redirect"]
    assert next_page.startswith("/login")


@pytest.mark.usefixtures("person")
def test_a_browser_is_known_again_by_a_mark_that_opens_nothing(
    app: Flask, client: FlaskClient
) -> None:  # S3
    enter(client)
    client.post("/logout", data={"csrf_token": token_of(client.get("/account"))})
    enter(client)
    with app.app_context():
        assert [row.is_news for row in db.session.scalars(sa.select(KnownDevice))] == [False]
    other = app.test_client()
    other.set_cookie("sgpshop-device", "<script>")
    enter(other)
    with app.app_context():
        rows = db.session.scalars(sa.select(KnownDevice).order_by(KnownDevice.id)).all()
    assert [row.is_news for row in rows] == [False, True]
    mark = client.get_cookie("sgpshop-device")
    assert mark is not None
    assert mark.http_only
    assert mark.value not in {row.device_hash for row in rows}
