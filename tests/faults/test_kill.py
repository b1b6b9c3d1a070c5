"""kill -9 at any moment of a bulk run of 200: nothing twice, nothing lost (P1, P2, P33)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import Order
from sgpshop.services import bulk_capture, settings
from tests.factories import make_order, order_number
from tests.faults.oracle import violations
from tests.processes import Processes
from tests.signing_in import make_person
from tests.waiting import wait_until

ORDERS = 200
SETTINGS = {
    "GATEWAY_CONCURRENCY": 8,
    "LEASE_SECONDS": 2,
    "QUIET_PERIOD": 1,
    "GATEWAY_CONNECT_TIMEOUT": 0.5,
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
def orders(app: Flask, processes: Processes) -> list[Order]:
    """Orders in 仮売上 here and AUTH at the simulator."""
    numbers = [order_number() for _ in range(ORDERS)]
    made = processes.post_control(
        "transactions", [{"order_id": no, "amount": 3000, "job_cd": "AUTH"} for no in numbers]
    )
    with app.app_context():
        settings.save(
            "test", site_id="tsite00000001", shop_id="tshop00000001", shop_pass="shoppass01"
        )
        return [
            make_order(access=TradeAccess(row["order_id"], row["access_id"], row["access_pass"]))
            for row in made
        ]


def start_run(orders: list[Order]) -> str:
    person = make_person("田中")
    run_id = bulk_capture.prepare(
        [order.id for order in orders], person_id=person.id, actor=person.name
    )
    bulk_capture.start(run_id, person_id=person.id, sum_confirmed=True)
    return run_id


def statuses() -> dict[str, PaymentStatus | None]:
    db.session.rollback()
    return {row.order_no: row.payment_status for row in db.session.query(Order)}


def test_killing_the_worker_again_and_again_loses_and_doubles_nothing(
    app: Flask, processes: Processes, orders: list[Order]
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with app.app_context():
        run_id = start_run(orders)
        for _ in range(4):
            worker = processes.start("worker")
            done = bulk_capture.progress(run_id).succeeded
            wait_until(lambda done=done: bulk_capture.progress(run_id).succeeded > done)
            time.sleep(dice.random() * 0.3)  # any moment
            processes.kill(worker)
        processes.start("worker")
        processes.start("worker")  # T5: two of them
        wait_until(lambda: settled(run_id), seconds=60)
        now = bulk_capture.progress(run_id)
        assert (now.total, now.succeeded) == (ORDERS, ORDERS)  # P2: all that was accepted
        assert (
            violations(processes.control("ledger"), processes.control("requests"), statuses()) == []
        )


def test_lost_answers_in_a_run_end_as_the_ledger_says(
    app: Flask, processes: Processes, orders: list[Order]
) -> None:
    faults = ["drop_before", "drop_after", "truncate", "garbage", "http:503", "delay:4"]
    for fault in faults:
        processes.post_control("faults", {"api": "AlterTran", "times": 2, "fault": fault})
    with app.app_context():
        run_id = start_run(orders)
        worker = processes.start("worker")
        wait_until(lambda: bulk_capture.progress(run_id).succeeded > 20)
        processes.kill(worker)
        processes.start("worker")
        wait_until(lambda: settled(run_id), seconds=60)
        assert (
            violations(processes.control("ledger"), processes.control("requests"), statuses()) == []
        )


def settled(run_id: str) -> bool:
    now = bulk_capture.progress(run_id)
    return not now.is_running and now.uncertain == 0
