"""Refusals and failures in words: page or fragment, never a trace (S22, P32)."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, abort
from flask.testing import FlaskClient

from sgpshop.domain.errors import ContractMissing, NotFound, OrderChanged
from sgpshop.extensions import db
from sgpshop.models import Role
from sgpshop.web.frame.security import requires
from tests.signing_in import signed_in
from tests.web.frame.test_auth import HTMX


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # as in production
    return signed_in(app, Role.OWNER)


@pytest.fixture
def failing(app: Flask) -> Callable[[Callable[[], Any]], None]:
    """Makes /help do what a test says."""

    def replace(view: Callable[[], Any]) -> None:
        app.view_functions["help_page.show"] = requires(Role.VIEWER)(view)

    return replace


def raising(error: Exception) -> Callable[[], Any]:
    def view() -> Any:
        raise error

    return view


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503])
def test_every_status_has_words(owner: FlaskClient, failing: Any, status: int) -> None:
    failing(lambda: abort(status))
    page = owner.get("/help")
    assert page.status_code == status
    assert '<html lang="ja">' in page.text
    assert "ください" in page.text
    fragment = owner.get("/help", headers=HTMX)
    assert fragment.status_code == status
    assert fragment.headers["HX-Retarget"] == "#messages"
    assert fragment.headers["HX-Reswap"] == "innerHTML"
    assert "<html" not in fragment.text
    assert "data-say" in fragment.text


def test_a_disk_that_is_full_is_a_503_whatever_was_to_lie_there(
    owner: FlaskClient, failing: Any
) -> None:  # P32
    failing(raising(OSError(errno.ENOSPC, "No space left on device")))
    page = owner.get("/help")
    assert page.status_code == 503
    assert "ただいまデータを保存できません" in page.text
    failing(raising(OSError(errno.EACCES, "Permission denied")))
    assert owner.get("/help").status_code == 500


@pytest.mark.parametrize("error", [OrderChanged(), ContractMissing(), NotFound("ありません。")])
def test_a_refusal_is_told_in_its_own_sentence(
    owner: FlaskClient, failing: Any, error: Any
) -> None:
    failing(raising(error))
    answer = owner.get("/help")
    assert answer.status_code == error.status
    assert error.message in answer.text


def test_a_refusal_cannot_carry_markup(owner: FlaskClient, failing: Any) -> None:  # S7
    failing(raising(NotFound("<script>x</script>")))
    assert "<script>x" not in owner.get("/help").text


def test_a_failure_tells_a_number_and_nothing_else(
    owner: FlaskClient, failing: Any, capsys: pytest.CaptureFixture[str]
) -> None:  # S22
    failing(raising(RuntimeError("secret inner words /srv/app")))
    answer = owner.get("/help?kw=x")
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] in answer.text
    for inner in ("secret inner words", "Traceback", "RuntimeError", "/srv/app", "kw="):
        assert inner not in answer.text
    assert "secret inner words" in capsys.readouterr().out  # for whoever runs it


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("database is locked", sqlite3.SQLITE_BUSY),
        ("attempt to write a readonly database", sqlite3.SQLITE_READONLY),
        ("database or disk is full", sqlite3.SQLITE_FULL),
        ("disk I/O error", sqlite3.SQLITE_IOERR),
        ("unable to open database file", sqlite3.SQLITE_CANTOPEN),
    ],
)
def test_a_database_that_cannot_write_is_told_plainly(
    owner: FlaskClient, failing: Any, message: str, code: int
) -> None:  # P32
    original = sqlite3.OperationalError(message)
    original.sqlite_errorcode = code
    failing(raising(sa.exc.OperationalError("UPDATE orders", {}, original)))
    answer = owner.get("/help")
    assert answer.status_code == 503
    assert "二重に処理されることはありません" in answer.text
    assert answer.headers["Retry-After"]
    assert message not in answer.text


def test_a_really_locked_database_is_told_plainly(
    app: Flask, owner: FlaskClient, failing: Any
) -> None:
    def view() -> str:
        db.session.execute(sa.text("PRAGMA busy_timeout=50"))
        db.session.execute(sa.text("DELETE FROM settings"))
        return "written"

    failing(view)
    with app.app_context(), db.engine.connect() as other:
        other.execution_options(sqlite_begin="IMMEDIATE").exec_driver_sql("SELECT 1")
        assert owner.get("/help").status_code == 503
        other.rollback()
    assert owner.get("/help").text == "written"  # P32: goes on by itself


def test_a_wrong_statement_is_our_failure(owner: FlaskClient, failing: Any) -> None:
    failing(lambda: db.session.execute(sa.text("SELECT nothing FROM nowhere")))
    assert owner.get("/help").status_code == 500


def test_an_error_page_needs_no_database(app: Flask, owner: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(sa.text("DROP TABLE login_sessions"))
        db.session.commit()
    answer = owner.get("/help")
    assert answer.status_code == 500
    assert "受付番号" in answer.text


def test_a_wrong_method_names_the_right_ones(owner: FlaskClient) -> None:
    answer = owner.get("/logout")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_an_unknown_address_is_told_to_strangers_too(client: FlaskClient) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "見つかりません" in answer.text


def test_too_much_is_refused(app: Flask, owner: FlaskClient) -> None:  # S17
    app.config["MAX_CONTENT_LENGTH"] = 100
    answer = owner.post("/settings/sgp", data={"shop_id": "x" * 1000})
    assert answer.status_code == 413
