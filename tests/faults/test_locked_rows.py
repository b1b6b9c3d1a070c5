"""PostgreSQL: rows that another process holds are waited for as long as SQLite's lock is, and a
server that takes no writes is still read (P32)."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, Order, Role, Scope, utc_now
from sgpshop.services.access import api_keys
from sgpshop.services.payments import acts, gateway_access, journal
from sgpshop.storage import database, waiting
from tests.conftest import make_app
from tests.factories import authorized_order, fresh
from tests.forms import token_of
from tests.gateway_world import World
from tests.services.acting import TANAKA, seen
from tests.services.arriving import open_shop
from tests.signing_in import signed_in


@pytest.fixture
def database_kind() -> str:
    return "postgresql"


@contextmanager
def held(app: Flask, order: Order) -> Iterator[None]:
    """A process that was stopped in the middle of a transaction holds the order's row."""
    other = sa.create_engine(app.config["DATABASE_URL"], poolclass=sa.NullPool)
    database.prepare_engine(other)
    with other.connect() as connection:
        connection.execute(sa.select(Order.id).where(Order.id == order.id).with_for_update())
        yield
        connection.invalidate()


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


def capture(browser: FlaskClient, order: Order) -> int:
    now = seen(order)
    form = {
        "csrf_token": token_of(browser.get(f"/orders/{order.order_no}")),
        "version": str(now.version),
        "amount": str(now.amount),
        "request_token": secrets.token_hex(16),
    }
    return browser.post(f"/orders/{order.order_no}/capture", data=form).status_code


def test_a_click_on_a_held_order_is_told_to_come_again_and_sends_nothing(
    app: Flask, shop: World, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WRITE_WAIT", 0.3)
    order = authorized_order(shop)
    db.engine.dispose()  # connections made from now on are that impatient
    with held(app, order):
        assert capture(browser, order) == 503
        assert browser.get("/orders").status_code == 200  # reading goes on
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 0
    assert shop.sales(order.order_no) == 0
    assert capture(browser, order) in (200, 303)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_a_stopped_process_loses_what_it_holds(
    app: Flask, shop: World, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_IDLE_IN_TRANSACTION", 1)
    order = authorized_order(shop)
    with held(app, order):
        assert capture(browser, order) in (200, 303)  # waits, and has its turn
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert shop.sales(order.order_no) == 1


def test_requests_that_may_wait_for_rows_count_among_those_that_wait(
    shop: World, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = authorized_order(shop)
    monkeypatch.setattr(waiting, "MOST", 0)
    monkeypatch.setattr(waiting, "_PATIENCE", 0.0)
    assert capture(browser, order) == 503
    assert shop.sales(order.order_no) == 0


def test_a_server_that_takes_no_writes_is_still_read(
    app: Flask, shop: World, browser: FlaskClient
) -> None:
    """A standby that was switched to: nothing is counted or noted, and every list is there."""
    order = authorized_order(shop)
    key = api_keys.create("倉庫", [Scope.READ], by="田中")
    bearer = {"Authorization": f"Bearer {key}"}
    assert browser.get("/orders").status_code == 200

    def read_only(connection: Any, _record: object) -> None:
        connection.execute("SET default_transaction_read_only = on")
        connection.commit()

    sa.event.listen(db.engine, "connect", read_only)
    db.session.remove()
    db.engine.dispose()
    with time_machine.travel(utc_now() + timedelta(minutes=10)):  # the last use is noted again
        for page in ("/", "/orders", "/preorders", f"/orders/{order.order_no}"):
            assert browser.get(page).status_code == 200, page
        answer = app.test_client().get(f"/api/v1/orders/{order.order_no}", headers=bearer)
        assert answer.status_code == 200
    sa.event.remove(db.engine, "connect", read_only)
    db.session.remove()
    db.engine.dispose()


def test_what_is_about_to_be_sent_waits_for_no_order_that_is_handed_in_again(
    app: Flask, world: World
) -> None:
    """Whoever does that holds the order's row, and waits for the row of the payment."""
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        open_shop()
        order = authorized_order(world)
        attempt_id = acts.open_attempt(order.id, acts.CAPTURE, seen(order), TANAKA)
        claimed = journal.claim(attempt_id)
        assert claimed is not None
        trade = world.gateway.search_trade(order.order_no)
        assert trade is not None
        entered = replace(claimed, access_id=None, is_entered=True)
        with held(app, order):
            sending = journal.about_to_send(entered, trade, enters=False, may_be_called_off=True)
        assert sending is not None
        assert sending.access_id == trade.access.access_id


def test_who_asks_a_server_that_says_nothing_waits_for_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database.SILENT_SERVER, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0.1)
        port = silent.getsockname()[1]
        app = make_app(tmp_path, DATABASE_URL=f"postgresql+psycopg://shop@127.0.0.1:{port}/shop")
        for _ in range(2):
            assert app.test_client().get("/login").status_code == 503
        tried = 0
        with suppress(TimeoutError):
            while True:
                silent.accept()[0].close()
                tried += 1
    assert tried == 1


def test_a_server_that_says_no_more_is_given_up(app: Flask) -> None:
    """Its machine or network is gone: every page waited for two minutes, and who had asked for two hours."""
    url = sa.make_url(app.config["DATABASE_URL"]).update_query_dict({"connect_timeout": "9"})
    for address, patience in ((app.config["DATABASE_URL"], "5"), (url, "9")):
        engine = sa.create_engine(address, poolclass=sa.NullPool)
        database.prepare_engine(engine)
        with engine.connect() as connection:
            info = connection.connection.driver_connection.info  # type: ignore[union-attr]
            given = info.get_parameters()
        assert given["connect_timeout"] == patience
        assert given["tcp_user_timeout"] == "20000"
        assert given["keepalives_idle"] == "10"
