"""When the gateway hangs, and when answers are lost: pages keep their times, truth comes in time (P13, P23)."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import requests
from flask import Flask

from benchmarks.bulk import signed_in
from benchmarks.table import p95, show
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import Attempt, Order, Role
from sgpshop.services import installation, settings
from sgpshop.services.bulk import report, runs
from tests.conftest import make_app
from tests.factories import make_order, order_number
from tests.processes import Processes
from tests.signing_in import make_person

ORDERS = 60
_LOADS = 60
_QUIET = 90
#: half of the answers are lost after, half before it was carried out
_LOST = ("drop_after", "drop_before")


def run() -> None:
    """Print both tables; takes about two minutes, for the quiet period has to pass."""
    _while_everything_hangs()
    _until_the_truth_is_known()


def _while_everything_hangs() -> None:
    with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes:
        orders, app = _shop(Path(name), processes)
        _, url = processes.start_web()
        processes.start("worker")
        browser = signed_in(url)
        pages = {"/orders": "一覧", f"/orders/{orders[-1].order_no}": "詳細", "/": "ホーム"}
        idle = {path: _times(browser, url + path) for path in pages}
        for api in ("AlterTran", "ChangeTran", "SearchTrade"):
            processes.post_control("faults", {"api": api, "times": 1000, "fault": "delay:60"})
        with app.app_context():
            _start_run(orders[:30])
        clicks = [
            threading.Thread(target=_click, args=(browser, url, order.order_no), daemon=True)
            for order in orders[30:42]
        ]
        for click in clicks:
            click.start()
        time.sleep(2.0)
        hanging = {path: _times(browser, url + path) for path in pages}
        rows = [
            [
                pages[path],
                f"{p95(idle[path]) * 1000:.0f}",
                f"{p95(hanging[path]) * 1000:.0f}",
                f"{p95(hanging[path]) / p95(idle[path]):.2f}",
                "<= 2",
            ]
            for path in pages
        ]
    show(
        "Every gateway call hangs: a run of 30 and 12 clicks under way",
        ("page", "idle p95 ms", "hanging p95 ms", "ratio", "wanted"),
        rows,
    )


def _until_the_truth_is_known() -> None:
    with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes:
        orders, app = _shop(Path(name), processes)
        for number, order in enumerate(orders):
            body = {"api": "AlterTran", "order_id": order.order_no, "times": 1}
            processes.post_control("faults", body | {"fault": _LOST[number % 2]})
        processes.start("worker")
        with app.app_context():
            run_id = _start_run(orders)
            while report.progress(run_id).is_running or report.progress(run_id).uncertain:
                db.session.rollback()
                time.sleep(0.5)
            waits = [
                (row.finished_at - row.uncertain_since).total_seconds()
                for row in db.session.query(Attempt)
                if row.finished_at and row.uncertain_since
            ]
            known = sum(o.payment_status is not PaymentStatus.NEEDS_REVIEW for o in _all_orders())
            db.session.remove()
            db.engine.dispose()
    show(
        f"{ORDERS} lost answers, gateway healthy, default settings",
        ("known", "p95 s until known", "longest s", "wanted"),
        [[f"{known}/{ORDERS}", f"{p95(waits):.0f}", f"{max(waits):.0f}", f"<= {_QUIET + 60}"]],
    )


def _all_orders() -> list[Order]:
    db.session.expire_all()
    return db.session.query(Order).all()


def _shop(path: Path, processes: Processes) -> tuple[list[Order], Flask]:
    """Orders in 仮売上 here and AUTH at the simulator, and the app of their database."""
    app = make_app(path)
    processes.start_simulator(20)
    with app.app_context():
        installation.migrate()
        settings.save(
            "bench", site_id="tsite00000001", shop_id="tshop00000001", shop_pass="shoppass01"
        )
        app.config["GATEWAY_URL"] = processes.simulator_url
        wishes = [
            {"order_id": order_number(), "amount": 3000, "job_cd": "AUTH"} for _ in range(ORDERS)
        ]
        made = processes.post_control("transactions", wishes)
        orders = [
            make_order(access=TradeAccess(row["order_id"], row["access_id"], row["access_pass"]))
            for row in made
        ]
        make_person("bench", Role.OPERATOR)
        db.session.remove()
    return orders, app


def _start_run(orders: list[Order]) -> str:
    run_id = runs.prepare([order.id for order in orders], "sgp_capture", person_id=1, actor="bench")
    runs.start(run_id, person_id=1, sum_confirmed=True)
    return run_id


def _times(browser: requests.Session, url: str) -> list[float]:
    found = []
    for _ in range(_LOADS):
        started = time.monotonic()
        assert browser.get(url, timeout=60).status_code == 200
        found.append(time.monotonic() - started)
    return found


def _click(browser: requests.Session, url: str, order_no: str) -> None:
    """照合, which asks the gateway at once."""
    page = browser.get(f"{url}/orders/{order_no}", timeout=60).text
    token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    browser.post(f"{url}/orders/{order_no}/reconcile", data={"csrf_token": token}, timeout=60)
