"""A backup of 100,000 orders while people look at the list."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks import shop
from benchmarks.bulk import load, signed_in
from benchmarks.exports import ORDERS
from benchmarks.table import p95, show
from sgpshop.extensions import db
from sgpshop.models import Role
from tests.processes import Processes
from tests.signing_in import make_person

WANTED = 20


def run() -> None:
    """Print the seconds a backup takes, and what a page takes meanwhile."""
    with shop.for_once(ORDERS) as app:
        path = Path(app.config["INSTANCE_PATH"])
        with app.app_context(), Processes(path) as processes:
            make_person("bench", Role.OPERATOR)
            size = (path / "sgpshop.db").stat().st_size
            db.session.remove()
            db.engine.dispose()
            _, url = processes.start_web()
            browser = signed_in(url)
            idle, busy = [load(browser, url) for _ in range(30)], []
            over = threading.Event()

            def visit() -> None:
                while not over.wait(0.25):
                    busy.append(load(browser, url))

            visitor = threading.Thread(target=visit)
            visitor.start()
            began = time.monotonic()
            assert processes.start("backup", str(path / "bench.backup")).wait(300) == 0
            took = time.monotonic() - began
            over.set()
            visitor.join()
            packed = (path / "bench.backup").stat().st_size
    show(
        f"A backup of {ORDERS:,} orders, list page loaded all the while",
        ("s", "wanted", "database MB", "backup MB", "list p95 idle ms", "meanwhile ms"),
        [
            (
                f"{took:.1f}",
                f"<= {WANTED}",
                f"{size / 1e6:.0f}",
                f"{packed / 1e6:.0f}",
                f"{p95(idle) * 1000:.0f}",
                f"{p95(busy) * 1000:.0f}",
            )
        ],
    )
