"""kill -9 amid the run of a slip file: each order captured once, each row worked off (P1, P2, P33)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import Delivery, ItemResult, Order, SlipRow
from sgpshop.services import settings
from sgpshop.services.deliveries import slips
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import effects
from sgpshop.worker.engine import Worker
from tests.factories import make_order, order_number
from tests.faults.oracle import violations
from tests.faults.test_kill import SETTINGS, statuses
from tests.processes import Processes
from tests.seeds import dice_of, is_thorough
from tests.services.slip_files import prepare, results, slip, slip_file, start
from tests.waiting import wait_until

CAPTURED = 60 if is_thorough() else 30
#: orders that are not to be captured: registered by the run alone
OTHERS = 40 if is_thorough() else 20


@pytest.fixture
def processes(app: Flask, tmp_path: Path) -> Iterator[Processes]:
    url = app.config["DATABASE_URL"]
    database_url = url if url.startswith("postgresql") else ""
    with Processes(tmp_path, database_url, **SETTINGS) as processes:
        processes.start_simulator(latency_ms=40)
        app.config["GATEWAY_URL"] = processes.simulator_url
        yield processes


def make_orders(processes: Processes, captured: int, others: int) -> list[Order]:
    """Orders in 仮売上 here and AUTH at the simulator, and orders paid otherwise."""
    numbers = [order_number() for _ in range(captured)]
    made = processes.post_control(
        "transactions", [{"order_id": no, "amount": 3000, "job_cd": "AUTH"} for no in numbers]
    )
    settings.save("test", site_id="tsite00000001", shop_id="tshop00000001", shop_pass="shoppass01")
    held = [
        make_order(
            access=TradeAccess(row["order_id"], row["access_id"], row["access_pass"]), told=True
        )
        for row in made
    ]
    return held + [make_order(method="銀行振込", told=True) for _ in range(others)]


@pytest.mark.alike
def test_killing_the_worker_again_and_again_loses_and_doubles_nothing(
    app: Flask, processes: Processes
) -> None:
    dice = dice_of("SLIPS_KILL_SEED")
    with app.app_context():
        orders = make_orders(processes, CAPTURED, OTHERS)
        run_id = start(prepare(slip_file(*(slip(order) for order in orders))))
        for _ in range(3):
            worker = processes.start("worker")
            done = left(run_id)
            wait_until(lambda done=done: left(run_id) < done or left(run_id) == 0, seconds=120)
            time.sleep(dice.random() * CAPTURED / 200)  # any moment
            processes.kill(worker)
        processes.start("worker")
        processes.start("worker")  # T5: two of them
        wait_until(lambda: left(run_id) == 0, seconds=120)
        assert {result for result, _ in results(run_id)} == {ItemResult.SUCCEEDED}  # P2
        judge(processes, orders)
        assert start(run_id) == run_id  # P19: and again changes nothing
        assert left(run_id) == 0


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_judge_sees_rows_that_were_forgotten(app: Flask, processes: Processes) -> None:
    """Were the rows written after the attempt is closed, a crash in between would lose them."""
    effects.follow_captures(app)  # nobody: killed just before it
    with app.app_context():
        few = make_orders(processes, 3, 0)
        run_id = start(prepare(slip_file(*(slip(order) for order in few))))
        Worker(app).run(until_idle=True)
        assert left(run_id) == len(few)  # captured, and nobody will ever write their slips
        with pytest.raises(AssertionError):
            judge(processes, few)


def left(run_id: str) -> int:
    """Rows that are not decided."""
    db.session.rollback()
    now = slips.progress(slips.get(run_id))
    return now.unattempted + now.uncertain


def judge(processes: Processes, orders: list[Order]) -> None:
    """Every order captured once and registered; what the history says is what there is."""
    wanted = {order.order_no for order in orders}
    now = {no: status for no, status in statuses().items() if no in wanted and status}
    ledger = [entry for entry in processes.control("ledger") if entry["order_id"] in wanted]
    assert violations(ledger, processes.control("requests"), now) == []
    assert set(now.values()) == {PaymentStatus.CAPTURED}
    slip_nos = db.session.query(Delivery.slip_no).filter(
        Delivery.order_id.in_(order.id for order in orders)
    )
    assert {row.slip_no for row in slip_nos} == {"1234-5678"}
    assert list(Verification([order.id for order in orders]).problems()) == []
    assert db.session.query(SlipRow).filter(SlipRow.is_due).count() == 0
