"""Sold in the console with another amount before our capture: order, run line and slip row use one
word for it, and what is shown as money is what was taken."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import BulkItem, ItemResult, Operation, Order
from sgpshop.services.bulk import report
from sgpshop.services.deliveries import slips
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.totals import Total, status_totals, total
from sgpshop.services.orders import alerts
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.services.acting import press
from tests.services.running import started
from tests.services.slip_files import prepare, slip, slip_file, start, tanaka

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

S = PaymentStatus


def sell_in_the_console(shop: World, order: Order, amount: int) -> None:
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    changed = shop.gateway.change_amount(trade.access, amount, job=Job.AUTH)
    assert changed
    shop.gateway.capture(trade.access, amount)


@pytest.fixture
def order(shop: World) -> Order:
    """仮売上 3,000円 here; 決済完了 2,500円 there, before we capture."""
    order = authorized_order(shop, total=3000)
    sell_in_the_console(shop, order, 2500)
    return order


def told(order: Order) -> set[AlertKind]:
    return {alert.kind for alert in alerts.open_of(order.id)}


def test_one_word_on_order_and_run_line(app: Flask, shop: World, order: Order) -> None:
    other = authorized_order(shop, total=1000)
    person = tanaka()
    run_id = started([order, other], person)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is S.CAPTURED
    assert told(order) == {AlertKind.CAPTURED_ELSEWHERE, AlertKind.AMOUNT_DIFFERS}
    lines = db.session.scalars(sa.select(BulkItem).where(BulkItem.run_id == run_id))
    assert {line.result for line in lines} == {ItemResult.SUCCEEDED}
    progress = report.progress(run_id)
    assert (progress.succeeded, progress.failed, progress.captured_yen) == (2, 0, 3500)
    [said] = [line for line in report.lines(run_id) if line.order.id == order.id]
    assert "すでに売上になっていました" in said.content
    assert shop.trade(order.order_no)["amount"] == 2500


def test_one_word_on_order_and_slip_row(app: Flask, order: Order) -> None:
    run_id = prepare(slip_file(slip(order)))
    start(run_id)
    Worker(app).run(until_idle=True)
    now = fresh(order)
    assert (now.payment_status, now.processing_class) == (S.CAPTURED, ProcessingClass.DELIVERED)
    progress = slips.progress(slips.get(run_id))
    assert (progress.succeeded, progress.failed) == (1, 0)
    assert (progress.captured, progress.captured_yen) == (1, 2500)
    [line] = slips.lines(run_id)
    assert "すでに売上になっていました" in line.problem


def test_the_sums_say_what_was_taken(shop: World, order: Order) -> None:
    press(order, Operation.CAPTURE)
    press(authorized_order(shop, total=1000), Operation.CAPTURE)
    authorized_order(shop, total=70)
    totals = status_totals(SearchCriteria())
    assert totals[S.CAPTURED] == Total(2, 3500)
    assert totals[S.AUTHORIZED] == Total(1, 70)
    assert total(SearchCriteria(statuses=(S.CAPTURED,))) == Total(2, 3500)
    assert total(SearchCriteria(auth_days_left=90)) == Total(1, 70)  # asks about transactions too
    [alert, *_] = alerts.open_of(order.id)
    assert alert.kind in told(order)
