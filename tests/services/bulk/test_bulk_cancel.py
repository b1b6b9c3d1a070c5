"""注文キャンセル of many orders: what is plainly 仮売上 is released, all else is left out (R51, R91, P22)."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.domain.cancel_rules import CancelRefusal
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Operation, Order, OrderKind, Person
from sgpshop.services import settings
from sgpshop.services.bulk import report, runs
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import correct, press
from tests.services.running import items, prepare, started
from tests.signing_in import make_person

S = PaymentStatus


@pytest.fixture
def tanaka(shop: World) -> Person:
    return make_person("田中")


def run(app: Flask, orders: list[Order], person: Person) -> str:
    """Choose, confirm, and let the worker work until nothing is due."""
    run_id = started(orders, person, "cancel")
    Worker(app).run(until_idle=True)
    db.session.rollback()
    db.session.expire_all()
    return run_id


def test_each_is_released_once_and_cancelled(app: Flask, shop: World, tanaka: Person) -> None:
    orders = [authorized_order(shop, total=3000, authorized_at=days_ago(5)) for _ in range(3)]
    run_id = run(app, orders, tanaka)
    assert report.progress(run_id).heading == "3件中 3件を注文キャンセル"
    for order in orders:
        assert fresh(order).payment_status is S.CANCELLED
        assert fresh(order).processing_class is ProcessingClass.CANCELLED
        assert len(shop.requests(order.order_no, "AlterTran")) == 1
        assert shop.sales(order.order_no) == 0


def test_what_smbc_gp_holds_is_shown_and_asked_about_twice(shop: World, tanaka: Person) -> None:
    order = correct(authorized_order(shop, total=3000), 3500)
    run_id = prepare([order], tanaka, "cancel")
    preview = runs.preview(run_id, tanaka.id)
    assert (preview.eligible_yen, preview.figures.unsent) == (3000, 1)
    assert preview.needs_second_confirmation
    with pytest.raises(ShopError, match="確認欄"):
        runs.start(run_id, person_id=tanaka.id)
    assert shop.requests(order.order_no, "AlterTran") == []


def test_whatever_is_not_plainly_a_hold_is_left_out(
    app: Flask, shop: World, tanaka: Person
) -> None:
    good, delivered = authorized_order(shop), authorized_order(shop)
    with writing() as session:
        session.get_one(Order, delivered.id).processing_class = ProcessingClass.DELIVERED
    others = {
        CancelRefusal.OTHER_METHOD: make_order(method="代金引換"),
        CancelRefusal.CAPTURED: authorized_order(shop, status=S.CAPTURED),
        CancelRefusal.CANCELLED: authorized_order(shop, status=S.CANCELLED),
        CancelRefusal.NEEDS_REVIEW: authorized_order(shop, status=S.NEEDS_REVIEW),
        CancelRefusal.NOT_AUTHORIZED: authorized_order(shop, status=S.CAPTURE_FAILED),
        CancelRefusal.NOTHING_HELD: make_order(kind=OrderKind.PREORDER),
        CancelRefusal.DELIVERED: delivered,
    }
    run_id = run(app, [good, *others.values()], tanaka)
    reasons = {line.order_id: line.reason for line in items(run_id)}
    assert reasons == {order.id: reason.value for reason, order in others.items()} | {good.id: ""}
    assert fresh(good).payment_status is S.CANCELLED
    for order in others.values():
        assert shop.requests(order.order_no, "AlterTran") == []


def test_an_order_in_its_first_minutes_is_left_out(shop: World, tanaka: Person) -> None:
    settings.save("test", cancel_lock_minutes=30)  # R96
    order = authorized_order(shop, ordered_at=days_ago(0))
    preview = runs.preview(prepare([order], tanaka, "cancel"), tanaka.id)
    assert preview.left_out == [(CancelRefusal.TOO_EARLY, 1)]


def test_an_order_captured_after_the_confirmation_was_shown_is_not_refunded(
    app: Flask, shop: World, tanaka: Person
) -> None:
    order, other = authorized_order(shop), authorized_order(shop)
    run_id = prepare([order, other], tanaka, "cancel")
    press(order, Operation.CAPTURE)
    runs.start(run_id, person_id=tanaka.id, sum_confirmed=True)
    Worker(app).run(until_idle=True)
    db.session.rollback()
    assert fresh(order).payment_status is S.CAPTURED
    assert fresh(other).payment_status is S.CANCELLED
    assert shop.sales(order.order_no) == 1
