"""A database that is locked, full or read-only: told plainly, nothing half done, nothing sent (P32).

On SQLite, whose file is ours to fill and lock; a PostgreSQL server has its own keepers.
"""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.environment import ROOT
from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, Operation, Order, Role
from sgpshop.services.payments import acts, runner
from sgpshop.storage import database
from tests.factories import authorized_order, fresh
from tests.faults.judging import complaints, settle
from tests.forms import token_of
from tests.gateway_world import World
from tests.services.acting import TANAKA, correct, press, seen
from tests.signing_in import signed_in

FILLER = "y" * 120


@pytest.fixture(params=["sqlite"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a lock is not what is tested here."""
    monkeypatch.setattr(database, "WRITE_WAIT", 0.2)
    monkeypatch.setattr(database, "_PATIENCE", database._IMPATIENCE)
    monkeypatch.setattr(database, "_PRAGMAS", (database._IMPATIENCE, *database._PRAGMAS[1:]))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Somebody else holds the database for writing."""
    other = sqlite3.connect(folder / "sgpshop.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def with_pragma(pragma: str) -> Iterator[None]:
    """Every connection made meanwhile says `pragma` first."""

    def say(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(pragma)

    db.engine.dispose()
    sa.event.listen(db.engine, "connect", say)
    try:
        yield
    finally:
        sa.event.remove(db.engine, "connect", say)
        db.session.remove()
        db.engine.dispose()


@contextmanager
def unusable(how: str, folder: Path) -> Iterator[None]:
    """The database cannot be written, in one of three ways."""
    if how == "locked":
        with locked(folder):
            yield
        return
    pages = sqlite3.connect(folder / "sgpshop.db").execute("PRAGMA page_count").fetchone()[0]
    pragma = {"full": f"PRAGMA max_page_count={pages}", "read-only": "PRAGMA query_only=ON"}[how]
    with with_pragma(pragma):
        yield


def test_what_was_started_while_the_file_was_read_only_writes_once_it_is_not(
    app: Flask, shop: World
) -> None:
    """Connections opened meanwhile stay read-only; nobody has to start anything again."""

    def open_read_only(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    client = signed_in(app, Role.OPERATOR)
    order = authorized_order(shop)
    form = form_for(client, order)
    url = f"/orders/{order.order_no}/capture"
    db.session.remove()
    db.engine.dispose()
    sa.event.listen(db.engine, "connect", open_read_only)
    assert client.post(url, data=form).status_code == 503
    assert client.get("/readyz").json["is_database_writable"] is False  # type: ignore[index]
    sa.event.remove(db.engine, "connect", open_read_only)
    client.post(url, data=form)  # whoever comes first may still meet the old connection
    assert client.post(url, data=form).status_code == 303
    assert client.get("/readyz").json["is_database_writable"] is True  # type: ignore[index]
    settle(order.id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


_FILL_THE_DISK = """
import resource, sys, time
from pathlib import Path
from tests.conftest import make_app
app = make_app(Path(sys.argv[1]))
client = app.test_client()
def writable():
    return client.get("/readyz").json["is_database_writable"]
before = writable()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))  # no file of ours can grow any more
time.sleep(0.6)  # what was found good a moment ago is
full = writable()
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print("found", before, full, writable())
"""


def test_readiness_writes_so_a_full_disk_is_noticed(app: Flask, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _FILL_THE_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "found True False True" in ended.stdout


def form_for(client: FlaskClient, order: Order) -> dict[str, object]:
    return {
        "csrf_token": token_of(client.get("/")),
        "version": order.version,
        "amount": order.total,
        "request_token": secrets.token_hex(16),
    }


@pytest.mark.parametrize("how", ["locked", "full", "read-only"])
def test_a_click_is_told_and_sends_nothing_and_works_afterwards(
    app: Flask, shop: World, tmp_path: Path, how: str
) -> None:
    client = signed_in(app, Role.OPERATOR)
    order = authorized_order(shop)
    form = form_for(client, order)
    url = f"/orders/{order.order_no}/capture"
    db.session.remove()
    with unusable(how, tmp_path):
        if how == "full":
            fill(order)
        answer = client.post(url, data=form)
        assert answer.status_code == 503
        assert "ただいまデータを保存できません" in answer.text
        assert client.get(f"/orders/{order.order_no}").status_code == 200  # reading goes on
    with database.writing() as session:
        session.execute(sa.delete(Attempt).where(Attempt.reason == FILLER))
    assert shop.requests(order.order_no) == []  # P6: no call without its row
    assert client.post(url, data=form).status_code == 303  # the same form, once there is room
    settle(order.id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert complaints(shop, order.id) == []


def fill(order: Order) -> None:
    """Use up the room in the journal: old attempts, one by one, until there is none for another."""
    for number in range(1000):
        try:
            with database.writing() as session:
                session.add(
                    Attempt(
                        order_id=order.id,
                        transaction_id=order.id,
                        operation=Operation.CAPTURE,
                        state=AttemptState.REJECTED,
                        amount=number,
                        gateway_order_id=order.order_no,
                        actor_kind=TANAKA.kind,
                        actor="x" * 80,
                        reason=FILLER,
                    )
                )
        except OperationalError:
            db.session.remove()
            return
    raise AssertionError("it never was full")


def test_an_answer_that_cannot_be_written_down_is_looked_up_later(
    app: Flask, shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The capture was carried out, and just then the database is locked (P6, P13)."""
    app.config["QUIET_PERIOD"] = 0.0
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    lock = locked(tmp_path)
    capture = shop.gateway.capture

    def captured_then_locked(*arguments: object) -> object:
        receipt = capture(*arguments)  # type: ignore[arg-type]
        lock.__enter__()
        return receipt

    monkeypatch.setattr(shop.gateway, "capture", captured_then_locked)
    with pytest.raises(OperationalError):
        runner.run_operation(attempt_id)
    lock.__exit__(None, None, None)
    monkeypatch.setattr(shop.gateway, "capture", capture)
    db.session.remove()
    settle(order.id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert complaints(shop, order.id) == []


def test_an_edit_is_saved_whole_or_not_at_all(app: Flask, shop: World, tmp_path: Path) -> None:
    order = authorized_order(shop)
    with locked(tmp_path), pytest.raises(OperationalError):
        correct(order, 2_500)
    db.session.remove()
    assert fresh(order).total == 3_000
    press(correct(order, 2_500), Operation.CHANGE_AMOUNT)
    assert complaints(shop, order.id) == []


def test_while_the_database_is_away_a_request_logs_one_short_line_about_it(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = signed_in(app, Role.OPERATOR)
    with app.app_context():
        engine = db.engine

    def refuse(*_: object) -> None:
        problem = sqlite3.OperationalError("unable to open database file\n" + "more " * 500)
        problem.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise problem

    engine.dispose()
    sa.event.listen(engine, "do_connect", refuse)
    try:
        capsys.readouterr()
        for path in ("/orders", "/", "/nowhere"):
            assert browser.get(path).status_code in (404, 503)
            lines = capsys.readouterr().out.splitlines()
            assert len([line for line in lines if '"event": "request"' not in line]) <= 1
            assert all(len(line) < 1000 for line in lines)
            assert all('"trace"' not in line for line in lines)
    finally:
        sa.event.remove(engine, "do_connect", refuse)
