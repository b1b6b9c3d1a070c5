"""1,000 notifications in 30 s to a real web process: how fast they are answered, how few look-ups follow."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import requests
import sqlalchemy as sa

from benchmarks.table import p95, show
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import Notification
from sgpshop.services import installation, settings
from sgpshop.services.payments import notifications
from tests.conftest import make_app
from tests.factories import make_order
from tests.notifying import FORM, SHOP_ID, body
from tests.processes import Processes

NOTIFICATIONS = 1000
SECONDS = 30.0
ORDERS = 10
_PAUSE = 10.0
_ANSWER_WITHIN = 3.0
_SENDERS = 24
#: how long the look-ups are watched beyond the last notification
_WATCHED = 15.0

_local = threading.local()


def run() -> None:
    """Print answer times and look-ups, with web, worker and simulator as processes of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Processes(folder) as processes:
            processes.start_simulator()
            address = _prepare(folder, processes)
            _, web = processes.start_web()
            processes.start("worker")
            times, answers = _send(f"{web}{address}")
            time.sleep(_WATCHED)
            log = processes.control("requests")
        with make_app(folder).app_context():
            kept, copies = db.session.execute(
                sa.select(sa.func.count(), sa.func.sum(Notification.copies)).select_from(
                    Notification
                )
            ).one()
            db.engine.dispose()
    looks = defaultdict(list)
    for entry in log:
        if entry["api"] == "SearchTrade":
            looks[entry["order_id"]].append(datetime.fromisoformat(entry["time"]).timestamp())
    closest = min(
        (later - former for at in looks.values() for former, later in itertools.pairwise(at)),
        default=float("inf"),
    )
    busiest = _most_within(sorted(at for all_at in looks.values() for at in all_at), 60.0)
    show(
        f"{NOTIFICATIONS:,} notifications for {ORDERS} orders in {SECONDS:.0f} s, a third of them twice",
        ("figure", "measured", "wanted"),
        [
            ("answered 0", answers["0"], f"{NOTIFICATIONS}"),
            ("answered otherwise", sum(answers.values()) - answers["0"], "0"),
            ("kept, with copies", f"{kept} rows, {copies} notifications", f"{NOTIFICATIONS}"),
            ("answer, p95 ms", f"{p95(times) * 1000:.0f}", "<= 500 (P34)"),
            ("answer, longest ms", f"{max(times) * 1000:.0f}", f"<= {_ANSWER_WITHIN * 1000:.0f}"),
            ("look-ups, all", sum(map(len, looks.values())), ""),
            ("look-ups of one order, closest s", f"{closest:.1f}", f">= {_PAUSE:.0f}"),
            ("look-ups in any minute", busiest, "<= 60"),
        ],
    )


def _prepare(folder: Path, processes: Processes) -> str:
    """A shop with its orders at the simulator; the path where notifications come in."""
    app = make_app(folder, GATEWAY_URL=processes.simulator_url)
    with app.app_context():
        installation.migrate()
        settings.save(
            "bench",
            site_id="tsite00000001",
            site_pass="sitepass01",
            shop_id=SHOP_ID,
            shop_pass="shoppass01",
        )
        orders = [f"P{number:018d}" for number in range(ORDERS)]
        made = processes.post_control(
            "transactions",
            [{"order_id": order_no, "amount": 3000, "job_cd": "AUTH"} for order_no in orders],
        )
        for trade in made:
            make_order(
                access=TradeAccess(trade["order_id"], trade["access_id"], trade["access_pass"])
            )
        path = f"/notify/{notifications.secret_of(settings.load())}"
        db.engine.dispose()
    return path


def _send(url: str) -> tuple[list[float], Counter[str]]:
    """Send them evenly over the time; seconds each took, and the answers counted."""
    start = time.monotonic()

    def send(number: int) -> tuple[float, str]:
        time.sleep(max(0.0, start + number * SECONDS / NOTIFICATIONS - time.monotonic()))
        unique = number - 1 if number % 3 == 2 else number
        data = body(f"P{unique % ORDERS:018d}", TranID=f"{unique:028d}")
        if not hasattr(_local, "session"):
            _local.session = requests.Session()
        began = time.monotonic()
        answer = _local.session.post(url, data=data, headers={"Content-Type": FORM}, timeout=20)
        return time.monotonic() - began, answer.text

    with ThreadPoolExecutor(_SENDERS) as pool:
        results = list(pool.map(send, range(NOTIFICATIONS)))
    return [took for took, _ in results], Counter(answer for _, answer in results)


def _most_within(moments: list[float], seconds: float) -> int:
    """The most moments that lie within any such span."""
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
