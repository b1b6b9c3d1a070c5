"""kill -9 at any moment of a bulk run of 80 (40 in `make test`): nothing twice or lost (P1, P2, P33)."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import Attempt, CardTransaction, FollowUp, LoginSession, Operation, Order
from sgpshop.services import settings
from sgpshop.services.access.sessions import key_of
from sgpshop.services.bulk import report
from sgpshop.services.payments import acts, cancelling
from sgpshop.services.payments.acts import OperationRequest
from tests.factories import make_order, order_number
from tests.faults.calling import signed_cookie
from tests.faults.oracle import violations
from tests.processes import Processes
from tests.seeds import dice_of, is_thorough
from tests.services.acting import TANAKA, correct, seen
from tests.services.running import started
from tests.signing_in import make_person
from tests.waiting import wait_until

ORDERS = 80 if is_thorough() else 40
SETTINGS = {
    "GATEWAY_CONCURRENCY": 8,
    "LEASE_SECONDS": 2,
    "QUIET_PERIOD": 1,
    "GATEWAY_CONNECT_TIMEOUT": 1.5,
    "GATEWAY_TOTAL_TIMEOUT": 3,
    "RESOLVE_SCHEDULE": "0,1.5,3,5",
}


@pytest.fixture
def processes(app: Flask, tmp_path: Path) -> Iterator[Processes]:
    url = app.config["DATABASE_URL"]
    database_url = url if url.startswith("postgresql") else ""
    with Processes(tmp_path, database_url, **SETTINGS) as processes:
        processes.start_simulator(latency_ms=40)
        app.config["GATEWAY_URL"] = processes.simulator_url
        yield processes


@pytest.fixture
def orders(request: pytest.FixtureRequest, app: Flask, processes: Processes) -> list[Order]:
    """As many as the test names."""
    with app.app_context():
        return make_orders(processes, getattr(request, "param", ORDERS))


def make_orders(processes: Processes, number: int) -> list[Order]:
    """Orders in 仮売上 here and AUTH at the simulator; the contract is filled in."""
    numbers = [order_number() for _ in range(number)]
    made = processes.post_control(
        "transactions", [{"order_id": no, "amount": 3000, "job_cd": "AUTH"} for no in numbers]
    )
    settings.save("test", site_id="tsite00000001", shop_id="tshop00000001", shop_pass="shoppass01")
    return [
        make_order(
            access=TradeAccess(row["order_id"], row["access_id"], row["access_pass"]), told=True
        )
        for row in made
    ]


def start_run(orders: list[Order]) -> str:
    return started(orders, make_person("田中"))


def statuses() -> dict[str, PaymentStatus | None]:
    db.session.rollback()
    return {row.order_no: row.payment_status for row in db.session.query(Order)}


def test_killing_the_worker_again_and_again_loses_and_doubles_nothing(
    app: Flask, processes: Processes, orders: list[Order]
) -> None:
    dice = dice_of("KILL_SEED")
    with app.app_context():
        run_id = start_run(orders)
        for _ in range(3):
            worker = processes.start("worker")
            done = report.progress(run_id).succeeded
            wait_until(
                lambda done=done: report.progress(run_id).succeeded > done or settled(run_id)
            )
            time.sleep(dice.random() * ORDERS / 270)  # any moment
            processes.kill(worker)
        processes.start("worker")
        processes.start("worker")  # T5: two of them
        wait_until(lambda: settled(run_id), seconds=120)
        now = report.progress(run_id)
        assert (now.total, now.succeeded) == (ORDERS, ORDERS)  # P2: all that was accepted
        assert (
            violations(processes.control("ledger"), processes.control("requests"), statuses()) == []
        )


@pytest.mark.alike
def test_lost_answers_in_a_run_end_as_the_ledger_says(
    app: Flask, processes: Processes, orders: list[Order]
) -> None:
    faults = ["drop_before", "drop_after", "truncate", "garbage", "http:503", "delay:4"]
    for fault in faults:
        processes.post_control("faults", {"api": "AlterTran", "times": 2, "fault": fault})
    with app.app_context():
        run_id = start_run(orders)
        worker = processes.start("worker")
        wait_until(lambda: report.progress(run_id).succeeded > ORDERS // 4)
        processes.kill(worker)
        processes.start("worker")
        wait_until(lambda: settled(run_id), seconds=120)
        assert (
            violations(processes.control("ledger"), processes.control("requests"), statuses()) == []
        )


def settled(run_id: str) -> bool:
    now = report.progress(run_id)
    return not now.is_running and now.uncertain == 0


@pytest.mark.alike
@pytest.mark.parametrize("orders", [60 if is_thorough() else 30], indirect=True)
def test_killing_the_worker_amid_changes_and_cancels(
    app: Flask, processes: Processes, orders: list[Order]
) -> None:
    """The same for 送信して実売上処理 and 注文キャンセル, waiting for their worker (P33)."""
    dice = dice_of("KILL_SEED")
    with app.app_context():
        for number, order in enumerate(orders):
            open_one(order, number)
        for _ in range(3):
            worker = processes.start("worker")
            before = still_open()
            wait_until(lambda before=before: still_open() < before or still_open() == 0)
            time.sleep(dice.random() * 0.2)
            processes.kill(worker)
        processes.start("worker")
        wait_until(lambda: still_open() == 0, seconds=120)
        judge_all(processes, orders)


@pytest.mark.alike
@pytest.mark.parametrize("orders", [24], indirect=True)
def test_killing_the_web_process_amid_clicks(
    app: Flask, processes: Processes, orders: list[Order]
) -> None:
    """What was accepted before the web process died is carried out by the worker, once (P2)."""
    token = "session of the killed web"
    with app.app_context():
        person = make_person("鈴木")
        db.session.add(LoginSession(id=key_of(token), person_id=person.id))
        db.session.commit()
        web, url = processes.start_web()
        cookie = signed_cookie(app, token)
        threads = [threading.Thread(target=click, args=(url, cookie, order)) for order in orders]
        for thread in threads:
            thread.start()
        wait_until(lambda: db.session.query(Attempt).count() > 5)
        processes.kill(web)
        for thread in threads:
            thread.join()
        accepted = db.session.query(Attempt).count()
        assert accepted > 5
        processes.start("worker")
        wait_until(lambda: still_open() == 0, seconds=120)
        captured = [s for s in statuses().values() if s is PaymentStatus.CAPTURED]
        assert len(captured) >= accepted  # P2: all that was accepted; resends are new attempts
        judge_all(processes, orders)


def open_one(order: Order, number: int) -> None:
    """Ask for one of three acts, as a click does whose web process dies at once."""
    if number % 3 == 0:
        wish = cancelling.operation_request(
            order.order_no, restock=False, return_points=False, refund_confirmed=False
        )
    elif number % 3 == 1:
        correct(order, 2_500)
        wish = OperationRequest(Operation.CHANGE_AMOUNT, FollowUp.CAPTURE)
    else:
        wish = acts.CAPTURE
    assert wish is not None
    acts.open_attempt(order.id, wish, seen(order), TANAKA)


def still_open() -> int:
    db.session.rollback()
    return db.session.query(Attempt).filter(Attempt.is_open).count()


def judge_all(processes: Processes, orders: list[Order]) -> None:
    wanted = {order.order_no for order in orders}
    now = {no: status for no, status in statuses().items() if no in wanted}
    ledger = [entry for entry in processes.control("ledger") if entry["order_id"] in wanted]
    assert violations(ledger, processes.control("requests"), now) == []
    held = {
        row.gateway_order_id: row.gateway_amount
        for row in db.session.query(CardTransaction)
        if row.gateway_order_id in wanted
    }
    assert held == {entry["order_id"]: entry["amount"] for entry in ledger}  # P4


def click(url: str, cookie: str, order: Order) -> None:
    """Open the confirmation of a capture and go ahead; the server may die meanwhile."""
    browser = requests.Session()
    browser.cookies.set("sgpshop", cookie, domain="127.0.0.1")
    address = f"{url}/orders/{order.order_no}/capture"
    with contextlib.suppress(requests.RequestException):
        page = browser.get(address, timeout=20).text
        names = "csrf_token|version|amount|request_token"
        form = dict(re.findall(rf'name="({names})" value="([^"]*)"', page))
        browser.post(address, data=form, timeout=20)
