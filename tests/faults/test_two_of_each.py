"""Two web processes and two workers, some of them killed or frozen: every order once (P1, P2, P17, T5)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, Order
from sgpshop.services import installation
from sgpshop.services.bulk import report
from sgpshop.services.orders.history_check import Verification
from tests import own_worker
from tests.factories import fresh
from tests.faults.oracle import violations
from tests.faults.test_kill import SETTINGS, make_orders, settled, start_run, statuses
from tests.postgresql import PostgresqlServer
from tests.processes import Child, Processes
from tests.redis_server import RedisServer
from tests.seeds import dice_of, is_soaking
from tests.waiting import wait_until

pytestmark = pytest.mark.postgresql
FEW = SETTINGS | {"GATEWAY_CONCURRENCY": 4}
ORDERS = 300 if is_soaking() else 60
CONNECTIONS, LATENCY = 4, 60


@pytest.fixture
def processes(app: Flask, tmp_path: Path) -> Iterator[Processes]:
    url = app.config["DATABASE_URL"]
    database_url = url if url.startswith("postgresql") else ""
    # On PostgreSQL the queue lies there too, as on several machines.
    queue_url = database_url.replace("+psycopg", "")
    settings = SETTINGS | {"GATEWAY_CONCURRENCY": CONNECTIONS, "QUEUE_URL": queue_url}
    with Processes(tmp_path, database_url, **settings) as processes:
        processes.start_simulator(latency_ms=LATENCY)
        app.config["GATEWAY_URL"] = processes.simulator_url
        app.config["QUEUE_URL"] = queue_url
        own_worker.install(app)
        own_worker.of(app).how = "off"
        with app.app_context():
            installation.migrate()  # the queue's tables
            yield processes
            db.session.remove()


def start_all(processes: Processes) -> tuple[list[Child], list[Child]]:
    webs = [processes.start_web()[0] for _ in range(2)]
    return webs, [processes.start("worker") for _ in range(2)]


def test_each_order_once_whoever_is_killed_or_frozen(app: Flask, processes: Processes) -> None:
    dice = dice_of("TWO_SEED")
    orders = make_orders(processes, ORDERS)
    webs, workers = start_all(processes)
    run_id = start_run(orders)

    def some_more(run: str = run_id) -> None:
        done = report.progress(run).succeeded
        wait_until(lambda: report.progress(run).succeeded > done or not running(run), 60)
        time.sleep(dice.random() * 0.2)  # any moment

    some_more()
    processes.kill(workers[0])
    processes.kill(webs[0])
    some_more()
    workers[1].send_signal(signal.SIGSTOP)  # longer than its lease
    workers.append(processes.start("worker"))
    time.sleep(float(SETTINGS["LEASE_SECONDS"]) + 1)
    workers[1].send_signal(signal.SIGCONT)
    wait_until(lambda: settled(run_id), seconds=120)
    judge(processes, orders)


def test_all_of_them_together_keep_to_the_number_of_connections(
    app: Flask, processes: Processes
) -> None:
    orders = make_orders(processes, 40)
    start_all(processes)
    run_id = start_run(orders)
    wait_until(lambda: settled(run_id), seconds=60)
    began = sorted(datetime.fromisoformat(one["time"]) for one in processes.control("requests"))
    # Each takes at least so long: what began within that time was under way together.
    together = timedelta(milliseconds=LATENCY - 10)
    most = max(sum(at <= other < at + together for other in began) for at in began)
    assert most <= CONNECTIONS
    judge(processes, orders)


def test_a_worker_that_is_told_to_end_leaves_nothing_being_sent(
    app: Flask, processes: Processes
) -> None:
    orders = make_orders(processes, 30)
    worker = processes.start("worker")
    run_id = start_run(orders)
    wait_until(lambda: report.progress(run_id).succeeded > 3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(35.0) == 0  # P33
    db.session.rollback()
    assert not db.session.query(Attempt).filter_by(state=AttemptState.SENDING).count()
    processes.start("worker")
    wait_until(lambda: settled(run_id), seconds=60)
    judge(processes, orders)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_database_that_is_killed_delays_and_loses_nothing(
    app: Flask, processes: Processes, postgresql: PostgresqlServer
) -> None:
    orders = make_orders(processes, 40)
    start_all(processes)
    run_id = start_run(orders)
    wait_until(lambda: report.progress(run_id).succeeded > 3)
    db.session.rollback()
    db.engine.dispose()
    postgresql.kill()
    time.sleep(10.0 if is_soaking() else 2.0)
    postgresql.start_again()
    wait_until(lambda: settled(run_id), seconds=120)
    judge(processes, orders)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_queue_that_is_killed_delays_and_loses_nothing(app: Flask, tmp_path: Path) -> None:
    with RedisServer() as queue, Processes(tmp_path, QUEUE_URL=queue.url, **FEW) as processes:
        processes.start_simulator(latency_ms=LATENCY)
        app.config |= {"GATEWAY_URL": processes.simulator_url, "QUEUE_URL": queue.url}
        own_worker.install(app)
        with app.app_context():
            orders = make_orders(processes, 40)
            processes.start("worker")
            _, url = processes.start_web()
            run_id = start_run(orders)
            wait_until(lambda: report.progress(run_id).succeeded > 3)
            queue.kill()  # and all that it held
            wait_until(lambda: requests.get(f"{url}/readyz", timeout=30).json()["is_queue_away"])
            wait_until(lambda: settled(run_id), seconds=60)
            queue.start()
            wait_until(
                lambda: not requests.get(f"{url}/readyz", timeout=30).json()["is_queue_away"]
            )
            judge(processes, orders)
            db.session.remove()


def running(run_id: str) -> bool:
    db.session.rollback()
    return report.progress(run_id).is_running


def judge(processes: Processes, orders: list[Order]) -> None:
    assert violations(processes.control("ledger"), processes.control("requests"), statuses()) == []
    assert {fresh(order).payment_status for order in orders} == {"captured"}
    assert list(Verification([order.id for order in orders]).problems()) == []
