"""Look-ups of many orders that nobody waits for, as after a file was taken in: wall time against the ideal."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from benchmarks.bulk import make_orders
from benchmarks.table import show
from sgpshop.extensions import db
from sgpshop.models import CardTransaction
from sgpshop.services import installation
from sgpshop.services.payments import transaction_lookup
from tests.conftest import make_app
from tests.processes import Processes
from tests.waiting import wait_until

ORDERS, LATENCY_MS, WANTED = 300, 200, 0.8
#: connections of the shop; look-ups leave one of them to captures
_CASES = (4, 16)


def run() -> None:
    """Print how near the look-ups come to what the connections allow."""
    show(
        f"照合: {ORDERS} look-ups, gateway {LATENCY_MS} ms",
        ("connections", "ideal s", "wall s", f"ideal/wall (>= {WANTED})"),
        [_case(connections) for connections in _CASES],
    )


def _case(connections: int) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder))
        with (
            app.app_context(),
            Processes(Path(folder), GATEWAY_CONCURRENCY=connections) as processes,
        ):
            installation.migrate()
            processes.start_simulator(LATENCY_MS)
            app.config["GATEWAY_URL"] = processes.simulator_url
            orders = make_orders(processes, ORDERS)
            processes.start("worker")
            time.sleep(3.0)  # its first rounds
            began = time.monotonic()
            transaction_lookup.look_soon_at_orders([order.id for order in orders])
            wait_until(lambda: not _left(), 300)
            wall = time.monotonic() - began
            db.session.remove()
            db.engine.dispose()
    ideal = ORDERS * LATENCY_MS / 1000 / (connections - 1)
    return [connections, f"{ideal:.1f}", f"{wall:.1f}", f"{ideal / wall:.2f}"]


def _left() -> int:
    found = db.session.execute(
        sa.select(sa.func.count())
        .select_from(CardTransaction)
        .where(CardTransaction.looks == 0)
        .union_all(
            sa.select(sa.func.count())
            .select_from(CardTransaction)
            .where(CardTransaction.next_look_at.is_not(None))
        )
    )
    left = sum(found.scalars())
    db.session.rollback()
    time.sleep(0.1)
    return left
