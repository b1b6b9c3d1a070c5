"""What one person may do only so often, and what waits in a web process (S23)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import ApiCount, Role
from sgpshop.services.access import rate_limits
from sgpshop.services.access.rate_limits import TooOften, Use
from sgpshop.storage.database import writing
from sgpshop.web.frame import limits
from sgpshop.web.frame.security import right_of
from tests import own_worker
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.waiting import wait_until, working
from tests.web.order_detail.test_order_detail import press
from tests.web.pages import flat

MOST = 2


@pytest.fixture
def overrides() -> dict[str, Any]:
    names = ("SEARCHES_PER_PERSON", "UPLOADS_PER_PERSON", "BULK_ACTIONS_PER_PERSON")
    return dict.fromkeys(names, MOST) | {"WTF_CSRF_ENABLED": False, "ANSWER_WAIT": 0.0}


@pytest.fixture
def a_minute() -> Iterator[None]:
    """A minute that has just begun and does not end."""
    with time_machine.travel(datetime(2026, 12, 1, 9, 0, 5, tzinfo=UTC), tick=False):
        yield


@pytest.fixture(autouse=True)
def background_ends(app: Flask, world: World) -> Iterator[None]:
    yield
    own_worker.finish(app)


_LISTS = ("/orders", "/preorders", "/subscriptions", "/orders/P1/print")
_FILES = (
    "/orders/imports",
    "/orders/reconcile",
    "/slips",
    "/orders/imports/x/mapping",
    "/orders/imports/x/method",
)
_BULK = (
    "/orders/bulk",
    "/orders/bulk/reconcile",
    "/orders/bulk/x/start",
    "/slips/x/start",
    "/orders/imports/x/start",
)


@pytest.mark.usefixtures("a_minute")
@pytest.mark.parametrize(
    ("method", "addresses"), [("GET", _LISTS), ("POST", _FILES), ("POST", _BULK)]
)
def test_one_too_many_in_a_minute_comes_again(
    app: Flask, method: str, addresses: tuple[str, ...]
) -> None:
    operator, owner = signed_in(app, Role.OPERATOR), signed_in(app, Role.OWNER)
    answers = [operator.open(addresses[n % 2], method=method) for n in range(MOST)]
    assert 429 not in {answer.status_code for answer in answers}
    for address in addresses:  # they count together
        _is_refused(operator.open(address, method=method))
    assert owner.open(addresses[0], method=method).status_code != 429  # everybody for himself
    with time_machine.travel(datetime(2026, 12, 1, 9, 1, 5, tzinfo=UTC), tick=False):
        assert operator.open(addresses[0], method=method).status_code != 429


@pytest.mark.usefixtures("a_minute")
@pytest.mark.parametrize("address", ["/settings/files/paper/logo", "/settings/sgp/check"])
def test_what_an_owner_does_in_the_settings_counts_too(app: Flask, address: str) -> None:
    owner = signed_in(app, Role.OWNER)
    for _ in range(MOST):
        assert owner.post(address).status_code == 303
    _is_refused(owner.post(address))


@pytest.mark.usefixtures("a_minute")
@pytest.mark.parametrize("most", [2, 7, 40, 100])
def test_searches_count_across_processes_and_write_once_for_many(app: Flask, most: int) -> None:
    app.config["SEARCHES_PER_PERSON"] = most
    passed, written = 0, 0
    processes = [rate_limits._Lots(), rate_limits._Lots()]
    with app.app_context():
        for n in range(2 * most + 2):  # the balancer gives each request to the other one
            app.extensions["searches"] = processes[n % 2]
            with suppress(TooOften):
                rate_limits.count_use(Use.SEARCH, 7)
                passed += 1
        written = db.session.scalars(sa.select(ApiCount.count)).one()
    assert passed == written == most


@pytest.mark.usefixtures("a_minute")
def test_requests_of_a_program_count_the_same_way_and_it_is_told_what_is_left(app: Flask) -> None:
    app.config |= {"API_REQUESTS_PER_KEY": 100, "API_REQUESTS_PER_ADDRESS": 200}
    processes, left = [rate_limits._Lots(), rate_limits._Lots()], []
    with app.app_context():
        for n in range(2 * 100 + 2):
            app.extensions["requests"] = processes[n % 2 if n >= 7 else 0]
            with suppress(TooOften):
                left.append(rate_limits.count_request("192.0.2.1", 7, is_reading=False))
            if n == 6:
                written = dict(
                    db.session.execute(sa.select(ApiCount.subject, ApiCount.count)).all()
                )
                assert written == {"key:7": 10, "address:192.0.2.1": 10}
    assert [one.left for one in left[:7] if one] == [99, 98, 97, 96, 95, 94, 93]
    assert len(left) == 100


@pytest.mark.usefixtures("a_minute")
def test_whoever_is_refused_has_nothing_written(app: Flask) -> None:
    app.config |= {"API_REQUESTS_PER_ADDRESS": 1}
    written: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *call: written.append(call[2]))
        rate_limits.count_request("192.0.2.1", None, is_reading=True)
        assert _first_words(written, "api_counts") == {"SELECT", "INSERT", "DELETE"}
        written.clear()
        for _ in range(3):
            with pytest.raises(TooOften):
                rate_limits.count_request("192.0.2.1", None, is_reading=True)
    assert _first_words(written, "api_counts") == {"SELECT"}


def _first_words(statements: list[str], table: str) -> set[str]:
    return {statement.split()[0] for statement in statements if table in statement}


def test_only_so_many_files_are_read_at_once(app: Flask) -> None:
    operator = signed_in(app, Role.OPERATOR)
    with ExitStack() as readers:
        for _ in range(limits.MOST_READERS):
            readers.callback(limits._readers.release)
            assert limits._readers.acquire(blocking=False)
        refused = operator.post("/orders/imports")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
        assert "順番を待っています" in flat(refused)
        assert operator.get("/orders").status_code == 200
    assert operator.post("/orders/imports").status_code == 422


@pytest.mark.usefixtures("a_minute")
def test_searching_goes_on_while_nothing_can_be_written(app: Flask) -> None:  # P32
    path = app.config["SQLALCHEMY_DATABASE_URI"].removeprefix("sqlite:///")
    operator = signed_in(app, Role.OPERATOR)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [operator.get("/orders").status_code for _ in range(MOST + 1)] == [200] * (MOST + 1)
        other.execute("ROLLBACK")


def _is_refused(answer: TestResponse) -> None:
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "55")
    assert "55秒後にもう一度お試しください" in flat(answer)


def test_a_stranger_is_asked_to_sign_in_and_counts_nowhere(app: Flask) -> None:
    answers = [app.test_client().get("/orders").status_code for _ in range(MOST + 1)]
    assert answers == [303] * (MOST + 1)
    assert right_of(app, "order_search.show") is Role.VIEWER  # the mark shows through


def test_without_a_worker_a_click_is_accepted_and_the_bar_says_that_nobody_works(
    app: Flask, world: World
) -> None:
    with app.app_context():
        order = authorized_order(world, total=3000)
    operator = signed_in(app, Role.OPERATOR)
    with own_worker.working_by(app, "off"):
        assert "処理中" in press(operator, order.order_no)
    assert world.requests(order.order_no) == []
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=10)):
        app.extensions.pop("sgpshop.warnings", None)
        assert "自動処理が止まっています" in flat(operator.get("/orders"))
    with app.app_context(), working(app):
        wait_until(lambda: fresh(order).payment_status is PaymentStatus.CAPTURED)
    assert world.sales(order.order_no) == 1


@pytest.mark.usefixtures("a_minute")
def test_the_first_requests_of_a_process_take_one_lot_together(app: Flask) -> None:
    """Each took one: a process that began, or was killed, used most of what all others have."""
    app.config |= {"API_REQUESTS_PER_KEY": 100, "API_REQUESTS_PER_ADDRESS": 1_000}
    lots = app.extensions["requests"] = rate_limits._Lots()

    def ask() -> rate_limits.Left | None:
        with app.app_context():
            return rate_limits.count_request("192.0.2.1", 7, is_reading=False)

    with app.app_context(), ThreadPoolExecutor(6) as pool:
        with writing():  # nobody is counted before all six have come
            asked = [pool.submit(ask) for _ in range(6)]
            wait_until(lambda: lots._asking["key:7"] == 6)
        assert None not in [one.result() for one in asked]
        counts = dict(db.session.execute(sa.select(ApiCount.subject, ApiCount.count)).all())
    assert counts == {"key:7": 10, "address:192.0.2.1": 55}
