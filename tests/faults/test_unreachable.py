"""The gateway is not there at all: nothing was sent, so 売上失敗 at once, and a retry succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import Attempt, Order
from sgpshop.services import settings
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, runner
from sgpshop.services.payments.error_content import error_content
from tests.factories import fresh, make_order, order_number
from tests.processes import Processes


@pytest.fixture
def processes(app: Flask, tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        app.config["GATEWAY_URL"] = processes.simulator_url
        with app.app_context():
            settings.save(
                "test", site_id="tsite00000001", shop_id="tshop00000001", shop_pass="shoppass01"
            )
            yield processes


def press(order: Order, token: str) -> Attempt:
    """Capture, trying as often as the worker would."""
    order = fresh(order)
    attempt_id = acts.open_capture(
        order.id, Seen(order.version, order.total, token), Actor.person("田中")
    )
    while fresh(order).open_attempt is not None:
        runner.run_operation(attempt_id)
    return db.session.get_one(Attempt, attempt_id)


def test_no_connection_is_a_communication_error_and_a_retry_succeeds(
    processes: Processes,
) -> None:
    simulator = processes.start_simulator()
    wish = {"order_id": order_number(), "amount": 3000, "job_cd": "AUTH"}
    [made] = processes.post_control("transactions", [wish])
    order = make_order(access=TradeAccess(made["order_id"], made["access_id"], made["access_pass"]))
    processes.kill(simulator)
    failed = press(order, "first")
    assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED  # R14
    content = error_content(failed)
    assert content is not None
    assert "通信エラー" in content.sentence
    assert "何も送信していません" in content.sentence
    processes.start_simulator()
    press(order, "second")
    assert fresh(order).payment_status is PaymentStatus.CAPTURED  # R41
    [trade] = processes.control(f"ledger?order_id={order.order_no}")
    assert trade["status"] == "SALES"
