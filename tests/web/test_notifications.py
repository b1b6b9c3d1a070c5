"""`/notify/<secret>` and the page that shows its address (S15, P24, P25, S6)."""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import LoginSession, Notification, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.payments import notifications
from sgpshop.storage.database import writing
from tests.factories import authorized_order, make_order, order_number
from tests.forms import token_of
from tests.gateway_world import World
from tests.notifying import FORM, body, tell
from tests.signing_in import PASSWORD, signed_in
from tests.web.pages import flat

PAGE = "/settings/notifications"


@pytest.fixture
def path(app: Flask, world: World) -> str:
    """Where the gateway sends its notifications."""
    with app.app_context():
        return f"/notify/{notifications.secret_of(settings.load())}"


def send(client: FlaskClient, path: str, data: bytes, **more: Any) -> TestResponse:
    return client.post(path, data=data, content_type=FORM, **more)


def stored(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count(Notification.id))) or 0


def test_the_answer_is_0_in_plain_text(app: Flask, client: FlaskClient, path: str) -> None:  # P25
    answer = send(client, path, body("A-1"))
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/plain", b"0")
    assert stored(app) == 1


def test_known_and_unknown_orders_are_answered_alike(
    app: Flask, client: FlaskClient, path: str
) -> None:  # S15
    with app.app_context():
        known = make_order().order_no
    answers = [
        send(client, path, content)
        for content in (
            body(known),
            body(known),
            body(order_number()),
            body(known, ErrInfo="E00000000"),
            body(known, ShopID="tshop99999999"),
            body(known, PayType="36"),
            b"nonsense",
            b"",
        )
    ]
    for answer in answers:
        headers = {n: v for n, v in answer.headers if n != "X-Request-Id"}
        assert (answer.status_code, answer.data) == (200, b"0")
        assert headers == {n: v for n, v in answers[0].headers if n != "X-Request-Id"}


def test_a_wrong_secret_is_an_unknown_address(app: Flask, path: str) -> None:
    unknown = send(app.test_client(), "/no-such-page", body("A-1"))
    for wrong in (path[:-1], path[:-1] + "~", path + "0", path.upper(), "/notify/あ", "/notify/x"):
        answer = send(app.test_client(), wrong, body("A-1"))
        assert answer.status_code == 404
        assert len(answer.data) == len(unknown.data)
        assert set(answer.headers.keys()) == set(unknown.headers.keys())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_only_post_is_possible(client: FlaskClient, path: str, method: str) -> None:
    assert client.open(path, method=method).status_code == 405


def test_it_needs_no_token_no_origin_and_looks_at_no_cookie(app: Flask, path: str) -> None:  # S6
    browser = signed_in(app, Role.VIEWER)
    headers = {"Origin": "https://p01.smbc-gp.co.jp", "Sec-Fetch-Site": "cross-site"}
    answer = send(browser, path, body("A-1"), headers=headers)
    assert answer.data == b"0"
    assert "Set-Cookie" not in answer.headers
    forged = {"Cookie": "sgpshop=nonsense; sgpshop=" + "x" * 3000}
    assert send(app.test_client(), path, body("A-1"), headers=forged).data == b"0"


def test_any_charset_and_card_numbers_come_through_masked(
    app: Flask, client: FlaskClient, path: str
) -> None:  # S11
    content = body("A-1", ClientField1="髙橋 4111 1111 1111 1111")
    assert send(client, path, content).data == b"0"
    with app.app_context():
        kept = db.session.scalars(sa.select(Notification.content)).one()
    assert "髙橋 **** **** **** 1111" in kept


def test_a_body_over_the_limit_is_refused_unread(
    app: Flask, client: FlaskClient, path: str
) -> None:
    limit = app.config["NOTIFY_MAX_BYTES"]
    assert limit == 65_536
    padding = body("A-1") + b"&x="
    full = padding + b"x" * (limit - len(padding))
    assert send(client, path, full).data == b"0"
    answer = send(client, path, full + b"x")
    assert (answer.status_code, answer.data) == (413, b"1")
    assert stored(app) == 1


@contextmanager
def connections_with(app: Flask, pragma: str) -> Iterator[None]:
    """Every connection made meanwhile carries `pragma`."""

    def on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA {pragma}")

    with app.app_context():
        engine = db.engine
        engine.dispose()
        sa.event.listen(engine, "connect", on_connect)
        yield
        sa.event.remove(engine, "connect", on_connect)
        engine.dispose()


@pytest.mark.parametrize("pragma", ["query_only=ON", "max_page_count=1"], ids=["read-only", "full"])
def test_what_cannot_be_stored_is_answered_1(
    app: Flask, client: FlaskClient, path: str, pragma: str
) -> None:  # P25, P32
    with connections_with(app, pragma):
        answer = send(client, path, body("A-1", ClientField1="x" * 190) + b"&y=1" * 90)
        if pragma.startswith("max"):  # until the pages at hand are used up
            for number in range(200):
                answer = send(client, path, body(f"B-{number}", ClientField1="x" * 190))
                if answer.data == b"1":
                    break
    assert (answer.status_code, answer.data) == (200, b"1")
    assert send(client, path, body("A-2")).data == b"0"  # space is back


@pytest.mark.parametrize("who", ["another process", "this process"])
def test_a_locked_database_is_answered_1_within_3_seconds(
    app: Flask, client: FlaskClient, path: str, who: str
) -> None:  # P25
    with locked(app, who):  # until it is answered
        answer = send(client, path, body("A-1"))
    assert (answer.status_code, answer.data) == (200, b"1")
    assert notifications._PATIENCE < 3
    assert stored(app) == 0
    assert send(client, path, body("A-1")).data == b"0"


@contextmanager
def locked(app: Flask, who: str) -> Iterator[None]:
    import threading

    from sgpshop.storage.database import writing_in_turn

    if who == "another process":
        with app.app_context(), db.engine.connect() as other:
            other.execution_options(sqlite_begin="IMMEDIATE").exec_driver_sql("SELECT 1")
            yield
            other.rollback()
        return
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with app.app_context(), writing_in_turn():
            taken.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(10)
    yield
    done.set()
    thread.join()


def test_only_listed_sources_reach_it(app: Flask, client: FlaskClient, path: str) -> None:  # S15
    app.config["NOTIFY_SOURCES"] = (ipaddress.ip_network("203.0.113.0/24"),)
    ours = {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}
    assert send(client, path, body("A-1"), **ours).data == b"0"
    assert send(client, path, body("A-2")).status_code == 404
    # A forwarded address of a stranger does not count (S24).
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert send(client, path, body("A-3"), headers=forwarded).status_code == 404
    assert stored(app) == 1


def test_the_host_must_be_ours(client: FlaskClient, path: str) -> None:  # S24
    answer = send(client, path, body("A-1"), headers={"Host": "evil.example"})
    assert answer.status_code == 400


def test_the_secret_is_in_no_log_line(
    app: Flask, client: FlaskClient, path: str, capsys: pytest.CaptureFixture[str]
) -> None:  # S12
    send(client, path, body("A-1"))
    send(client, path[:-2], body("A-1"))
    client.get(path)
    text = capsys.readouterr().out
    assert '"event": "notification"' in text
    assert path.removeprefix("/notify/")[:30] not in text


# ---- the page -------------------------------------------------------------------------------------


@pytest.fixture
def owner(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


PUBLIC = "https://shop.example.jp"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"PUBLIC_URL": PUBLIC}


def test_the_address_is_the_public_one_whatever_host_was_asked_for(
    app: Flask, owner: FlaskClient, path: str
) -> None:
    page = owner.get(PAGE).text  # asked at localhost
    assert f'value="{PUBLIC}{path}"' in page
    assert "localhost" not in page
    assert owner.get("/settings/sgp").text.count(PAGE) == 1
    app.config["PUBLIC_URL"] = ""
    page = owner.get(PAGE).text
    assert path not in page
    assert "SGPSHOP_PUBLIC_URL" in page


def test_looking_at_the_address_changes_nothing(
    app: Flask, owner: FlaskClient, path: str
) -> None:  # S6
    with app.app_context():
        before = settings.load()
    for _ in range(2):
        assert f'value="{PUBLIC}{path}"' in owner.get(PAGE).text
    with app.app_context():
        assert settings.load() == before


def test_a_new_address_ends_the_old_one(owner: FlaskClient, client: FlaskClient, path: str) -> None:
    token = token_of(owner.get(PAGE))
    answer = owner.post(f"{PAGE}/address", data={"csrf_token": token})
    assert answer.status_code == 303
    page = owner.get(PAGE).text
    assert "新しいアドレスに変更しました" in page
    assert path not in page
    new = page.split(f'value="{PUBLIC}')[1].split('"')[0]
    assert send(client, path, body("A-1")).status_code == 404
    assert send(client, new, body("A-1")).data == b"0"


def test_the_address_needs_its_owner_and_a_token(app: Flask, owner: FlaskClient) -> None:
    assert owner.post(f"{PAGE}/address").status_code == 400
    for role in (Role.VIEWER, Role.OPERATOR):
        assert signed_in(app, role).get(PAGE).status_code == 403


def test_the_database_alone_does_not_tell_the_address(
    app: Flask, owner: FlaskClient, path: str
) -> None:  # S10
    owner.post(f"{PAGE}/address", data={"csrf_token": token_of(owner.get(PAGE))})
    with app.app_context():
        secret = notifications.secret_of(settings.load())
        assert secret not in " ".join(db.session.scalars(sa.text("SELECT value FROM settings")))
        app.config["ENCRYPTION_KEY"] = "another key " * 4
        assert notifications.secret_of(settings.load()) != secret


def test_what_came_in_is_shown_in_words(app: Flask, owner: FlaskClient, world: World) -> None:
    assert "まだ通知は届いていません" in owner.get(PAGE).text
    with app.app_context():
        known = authorized_order(world).order_no
        tell(known, Amount="12300", Tax="45")
        tell(known, Amount="12300", Tax="45")
        tell("A-404", ErrCode="42G", ErrInfo="42G020000", Status="AUTH")
        tell("", ErrCode="E00", ErrInfo="E00000000", Status="", Amount="")
        tell(known, PayType="3", Status="PAYSUCCESS")
        tell("<script>alert(1)</script>")
    page = flat(owner.get(PAGE))
    assert f'<a href="/orders/{known}">{known}</a>' in page
    for shown in ("実売上", "¥12,345", "(2回)", "確認待ち", "該当注文なし", "テスト", "対象外"):
        assert shown in page
    assert '<span class="code">42G020000</span>' in page
    assert "<script>alert" not in page


def test_the_address_changes_only_with_a_recent_password(app: Flask, path: str) -> None:  # S5
    owner = signed_in(app, Role.OWNER, "店長")
    with app.app_context(), writing() as session:
        long_ago = utc_now() - timedelta(minutes=11)
        session.execute(sa.update(LoginSession).values(confirmed_at=long_ago))
    form = {"csrf_token": token_of(owner.get(PAGE))}
    for wrong in ({}, {"current_password": "wrong"}):
        answer = owner.post(f"{PAGE}/address", data=form | wrong)
        assert answer.status_code == 422
        assert "ご自身のパスワード" in answer.text
    with app.app_context():
        assert path == f"/notify/{notifications.secret_of(settings.load())}"
    right = form | {"current_password": PASSWORD}
    assert owner.post(f"{PAGE}/address", data=right).status_code == 303
    with app.app_context():
        assert path != f"/notify/{notifications.secret_of(settings.load())}"
