"""kill -9 of web and worker while orders are handed in: every order once, paid once (P1, P2, P27)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, Order, Scope
from sgpshop.services import settings
from sgpshop.services.access import api_keys
from sgpshop.services.orders.history_check import Verification
from tests.api_answers import checked
from tests.factories import order_number
from tests.processes import Processes
from tests.seeds import dice_of
from tests.waiting import wait_until
from tests.web.api_calls import ORDERED_AT

ORDERS = 24
SETTINGS = {
    "GATEWAY_CONCURRENCY": 6,
    "LEASE_SECONDS": 2,
    "QUIET_PERIOD": 1,
    "GATEWAY_TOTAL_TIMEOUT": 3,
    "RESOLVE_SCHEDULE": "0,1.5,3,5",
    "CHECKOUT_WAIT": 4,
    # A process that is killed takes the lot of requests with it that it counted ahead (S23).
    "API_REQUESTS_PER_KEY": 100_000,
    "API_REQUESTS_PER_ADDRESS": 100_000,
}


@pytest.fixture
def processes(app: Flask, tmp_path: Path) -> Iterator[Processes]:
    url = app.config["DATABASE_URL"]
    database_url = url if url.startswith("postgresql") else ""
    with Processes(tmp_path, database_url, **SETTINGS) as processes:
        processes.start_simulator(latency_ms=60)
        yield processes


class ShopFront:
    """Hands orders in, and again until it gets an answer, as a shop front does."""

    def __init__(self, processes: Processes, key: str) -> None:
        self._processes = processes
        self._key = key
        self.url = ""

    def order(self, order_no: str) -> int:
        """The status of the first answer."""
        card = {"card_no": "4111111111111111", "expire": "4912"}
        token = self._processes.post_control("tokens", card)["token"]
        body = {
            "order_no": order_no,
            "ordered_at": ORDERED_AT.isoformat(),
            "kind": "normal",
            "buyer": {"name": "佐藤 花子"},
            "items": [{"code": "A-1", "name": "煎茶", "unit_price": 1000, "quantity": 1}],
            "total": 1000,
            "payment": {"token": token},
            "three_ds": "none",
        }
        until = time.monotonic() + 90
        while True:
            assert time.monotonic() < until, "no answer"
            try:
                answer = requests.post(
                    f"{self.url}/api/v1/orders",
                    json=body,
                    headers={"Authorization": f"Bearer {self._key}"},
                    timeout=20,
                )
            except requests.RequestException:
                time.sleep(0.1)  # it was killed: again
                continue
            if answer.status_code != 503:
                return checked(answer).status_code
            time.sleep(0.1)


@pytest.mark.alike
def test_orders_handed_in_while_everything_is_killed(app: Flask, processes: Processes) -> None:
    dice = dice_of("ARRIVALS_KILL_SEED")
    with app.app_context():
        settings.save(
            "test",
            site_id="tsite00000001",
            site_pass="sitepass01",
            shop_id="tshop00000001",
            shop_pass="shoppass01",
            enabled=True,
        )
        front = ShopFront(processes, api_keys.create("test", [Scope.INTAKE], by="test"))
        web, front.url = processes.start_web()
        worker = processes.start("worker")
        numbers = [order_number() for _ in range(ORDERS)]
        over = threading.Event()
        with ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(front.order, number) for number in numbers]
            for fault in ("drop_before", "drop_after", "error_after:E91019999"):
                processes.post_control("faults", {"api": "ExecTran", "times": 1, "fault": fault})
            for _ in range(3):
                over.wait(0.4 + dice.random())
                processes.kill(web)
                processes.kill(worker)
                web, front.url = processes.start_web()
                worker = processes.start("worker")
            told = Counter(answer.result() for answer in answers)
        assert set(told) <= {200, 201}
        wait_until(lambda: not db.session.query(Attempt).filter(Attempt.is_open).count(), 60)
        statuses = {order.order_no: order.payment_status for order in db.session.query(Order)}
        assert statuses == dict.fromkeys(numbers, PaymentStatus.AUTHORIZED)
        held = Counter(
            trade["order_id"][:19]
            for trade in processes.control("ledger")
            if trade["status"] == "AUTH"
        )
        assert held == Counter(numbers)
        assert [problem.what for problem in Verification().problems()] == []
