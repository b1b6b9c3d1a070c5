"""How soon a webhook arrives: one event alone, and while a worker captures hundreds of orders."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.bulk import make_orders
from benchmarks.table import show
from sgpshop.extensions import db
from sgpshop.models import HistoryEntry, Order, OrderEvent, Role, utc_now
from sgpshop.services import installation
from sgpshop.services.bulk import report, runs
from sgpshop.services.orders import history
from sgpshop.services.orders.history import Actor
from sgpshop.services.outgoing import webhooks
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.own_worker import working_by
from tests.processes import Processes
from tests.services.webhook_receiver import Receiver
from tests.signing_in import make_person
from tests.waiting import wait_until

ORDERS, LATENCY_MS, CONNECTIONS, ALONE, WANTED = 400, 300, 16, 20, 2.0


class Clock(Receiver):
    """A receiver that notes when each event came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: dict[str, datetime] = {}

    def take(self, headers: dict[str, str], body: bytes) -> int:
        event_id = {name.lower(): value for name, value in headers.items()}["webhook-id"]
        self.came.setdefault(event_id, utc_now())
        return super().take(headers, body)


def run() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        app = make_app(path)
        processes = Processes(path, "", GATEWAY_CONCURRENCY=CONNECTIONS)
        receiver = Clock()
        with app.app_context(), working_by(app, "off"), processes:
            installation.migrate()
            processes.start_simulator(LATENCY_MS)
            app.config["GATEWAY_URL"] = processes.simulator_url
            ids = [order.id for order in make_orders(processes, ORDERS)]
            person = make_person("bench", Role.OPERATOR)
            receiver.secret = webhooks.create(receiver.url, by="bench")
            processes.start("worker")
            time.sleep(3)
            alone = _alone(receiver, ids[0])
            busy = _while_capturing(receiver, ids, person)
            for child in processes.children:
                processes.kill(child)
            db.session.remove()
            db.engine.dispose()
        receiver.stop()
    show(
        f"Webhooks, from the commit of an event to its arrival (wanted ≤ {WANTED:.0f} s)",
        ("when", "events", "median s", "95 % s", "longest s"),
        [("nothing else to do", *_told(alone)), (f"{ORDERS} captures under way", *_told(busy))],
    )


def _alone(receiver: Clock, order_id: int) -> list[float]:
    for _ in range(ALONE):
        with writing() as session:
            order = session.get_one(Order, order_id, populate_existing=True)
            history.record_change(order, "note", Actor.person("bench"), before=order.payment_status)
        time.sleep(0.3)
    return _waits(receiver, ALONE)


def _while_capturing(receiver: Clock, ids: list[int], person: Any) -> list[float]:
    receiver.came.clear()
    run_id = runs.prepare(ids, "sgp_capture", person_id=person.id, actor=person.name)
    runs.start(run_id, person_id=person.id, sum_confirmed=True)
    wait_until(lambda: not report.progress(run_id).is_running, 300)
    return _waits(receiver, ORDERS)


def _waits(receiver: Clock, least: int) -> list[float]:
    """Seconds that each event took."""
    wait_until(lambda: len(receiver.came) >= least, 120)
    db.session.rollback()
    rows = db.session.execute(
        sa.select(OrderEvent.position, HistoryEntry.at).join(
            HistoryEntry, HistoryEntry.id == OrderEvent.history_id
        )
    ).all()
    db.session.rollback()
    at = {str(row.position): row.at for row in rows}
    return [
        (came - at[event_id.rpartition("-")[2]]).total_seconds()
        for event_id, came in receiver.came.items()
    ]


def _told(waits: Sequence[float]) -> tuple[str, ...]:
    parts = statistics.quantiles(waits, n=20)
    figures = (statistics.median(waits), parts[-1], max(waits))
    return (f"{len(waits)}", *(f"{figure:.2f}" for figure in figures))
