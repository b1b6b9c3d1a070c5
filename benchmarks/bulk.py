"""Bulk capture of 1,000 orders: wall time against the gateway's ideal, while people search."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import psutil
import requests
import sqlalchemy as sa

from benchmarks import controls
from benchmarks.shop import know_tables
from benchmarks.table import p95, show
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import BulkItem, Order, Person, Role, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.bulk import report, runs
from sgpshop.services.demo.rows import seed_rows
from sgpshop.services.orders import feed, history, money_days
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.factories import make_order, order_number
from tests.postgresql import PostgresqlServer
from tests.processes import Processes
from tests.signing_in import PASSWORD, make_person

ORDERS = 1000
#: orders the shop has besides: of tables that are empty PostgreSQL plans to read the whole
EARLIER = 10_000
#: ShopID and password of the simulator
SHOP = ("tshop00000001", "shoppass01")
#: latency in ms, connections, the part of ideal that must be reached
CASES = ((300, 16, 0.95), (200, 32, 0.92))
_PAUSE = 0.25
#: orders of a run that is only begun, and seconds that may take
BEGUN, BEGUN_IN = 5000, 1.0


def run() -> None:
    """Print the ratios of P34 for both cases."""
    _show("SQLite", [_case("", *case) for case in CASES])


def run_on_postgresql() -> None:
    """The same; its server takes of the same cores."""
    with PostgresqlServer() as server:
        _show("PostgreSQL", [_case(server.new_database(), *case) for case in CASES])


def _show(database: str, rows: list[list[object]]) -> None:
    show(
        f"一括処理 on {database}: {ORDERS} orders, list page loaded all the while",
        (
            "gateway",
            "connections",
            "ideal s",
            "accepted in s",
            "wall s",
            "ideal/wall",
            "wanted",
            "the same of bare calls",
            "list p95 idle ms",
            "list p95 in run ms",
            "wanted ms",
            "web+worker MB",
        ),
        rows,
    )


def accepting() -> None:
    """Print how long it takes to weigh a big run for the question that is put, and to begin it."""
    with PostgresqlServer() as server:
        rows = [
            _begun("SQLite", ""),
            _begun("PostgreSQL", server.new_database()),
        ]
    show(
        f"一括処理 of {BEGUN} orders, begun",
        ("database", "weighed in s", "begun in s", "wanted"),
        rows,
    )


def _begun(name: str, database_url: str) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        # Nobody is there, and nobody is asked: a run that is begun waits for its worker.
        app = make_app(Path(folder), DATABASE_URL=database_url, GATEWAY_URL="http://127.0.0.1:1")
        with app.app_context():
            installation.migrate()
            settings.save("bench", site_id="tsite00000001", shop_id=SHOP[0], shop_pass=SHOP[1])
            person = make_person("bench", Role.OPERATOR)
            access = (TradeAccess(order_number(), f"{n:032}", f"{n:032}") for n in range(BEGUN))
            ids = [make_order(total=1000, access=one).id for one in access]
            db.session.rollback()
            started = time.monotonic()
            run_id = runs.prepare(ids, "sgp_capture", person_id=person.id, actor=person.name)
            weighed = time.monotonic()
            runs.start(run_id, person_id=person.id, sum_confirmed=True)
            begun = time.monotonic()
            assert report.progress(run_id).total == BEGUN
            db.session.remove()
            db.engine.dispose()
    return [name, f"{weighed - started:.2f}", f"{begun - weighed:.2f}", f"<= {BEGUN_IN}"]


def _case(database_url: str, latency_ms: int, connections: int, wanted: float) -> list[object]:
    os.environ["MALLOC_ARENA_MAX"] = "1"  # as the unit files have it
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        app = make_app(path, DATABASE_URL=database_url)
        with (
            app.app_context(),
            Processes(path, database_url, GATEWAY_CONCURRENCY=connections) as processes,
        ):
            installation.migrate()
            seed_rows(EARLIER)
            feed.tidy()  # what a worker did long ago
            money_days.fold()
            processes.are_own = True
            processes.start_simulator(latency_ms)
            app.config["GATEWAY_URL"] = processes.simulator_url
            orders = make_orders(processes, ORDERS + connections)
            person = make_person("bench", Role.OPERATOR)
            know_tables()
            web, url = processes.start_web()
            worker = processes.start("worker")
            browser = signed_in(url)
            # A process that has just started makes each statement, and each page, for the first time.
            _wait_for(_prepared(orders[ORDERS:], person), person)
            idle = [load(browser, url) for _ in range(60)]
            run_id = _prepared(orders[:ORDERS], person)
            busy: list[float] = []
            over = threading.Event()
            visitor = threading.Thread(target=_visit, args=(browser, url, busy, over))
            visitor.start()
            pressed = utc_now()
            accepted = _wait_for(run_id, person)
            last = db.session.query(sa.func.max(BulkItem.finished_at)).scalar()
            wall = (last - accepted).total_seconds()
            over.set()
            visitor.join()
            done = report.progress(run_id)
            assert done.succeeded == ORDERS, done
            bare = controls.bare_ratio(
                processes.simulator_url,
                SHOP,
                calls=ORDERS,
                connections=connections,
                latency_ms=latency_ms,
            )
            memory = sum(psutil.Process(p.pid).memory_info().rss for p in (web, worker))
            db.session.remove()
            db.engine.dispose()
    ideal = ORDERS * latency_ms / 1000 / connections
    return [
        f"{latency_ms} ms",
        connections,
        f"{ideal:.1f}",
        f"{(accepted - pressed).total_seconds():.2f}",
        f"{wall:.1f}",
        f"{ideal / wall:.2f}",
        f">= {wanted}",
        f"{bare:.2f}",
        f"{p95(idle) * 1000:.0f}",
        f"{p95(busy) * 1000:.0f}",
        f"<= {p95(idle) * 2000 + 50:.0f}",
        f"{memory / 2**20:.0f}",
    ]


def _prepared(orders: list[Order], person: Person) -> str:
    ids = [order.id for order in orders]
    return runs.prepare(ids, "sgp_capture", person_id=person.id, actor=person.name)


def _wait_for(run_id: str, person: Person) -> datetime:
    """Begin a run, and wait until it is over; when it had begun."""
    runs.start(run_id, person_id=person.id, sum_confirmed=True)
    accepted = utc_now()
    while report.progress(run_id).is_running:
        db.session.rollback()
        time.sleep(0.1)
    return accepted


def make_orders(processes: Processes, number: int) -> list[Order]:
    """Orders in 仮売上 here and AUTH at the simulator, each with the entry it comes in with; the contract is
    filled in."""
    shop_id, shop_pass = SHOP
    settings.save("bench", site_id="tsite00000001", shop_id=shop_id, shop_pass=shop_pass)
    wishes = [
        {"order_id": order_number(), "amount": 1000 + n, "job_cd": "AUTH"} for n in range(number)
    ]
    made = processes.post_control("transactions", wishes)
    orders = [
        make_order(
            total=1000 + n,
            access=TradeAccess(row["order_id"], row["access_id"], row["access_pass"]),
        )
        for n, row in enumerate(made)
    ]
    with writing():
        for order in orders:
            history.record_unchanged(order, "imported", history.WORKER)
    return orders


def signed_in(url: str) -> requests.Session:
    """A browser in which the person `bench` is signed in."""
    browser = requests.Session()
    page = browser.get(f"{url}/login", timeout=30).text
    token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    form = {"name": "bench", "password": PASSWORD, "csrf_token": token}
    answer = browser.post(f"{url}/login", data=form, timeout=30)
    assert "ログアウト" in answer.text
    return browser


def load(browser: requests.Session, url: str) -> float:
    """Open the list; how many seconds it took."""
    started = time.monotonic()
    answer = browser.get(f"{url}/orders", timeout=60)
    assert answer.status_code == 200
    return time.monotonic() - started


def _visit(browser: requests.Session, url: str, times: list[float], over: threading.Event) -> None:
    while not over.wait(_PAUSE):
        times.append(load(browser, url))
