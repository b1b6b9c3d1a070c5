"""Two web processes and two workers, some of them killed or frozen: every order once (P1, P2, P17, T5)."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, Order
from sgpshop.services import installation
from sgpshop.services.bulk import report
from sgpshop.services.orders.history_check import Verification
from tests import own_worker
from tests.factories import fresh
from tests.faults.calling import PATIENCE, sign_in
from tests.faults.oracle import violations
from tests.faults.test_kill import SETTINGS, make_orders, settled, start_run, statuses
from tests.postgresql import PostgresqlServer
from tests.processes import Child, Processes
from tests.redis_server import RedisServer
from tests.seeds import dice_of, is_soaking
from tests.waiting import wait_until

pytestmark = pytest.mark.postgresql
FEW = SETTINGS | {"GATEWAY_CONCURRENCY": 4}
ORDERS = 300 if is_soaking() else 40
CONNECTIONS, LATENCY = 4, 60


@pytest.fixture
def processes(app: Flask, tmp_path: Path, overrides: dict[str, object]) -> Iterator[Processes]:
    url = app.config["DATABASE_URL"]
    database_url = url if url.startswith("postgresql") else ""
    # On PostgreSQL the queue lies there too, as on several machines.
    queue_url = database_url.replace("+psycopg", "")
    settings = SETTINGS | overrides | {"GATEWAY_CONCURRENCY": CONNECTIONS, "QUEUE_URL": queue_url}
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


@pytest.mark.alike
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


SILENCE = 30.0 if is_soaking() else 5.0


#: It is asked after the silence too: what lies unread when it ends may not have been carried out.
SILENT = {"QUIET_PERIOD": SILENCE + 2, "RESOLVE_SCHEDULE": f"0,1.5,{SILENCE + 3},{SILENCE + 6}"}


@pytest.mark.alike
@pytest.mark.parametrize("overrides", [SILENT], ids=["silent"])
def test_a_gateway_that_is_silent_for_a_while_is_asked_afterwards(
    app: Flask, tmp_path: Path, processes: Processes, overrides: dict[str, object]
) -> None:
    """What was sent into the silence is carried out when it ends, long after we hung up."""
    simulator = processes.children[0]
    orders = make_orders(processes, ORDERS)
    _, url = processes.start_web()
    for _ in range(2):
        processes.start("worker")
    run_id = start_run(orders)
    wait_until(lambda: report.progress(run_id).succeeded > 3)
    with frozen(simulator):
        wait_until(lambda: report.progress(run_id).uncertain > 0)
        doubtful = db.session.query(Attempt).filter_by(state=AttemptState.UNKNOWN).first()
        assert doubtful is not None
        page = page_of(app, f"{url}/orders/{doubtful.order.order_no}")
        until = time.monotonic() + SILENCE
        wait_until(lambda: time.monotonic() > until, SILENCE + 10)
        shown = captured(statuses())
    assert "結果確認中" in page
    sold = {one["order_id"] for one in processes.control("ledger") if one["status"] == "SALES"}
    assert shown <= sold  # P3: what was shown as taken was taken
    wait_until(lambda: settled(run_id), seconds=180)
    judge(processes, orders)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_full_disk_delays_and_loses_nothing(app: Flask, processes: Processes) -> None:
    orders = make_orders(processes, ORDERS)
    (web, url), (other_web, _) = processes.start_web(), processes.start_web()
    workers = [processes.start("worker") for _ in range(2)]
    run_id = start_run(orders)
    wait_until(lambda: report.progress(run_id).succeeded > 3)
    with full_disk(web, other_web, *workers):
        wait_until(lambda: not ready(url)["is_database_writable"])
        page = page_of(app, f"{url}/orders?from=&to=")
        time.sleep(15.0 if is_soaking() else 3.0)  # leases run out meanwhile
        shown = captured(statuses())
    assert orders[-1].order_no in page  # screens are read as ever
    sold = {one["order_id"] for one in processes.control("ledger") if one["status"] == "SALES"}
    assert shown <= sold  # P3
    wait_until(lambda: ready(url)["is_database_writable"])
    wait_until(lambda: settled(run_id), seconds=120)
    judge(processes, orders)


@contextmanager
def frozen(child: Child) -> Iterator[None]:
    """It takes no part in anything; what is sent to it waits."""
    child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.send_signal(signal.SIGCONT)


@contextmanager
def full_disk(*children: Child) -> Iterator[None]:
    """No file of these processes can grow."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for child in children:
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (1, most))
    try:
        yield
    finally:
        for child in children:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (most, most))


def page_of(app: Flask, address: str) -> str:
    """What somebody who is signed in sees there."""
    cookies = {"sgpshop": sign_in(app, "状態を見る人")}
    answer = requests.get(address, cookies=cookies, timeout=PATIENCE)
    assert answer.status_code == 200
    return answer.text


def ready(url: str) -> dict[str, object]:
    found: dict[str, object] = requests.get(f"{url}/readyz", timeout=PATIENCE).json()
    return found


def captured(shown: dict[str, PaymentStatus | None]) -> set[str]:
    return {number for number, status in shown.items() if status is PaymentStatus.CAPTURED}


def running(run_id: str) -> bool:
    db.session.rollback()
    return report.progress(run_id).is_running


def judge(processes: Processes, orders: list[Order]) -> None:
    assert violations(processes.control("ledger"), processes.control("requests"), statuses()) == []
    assert {fresh(order).payment_status for order in orders} == {"captured"}
    assert list(Verification([order.id for order in orders]).problems()) == []
