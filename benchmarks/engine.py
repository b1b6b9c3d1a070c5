"""What the queue costs and how soon a worker begins: a file, PostgreSQL and Redis beside each other."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests
import sqlalchemy as sa
from flask import Flask

from benchmarks import controls
from benchmarks.bulk import SHOP, make_orders, signed_in
from benchmarks.table import show
from sgpshop.extensions import db
from sgpshop.models import Attempt, BulkItem, Order, Person, Role, utc_now
from sgpshop.services import installation
from sgpshop.services.bulk import report, runs
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts
from sgpshop.services.payments.runner import run_operation
from sgpshop.storage.queue import Task, messages, tell_now
from tests.conftest import make_app
from tests.forms import form_of
from tests.own_worker import working_by
from tests.postgresql import PostgresqlServer
from tests.processes import Processes
from tests.redis_server import RedisServer
from tests.signing_in import make_person
from tests.waiting import wait_until, working

ORDERS, LATENCY_MS, CONNECTIONS, WANTED = 1000, 300, 16, 0.93
CLICKS, REST_SECONDS = 60, 60.0
_STORES = ("file", "postgresql", "redis")


def run() -> None:
    """Print, for each store, how soon work begins, what rest costs, and a run with two workers."""
    rows, clicks = [], []
    for store in _STORES:
        with _place(store) as (path, database_url, queue_url):
            clicks.append([store, *_clicks(path, database_url, queue_url)])
        with _place(store) as (path, database_url, queue_url):
            rows.append([store, *_case(path, database_url, queue_url)])
    show(
        f"{CLICKS} presses of SGPカード実売上処理, the gateway answers at once: what the way over a worker costs",
        (
            "store",
            "pressed → panel p50 ms",
            "panel alone p50 ms",
            "capture by this process p50 ms",
            "more than both, ms (<= 60)",
        ),
        clicks,
    )
    show(
        f"The queue: {CLICKS} captures one by one, {REST_SECONDS:.0f} s of rest, "
        f"{ORDERS} captures of {LATENCY_MS} ms over {CONNECTIONS} connections of two workers",
        (
            "store",
            "committed → sent p50 ms (<= 20)",
            "at rest, % of a core (<= 1)",
            "at rest, statements/s (<= 2)",
            "ideal s",
            "wall s",
            f"ideal/wall (>= {WANTED})",
            "the same of bare calls",
            "a small work at rest, times over",
        ),
        rows,
    )


def _case(path: Path, database_url: str, queue_url: str) -> list[object]:
    app = make_app(path, QUEUE_URL=queue_url, **_database(database_url))
    processes = Processes(path, database_url, QUEUE_URL=queue_url, GATEWAY_CONCURRENCY=CONNECTIONS)
    with app.app_context(), working_by(app, "off"), processes:
        installation.migrate()
        processes.start_simulator(LATENCY_MS)
        app.config["GATEWAY_URL"] = processes.simulator_url
        orders = make_orders(processes, ORDERS + CLICKS)
        person = make_person("bench", Role.OPERATOR)
        worker = processes.start("worker")
        order_ids = [order.id for order in orders[:ORDERS]]
        begins = [_begin_ms(order) for order in orders[ORDERS:]]
        core, over = _core_at_rest(worker.pid)
        bare = controls.bare_ratio(
            processes.simulator_url,
            SHOP,
            calls=ORDERS,
            connections=CONNECTIONS,
            latency_ms=LATENCY_MS,
        )
        processes.start("worker")
        wall = _run_seconds(order_ids, person)
        for child in processes.children:
            processes.kill(child)
        statements = _statements_at_rest(app)
        db.session.remove()
        db.engine.dispose()
    ideal = ORDERS * LATENCY_MS / 1000 / CONNECTIONS
    return [
        f"{statistics.median(begins):.1f}",
        f"{core:.2f}",
        f"{statements:.2f}",
        f"{ideal:.1f}",
        f"{wall:.1f}",
        f"{ideal / wall:.2f}",
        f"{bare:.2f}",
        f"{over:.1f}",
    ]


def _clicks(path: Path, database_url: str, queue_url: str) -> list[object]:
    """What a press takes, beside its two parts: the same panel without a call (the form sent once
    more, which does nothing: P19), and the same capture carried out by who asks for it."""
    app = make_app(path, QUEUE_URL=queue_url, **_database(database_url))
    processes = Processes(path, database_url, QUEUE_URL=queue_url)
    with app.app_context(), working_by(app, "off"), processes:
        installation.migrate()
        processes.start_simulator(0)
        app.config["GATEWAY_URL"] = processes.simulator_url
        orders = make_orders(processes, 2 * CLICKS)
        make_person("bench", Role.OPERATOR)
        direct = [_capture_ms(order) for order in orders[CLICKS:]]
        _, url = processes.start_web()
        processes.start("worker")
        browser = signed_in(url)
        pressed, again = zip(
            *(_press_ms(browser, url, order.order_no) for order in orders[:CLICKS]), strict=True
        )
        db.session.remove()
        db.engine.dispose()
    whole, panel, call = (statistics.median(times) for times in (pressed, again, direct))
    return [f"{whole:.0f}", f"{panel:.0f}", f"{call:.0f}", f"{whole - panel - call:.0f}"]


def _capture_ms(order: Order) -> float:
    started = time.monotonic()
    seen = Seen(1, order.total, f"click {order.id}")
    attempt_id = acts.open_capture(order.id, seen, Actor.person("bench"))
    run_operation(attempt_id)
    return (time.monotonic() - started) * 1000


def _press_ms(browser: requests.Session, url: str, order_no: str) -> tuple[float, float]:
    """The press, and the same form once more."""
    address = f"/orders/{order_no}/capture"
    form = form_of(browser.get(url + address, timeout=60), address).fields
    times = []
    for _ in range(2):
        started = time.monotonic()
        answer = browser.post(url + address, data=form, headers={"HX-Request": "true"}, timeout=60)
        times.append((time.monotonic() - started) * 1000)
        assert "決済完了" in answer.text
    return times[0], times[1]


def _begin_ms(order: Order) -> float:
    """From the commit until the row says that it is sent now."""
    time.sleep(0.1)
    attempt_id = acts.open_capture(
        order.id, Seen(1, order.total, f"click {order.id}"), Actor.person("bench")
    )
    committed = utc_now()
    assert tell_now(Task.OPERATION, attempt_id)
    wait_until(lambda: db.session.get_one(Attempt, attempt_id, populate_existing=True).finished_at)
    sent_at = db.session.get_one(Attempt, attempt_id).sent_at
    assert sent_at is not None
    return (sent_at - committed).total_seconds() * 1000


def _core_at_rest(pid: int) -> tuple[float, float]:
    """Its share of a core in per cent, and how much more than awake a small work of another process took meanwhile."""
    db.session.rollback()  # PostgreSQL ends transactions that stand still
    time.sleep(12.0)  # its first rounds, and the connections it gives back
    process = psutil.Process(pid)
    control = controls.wakes(REST_SECONDS)
    before = sum(process.cpu_times()[:2])
    time.sleep(REST_SECONDS)
    core = (sum(process.cpu_times()[:2]) - before) / REST_SECONDS * 100
    return core, controls.times_over(control)


def _statements_at_rest(app: Flask) -> float:
    """Counted in a worker of this process: those of the database, and questions to the queue.

    Without BEGIN, which psycopg sends with the first of them, and SQLite's driver does not.
    """
    db.session.rollback()
    count = 0

    def one_more() -> None:
        nonlocal count
        count += 1

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            one_more()

    with working(app):
        time.sleep(12.0)
        store, take = messages().store, messages().store.take

        def asked(most: int) -> list[bytes]:
            one_more()
            return take(most)

        store.take = asked  # type: ignore[method-assign]
        sa.event.listen(db.engine, "before_cursor_execute", executed)
        time.sleep(REST_SECONDS)
        found = count / REST_SECONDS
        sa.event.remove(db.engine, "before_cursor_execute", executed)
    return found


def _run_seconds(order_ids: list[int], person: Person) -> float:
    run_id = runs.prepare(order_ids, "sgp_capture", person_id=person.id, actor=person.name)
    runs.start(run_id, person_id=person.id, sum_confirmed=True)
    accepted = utc_now()
    wait_until(lambda: not report.progress(run_id).is_running, 300)
    done = report.progress(run_id)
    assert done.succeeded == ORDERS, done
    last = db.session.query(sa.func.max(BulkItem.finished_at)).scalar()
    return float((last - accepted).total_seconds())


def _database(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url} if url else {}


@contextmanager
def _place(store: str) -> Iterator[tuple[Path, str, str]]:
    """A folder, the orders' database ("": SQLite in the folder), and the queue's address."""
    with ExitStack() as held:
        path = Path(held.enter_context(tempfile.TemporaryDirectory()))
        if store == "file":
            yield path, "", ""
            return
        server = held.enter_context(PostgresqlServer())
        url = server.new_database()
        yield path, url, url.replace("+psycopg", "") if store == "postgresql" else _redis(held)


def _redis(held: ExitStack) -> str:
    url = held.enter_context(RedisServer()).url
    time.sleep(0.5)
    return url
