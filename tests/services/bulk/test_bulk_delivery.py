"""配送完了 of many orders: confirmed once, each order on its own, never a capture (R30, R51, P22)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    BulkRun,
    Delivery,
    HistoryEntry,
    Operation,
    Order,
    OrderKind,
    Person,
)
from sgpshop.services.bulk import report, runs, working
from sgpshop.services.bulk.actions import deliveries
from sgpshop.services.bulk.selection import weigh
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services import running
from tests.services.acting import seen
from tests.signing_in import make_person


@pytest.fixture
def tanaka(shop: World) -> Person:
    return make_person("田中")


def prepare(orders: list[Order], person: Person) -> str:
    return running.prepare(orders, person, "deliver")


def run(app: Flask, orders: list[Order], person: Person) -> str:
    """Choose, confirm, and let the worker work until nothing is due."""
    run_id = prepare(orders, person)
    runs.start(run_id, person_id=person.id)
    work(app)
    return run_id


def work(app: Flask) -> None:
    """Let the worker do all that is due, then look at the database anew."""
    Worker(app).run(until_idle=True)
    db.session.rollback()
    db.session.expire_all()


def change(order: Order, **values: object) -> Order:
    with writing() as session:
        session.execute(sa.update(Order).where(Order.id == order.id).values(**values))
    return fresh(order)


def reasons(run_id: str) -> dict[int, str]:
    return {line.order_id: line.reason for line in running.items(run_id)}


def entries(order: Order) -> list[HistoryEntry]:
    return list(
        db.session.scalars(sa.select(HistoryEntry).where(HistoryEntry.order_id == order.id))
    )


@pytest.mark.postgresql
def test_every_parcel_is_delivered_and_nothing_is_captured(
    app: Flask, shop: World, tanaka: Person
) -> None:
    orders = [authorized_order(shop, total=1000 + n) for n in range(3)]
    with writing() as session:
        session.add(Delivery(order_id=orders[0].id, number=1, name="鈴木"))
    run_id = run(app, orders, tanaka)
    progress = report.progress(run_id)
    assert (progress.total, progress.succeeded, progress.unattempted) == (3, 3, 0)
    assert progress.heading == "3件中 3件が配送完了"
    for order in map(fresh, orders):
        assert order.processing_class is ProcessingClass.DELIVERED  # R29
        assert {parcel.status for parcel in order.deliveries} == {DeliveryStatus.DELIVERED}
        assert order.payment_status is PaymentStatus.AUTHORIZED  # R30
        assert shop.requests(order.order_no, "AlterTran") == []
        [entry] = entries(order)
        assert (entry.event, entry.actor, entry.order_version) == ("delivered", "田中", 2)
    assert entries(orders[0])[0].detail["parcels"] == "【お届け先0・1】"
    assert not db.session.get_one(BulkRun, run_id).is_work_due


def test_the_confirmation_says_how_many_are_not_captured(shop: World, tanaka: Person) -> None:
    orders = [
        authorized_order(shop, total=1000),
        authorized_order(shop, total=200, status=PaymentStatus.CAPTURE_FAILED),
        make_order(status=PaymentStatus.CAPTURED),
        make_order(method="代金引換"),
        make_order(kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.AWAITING_BILLING),
    ]
    preview = runs.preview(prepare(orders, tanaka), tanaka.id)
    assert preview.eligible == 5
    assert (preview.figures.uncaptured, preview.figures.uncaptured_yen) == (2, 1200)  # R30
    assert preview.figures.billable == 1  # R101
    assert preview.left_out == []


def test_everything_else_is_left_out_with_its_reason(
    app: Flask, shop: World, tanaka: Person
) -> None:
    good = make_order(status=PaymentStatus.CAPTURED)
    others = {
        DeliveryRefusal.DELIVERED: change(make_order(), processing_class=ProcessingClass.DELIVERED),
        DeliveryRefusal.RETURNED: change(make_order(), processing_class=ProcessingClass.RETURNED),
        DeliveryRefusal.CANCELLED: make_order(status=PaymentStatus.CANCELLED),
        DeliveryRefusal.NEEDS_REVIEW: make_order(status=PaymentStatus.NEEDS_REVIEW),
        DeliveryRefusal.BILLED: make_order(
            kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.BILLING_REPORTED
        ),
        DeliveryRefusal.BEING_CANCELLED: authorized_order(shop),
    }
    cancelling = others[DeliveryRefusal.BEING_CANCELLED]
    acts.open_attempt(
        cancelling.id, OperationRequest(Operation.CANCEL), seen(cancelling), Actor.person("田中")
    )
    orders = [good, *others.values()]
    left_out = dict.fromkeys(others, 1)
    weighed = weigh([order.id for order in orders], deliveries.ACTION)
    assert (weighed.count, dict(weighed.left_out)) == (7, left_out)
    run_id = prepare(orders, tanaka)
    assert dict(runs.preview(run_id, tanaka.id).left_out) == left_out
    runs.start(run_id, person_id=tanaka.id)
    found = reasons(run_id)
    assert {refusal: found[order.id] for refusal, order in others.items()} == {
        refusal: refusal.value for refusal in others
    }
    work(app)
    lines = report.lines(run_id)
    assert {line.content for line in lines if line.content} == {
        f"対象外:{refusal.label}" for refusal in others
    }
    assert fresh(good).processing_class is ProcessingClass.DELIVERED


def test_an_order_that_changed_since_it_was_seen_is_left_out(
    app: Flask, shop: World, tanaka: Person
) -> None:
    before, meanwhile, good = (make_order(status=PaymentStatus.CAPTURED) for _ in range(3))
    run_id = prepare([before, meanwhile, good], tanaka)
    change(before, version=2)  # P20
    runs.start(run_id, person_id=tanaka.id)
    change(meanwhile, version=2)
    work(app)
    assert reasons(run_id) == {before.id: "changed", meanwhile.id: "changed", good.id: ""}
    assert fresh(meanwhile).processing_class is ProcessingClass.UNPROCESSED


@pytest.mark.postgresql
def test_a_second_start_and_a_second_worker_repeat_nothing(
    app: Flask, shop: World, tanaka: Person
) -> None:
    order = make_order(status=PaymentStatus.CAPTURED)
    run_id = run(app, [order], tanaka)
    runs.start(run_id, person_id=tanaka.id)  # P19: reload, back, double click
    [line] = running.items(run_id)
    working.resume(line.id)
    assert len(entries(order)) == 1
    assert fresh(order).version == 2


@pytest.mark.postgresql
def test_a_crash_in_the_middle_is_gone_on_from(
    app: Flask, shop: World, tanaka: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [make_order(status=PaymentStatus.CAPTURED) for _ in range(5)]
    run_id = prepare(orders, tanaka)
    runs.start(run_id, person_id=tanaka.id)
    monkeypatch.setattr(working, "_BATCH", 2)
    [first] = working.due(10)
    working.resume(first)  # and the process ends here
    assert report.progress(run_id).unattempted == 3
    assert answer(runs.latest_running(tanaka.id)) == run_id
    work(app)
    assert report.progress(run_id).succeeded == 5
    assert working.due(10) == []
    assert all(len(entries(order)) == 1 for order in orders)


def test_only_the_person_who_prepared_it_starts_it_and_only_if_there_is_something_to_do(
    shop: World, tanaka: Person
) -> None:
    run_id = prepare([make_order(status=PaymentStatus.CAPTURED)], tanaka)
    with pytest.raises(NotFound):
        runs.start(run_id, person_id=make_person("鈴木").id)
    nothing = prepare([make_order(status=PaymentStatus.CANCELLED)], tanaka)
    with pytest.raises(ShopError, match="配送完了にできる注文がありません"):
        runs.start(nothing, person_id=tanaka.id)
    assert working.due(10) == []
