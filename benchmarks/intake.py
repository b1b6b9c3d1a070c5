"""Ten orders a second by the API for five minutes, while somebody works on the screens (P34, issue figures)."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import requests
import sqlalchemy as sa

from benchmarks.bulk import signed_in
from benchmarks.table import p95, show
from sgpshop.extensions import db
from sgpshop.models import Order, Role, Scope
from sgpshop.services import installation, settings
from sgpshop.services.access import api_keys
from tests.conftest import make_app
from tests.factories import make_order
from tests.processes import Processes
from tests.signing_in import make_person

RATE = 10
SECONDS = int(os.environ.get("BENCH_INTAKE_SECONDS", "300"))
LATENCY_MS, CONNECTIONS = 200, 16
#: orders that are there already, so that idle and busy pages show as many rows
BEFORE = 300
_SENDERS = 24
_PAUSE = 0.25
_CARD = {"card_no": "4111111111111111", "expire": "4912"}

_local = threading.local()


def run() -> None:
    """For one web process, and for one of its own for the API."""
    for webs in (1, 2):
        _run(webs)


def _run(webs: int) -> None:
    """Print what became of the orders, and the screens' times against those of an idle shop."""
    number = RATE * SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Processes(folder, GATEWAY_CONCURRENCY=CONNECTIONS) as processes:
            processes.start_simulator(LATENCY_MS)
            key, order_no = _prepare(folder, processes)
            web, url = processes.start_web()
            api, api_url = (web, url) if webs == 1 else processes.start_web()
            worker = processes.start("worker")
            browser = signed_in(url)
            pages = (f"{url}/orders", f"{url}/orders/{order_no}")
            idle = [[_load(browser, page) for _ in range(60)] for page in pages]
            busy: list[list[float]] = [[], []]
            over = threading.Event()
            visitor = threading.Thread(target=_visit, args=(browser, pages, busy, over))
            pids = {web.pid, api.pid, worker.pid}
            before = _memory(*pids)
            visitor.start()
            times, answers = _send(api_url, key, processes.simulator_url, number)
            over.set()
            visitor.join()
            after = _memory(*pids)
        with make_app(folder).app_context():
            statuses = Counter(db.session.scalars(sa.select(Order.payment_status)).all())
            db.engine.dispose()
    statuses["authorized"] -= BEFORE
    show(
        f"{RATE} orders/s by the API for {SECONDS} s, {webs} web process(es);"
        f" gateway {LATENCY_MS} ms, {CONNECTIONS} connections",
        ("figure", "measured", "wanted"),
        [
            ("answered 201", answers[201], f"{number}"),
            ("answered otherwise", sum(answers.values()) - answers[201], "0"),
            ("仮売上 in the end", statuses["authorized"], f"{number}"),
            ("answer, p95 ms", f"{p95(times) * 1000:.0f}", ""),
            *(
                (
                    f"{what}, p95 idle → meanwhile",
                    f"{p95(idle[n]) * 1000:.0f} → {p95(busy[n]) * 1000:.0f} ms,"
                    f" ratio {p95(busy[n]) / p95(idle[n]):.1f}",
                    "<= 2",
                )
                for n, what in enumerate(("list", "detail"))
            ),
            ("web + worker, before → after", f"{before:.0f} → {after:.0f} MB", ""),
        ],
    )


def _prepare(folder: Path, processes: Processes) -> tuple[str, str]:
    """A shop that takes orders: a key for it, and the number of an order to look at."""
    app = make_app(folder, GATEWAY_URL=processes.simulator_url)
    with app.app_context():
        installation.migrate()
        settings.save(
            "bench",
            site_id="tsite00000001",
            site_pass="sitepass01",
            shop_id="tshop00000001",
            shop_pass="shoppass01",
            enabled=True,
        )
        make_person("bench", Role.OPERATOR)
        key = api_keys.create("bench", [Scope.INTAKE], by="bench")
        order_no = max(make_order().order_no for _ in range(BEFORE))
        db.session.remove()
        db.engine.dispose()
    return key, order_no


def _send(url: str, key: str, simulator: str, number: int) -> tuple[list[float], Counter[int]]:
    """Hand the orders in evenly over the time; seconds each took, and the answers counted."""
    start = time.monotonic() + 1.0

    def send(n: int) -> tuple[float, int]:
        if not hasattr(_local, "session"):
            _local.session = requests.Session()
        time.sleep(max(0.0, start + n / RATE - time.monotonic()))
        made = _local.session.post(f"{simulator}/_control/tokens", json=_CARD, timeout=30).json()
        began = time.monotonic()
        answer = _local.session.post(
            f"{url}/api/v1/orders",
            json=order_body(n, made["token"]),
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        return time.monotonic() - began, answer.status_code

    with ThreadPoolExecutor(_SENDERS) as pool:
        results = list(pool.map(send, range(number)))
    return [took for took, _ in results], Counter(status for _, status in results)


def order_body(n: int, token: str) -> dict[str, Any]:
    """The n-th order, as the API takes it."""
    return {
        "order_no": f"P9{n:017d}",
        "ordered_at": "2026-11-23T10:15:00+09:00",
        "kind": "normal",
        "buyer": {"name": "佐藤 花子"},
        "items": [{"code": "A-1", "name": "煎茶", "unit_price": 1000 + n, "quantity": 1}],
        "total": 1000 + n,
        "payment": {"token": token},
        "three_ds": "none",
    }


def _load(browser: requests.Session, page: str) -> float:
    started = time.monotonic()
    assert browser.get(page, timeout=60).status_code == 200
    return time.monotonic() - started


def _visit(
    browser: requests.Session,
    pages: tuple[str, ...],
    times: list[list[float]],
    over: threading.Event,
) -> None:
    while not over.wait(_PAUSE):
        for page, of_page in zip(pages, times, strict=True):
            of_page.append(_load(browser, page))


def _memory(*pids: int) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20
