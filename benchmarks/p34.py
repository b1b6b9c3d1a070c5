"""The load of P34: a shop of 100,000 orders, 15 pages, 10 intakes and 10 notifications a second, for ten minutes.

`BENCH_P34_SECONDS=60` is the short form.  Every request is sent at its moment, whether those before were
answered or not, as long as no more than 64 are under way.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks import shop
from benchmarks.bulk import signed_in
from benchmarks.intake import order_body
from benchmarks.table import p95, show
from sgpshop.extensions import db
from sgpshop.models import Role, Scope
from sgpshop.services import settings
from sgpshop.services.access import api_keys
from sgpshop.services.demo.rows import number_of
from sgpshop.services.orders import feed, money_days
from sgpshop.services.payments import notifications
from tests.conftest import make_app
from tests.notifying import FORM, body
from tests.processes import Processes
from tests.signing_in import make_person

ORDERS = 100_000
SECONDS = int(os.environ.get("BENCH_P34_SECONDS", "600"))
LATENCY_MS, CONNECTIONS = 200, 16
#: a second, and how long 95 % of them may take
_RATES = {"list": 6, "detail": 6, "home": 3, "intake": 10, "notification": 10}
_WANTED = {"list": 500, "detail": 250, "home": 500, "intake": 1000, "notification": 500}
_LISTS = ("/orders", "/orders?q=佐藤", "/orders?status=authorized", "/orders?date_field=ordered_at")
#: a notification of an order comes so many orders after it
_BEHIND = 30
_SENDERS, _LOG_EVERY = 64, 0.25
#: Before it: so many of each kind, so many at once; the first number of those orders.
_WARM, _AT_ONCE, _FIRST_WARM = 20, 12, 9_000_000
_CARD = {"card_no": "4111111111111111", "expire": "4912"}

_local = threading.local()


@dataclass
class Answers:
    """What came of the requests of one kind."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def run() -> None:
    """Print what was served and how fast, and what it cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with shop.kept(ORDERS) as app:
            _copy(Path(app.instance_path) / "sgpshop.db", folder / "sgpshop.db")
        _run("SQLite", folder)


def run_on_postgresql() -> None:
    """The same, but for the log, which is the server's."""
    with shop.on_postgresql(ORDERS) as app:
        _run("PostgreSQL", Path(app.instance_path), app.config["DATABASE_URL"])


def _run(database: str, folder: Path, url_of_database: str = "") -> None:
    settings_of_it: dict[str, object] = {
        "GATEWAY_CONCURRENCY": CONNECTIONS,
        "SEARCHES_PER_PERSON": 1_000_000,
        "API_REQUESTS_PER_KEY": 1_000_000,
        "API_REQUESTS_PER_ADDRESS": 1_000_000,
    }
    # As the unit files have it.
    os.environ["MALLOC_ARENA_MAX"] = "1"
    with Processes(folder, url_of_database, **settings_of_it) as processes:
        processes.are_own = True
        processes.start_simulator(LATENCY_MS)
        key, notify = _prepare(folder, processes, url_of_database)
        web, url = processes.start_web()
        worker = processes.start("worker")
        cookies = signed_in(url).cookies
        kinds = _kinds(url, key, notify, processes.simulator_url, cookies)
        _warm(kinds)
        before = _used(web.pid), _used(worker.pid)
        answers, longest_log = _load(kinds, folder)
        after = _used(web.pid), _used(worker.pid)
    served = sum(len(one.seconds) for one in answers.values())
    cpu = [then.seconds - now.seconds for now, then in zip(before, after, strict=True)]
    show(
        f"P34 for {SECONDS} s at {ORDERS:,} orders, {database}; gateway {LATENCY_MS} ms",
        ("figure", "measured", "wanted"),
        [
            *(
                (
                    f"{name}: served, errors, p95",
                    f"{len(one.seconds)} of {_RATES[name] * SECONDS}, {len(one.errors)},"
                    f" {p95(one.seconds or [0]) * 1000:.0f} ms {' '.join(sorted(set(one.errors)))[:200]}",
                    f"all, 0, <= {_WANTED[name]}",
                )
                for name, one in answers.items()
            ),
            ("processor time of web, ms a request", f"{cpu[0] / served * 1000:.1f}", "<= 20"),
            ("the same with the worker's", f"{sum(cpu) / served * 1000:.1f}", ""),
            ("longest log, MB", f"{longest_log / 1e6:.0f}", "<= 64"),
            *(
                (
                    f"memory of {name}, MB",
                    f"{now.memory:.0f} → {then.memory:.0f}",
                    "+ < 10 %",
                )
                for name, now, then in zip(("web", "worker"), before, after, strict=True)
            ),
        ],
    )


def _copy(source: Path, target: Path) -> None:
    """A shop that may be written to, without the one that is kept."""
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


def _warm(kinds: dict[str, Callable[[int], requests.Response]]) -> None:
    """Some of each kind at once: what a process makes once, for each thread too, is not what is measured."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for kind, n in itertools.product(kinds, range(_WARM)):
            pool.submit(kinds[kind], _FIRST_WARM + n if kind == "intake" else n)


def _prepare(folder: Path, processes: Processes, url_of_database: str) -> tuple[str, str]:
    """Let the shop take orders: a key for the API, and the path where notifications come in."""
    where = {"DATABASE_URL": url_of_database} if url_of_database else {}
    app = make_app(folder, GATEWAY_URL=processes.simulator_url, **where)
    with app.app_context():
        settings.save("bench", site_pass="sitepass01", shop_pass="shoppass01", enabled=True)
        make_person("bench", Role.OPERATOR)
        key = api_keys.create("bench", [Scope.INTAKE], by="bench")
        # What a worker of a shop that grew day by day did long ago.
        feed.tidy()
        money_days.fold()
        path = f"/notify/{notifications.secret_of(settings.load())}"
        db.session.remove()
        db.engine.dispose()
    return key, path


def _kinds(
    url: str, key: str, notify: str, simulator: str, cookies: Any
) -> dict[str, Callable[[int], requests.Response]]:
    """By kind, what sends the n-th request of it."""

    def intake(n: int) -> requests.Response:
        token = _session().post(f"{simulator}/_control/tokens", json=_CARD, timeout=60).json()
        _local.began = time.monotonic()
        return _session().post(
            f"{url}/api/v1/orders",
            json=order_body(n, token["token"]),
            headers={"Authorization": f"Bearer {key}"},
            timeout=120,
        )

    def notification(n: int) -> requests.Response:
        number = order_body(max(0, n - _BEHIND), "")["order_no"]
        data = body(number, TranID=f"{n:028d}")
        return _session().post(
            f"{url}{notify}", data=data, headers={"Content-Type": FORM}, timeout=120
        )

    return {
        "list": lambda n: _get(url, _LISTS[n % len(_LISTS)], cookies),
        "detail": lambda n: _get(url, f"/orders/{number_of(ORDERS - 1 - n % 5000)}", cookies),
        "home": lambda _: _get(url, "/", cookies),
        "intake": intake,
        "notification": notification,
    }


def _load(
    kinds: dict[str, Callable[[int], requests.Response]], folder: Path
) -> tuple[dict[str, Answers], int]:
    """Send everything at its moment; the answers by kind, and the longest log of the database."""
    answers: dict[str, Answers] = defaultdict(Answers)
    over, lengths = threading.Event(), [0]

    def watch() -> None:
        log = folder / "sgpshop.db-wal"
        while not over.wait(_LOG_EVERY):
            lengths.append(log.stat().st_size if log.exists() else 0)

    def send(at: float, kind: str, n: int) -> None:
        time.sleep(max(0.0, at - time.monotonic()))
        _local.began = time.monotonic()
        try:
            answer = kinds[kind](n)
            took = time.monotonic() - _local.began
        except requests.RequestException as problem:
            answers[kind].errors.append(type(problem).__name__)
            return
        if answer.status_code not in (200, 201) or (kind == "notification" and answer.text != "0"):
            answers[kind].errors.append(str(answer.status_code))
        else:
            answers[kind].seconds.append(took)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic() + 1.0
    with ThreadPoolExecutor(_SENDERS) as pool:
        for at, kind, n in _moments():
            pool.submit(send, start + at, kind, n)
    over.set()
    watcher.join()
    return {kind: answers[kind] for kind in kinds}, max(lengths)


def _moments() -> Iterator[tuple[float, str, int]]:
    """When each request is to be sent, in order, evenly over each second."""
    numbers: dict[str, Iterator[int]] = {kind: itertools.count() for kind in _RATES}
    second = sorted((n / rate, kind) for kind, rate in _RATES.items() for n in range(rate))
    for full in range(SECONDS):
        for part, kind in second:
            yield full + part, kind, next(numbers[kind])


def _session() -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    session: requests.Session = _local.session
    return session


def _get(url: str, path: str, cookies: Any) -> requests.Response:
    return _session().get(f"{url}{path}", cookies=cookies, timeout=120)


@dataclass(frozen=True)
class _Used:
    seconds: float
    #: MB
    memory: float


def _used(pid: int) -> _Used:
    process = psutil.Process(pid)
    times = process.cpu_times()
    return _Used(times.user + times.system, process.memory_info().rss / 2**20)
