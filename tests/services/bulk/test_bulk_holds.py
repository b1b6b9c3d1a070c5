"""変更内容をSMBC-GPに送信 and オーソリ期間延長 of many orders: each as by its own button (R68, R83, P22)."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.domain import words
from sgpshop.domain.errors import ShopError
from sgpshop.domain.hold_rules import HoldRefusal, hold_refusal
from sgpshop.domain.order_acts import Act
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    CardTransaction,
    HistoryEntry,
    ItemResult,
    Operation,
    Order,
    OrderKind,
    Person,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.bulk import report, runs
from sgpshop.services.orders import alerts
from sgpshop.services.orders.facts import load_facts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, attempt_lookup
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import correct, effects, press, seen
from tests.services.running import items, prepare, started
from tests.signing_in import make_person

pytestmark = pytest.mark.long

SEND, EXTEND = "send_changes", "extend"
each_act = pytest.mark.parametrize(
    ("action", "operation"),
    [(SEND, Operation.CHANGE_AMOUNT), (EXTEND, Operation.EXTEND)],
    ids=[SEND, EXTEND],
)


@pytest.fixture
def tanaka(shop: World) -> Person:
    settings.save("test", extend_auth_enabled=True)
    return make_person("田中")


def corrected(shop: World, total: int, *, held: int = 3000) -> Order:
    """An order in 仮売上 whose total was changed by 注文内容修正 and not sent."""
    return correct(authorized_order(shop, total=held, authorized_at=days_ago(50)), total)


def held(order: Order) -> CardTransaction:
    transaction = fresh(order).transaction
    assert transaction is not None
    return transaction


def work(app: Flask) -> None:
    Worker(app).run(until_idle=True)
    db.session.rollback()
    db.session.expire_all()


def run(app: Flask, orders: list[Order], person: Person, action: str) -> str:
    """Choose, confirm, and let the worker work until nothing is due."""
    run_id = started(orders, person, action)
    work(app)
    return run_id


def test_every_changed_amount_is_sent_once_and_can_be_captured_then(
    app: Flask, shop: World, tanaka: Person
) -> None:
    orders = [corrected(shop, 3500), corrected(shop, 2800)]
    progress = report.progress(run(app, orders, tanaka, SEND))
    assert progress.heading == "2件中 2件の金額変更を送信"
    for order in map(fresh, orders):
        assert order.payment_status is PaymentStatus.AUTHORIZED  # T12
        assert held(order).gateway_amount == order.total  # R68
        assert held(order).amount_sent_at is not None
        assert effects(shop, order) == [("CHANGE", order.total)]
    run(app, orders, tanaka, "sgp_capture")  # R73
    assert {fresh(order).payment_status for order in orders} == {PaymentStatus.CAPTURED}


def test_the_same_amount_is_authorized_anew_for_each(
    app: Flask, shop: World, tanaka: Person
) -> None:
    orders = [authorized_order(shop, authorized_at=days_ago(50)), corrected(shop, 4000)]
    run_id = run(app, orders, tanaka, EXTEND)
    assert report.progress(run_id).heading == "2件中 2件の期間を延長"
    for order in map(fresh, orders):
        assert order.payment_status is PaymentStatus.AUTHORIZED  # T26
        assert effects(shop, order) == [("CHANGE", 3000)]  # R83: what SMBC-GP holds
        ends = held(order).auth_expires_at
        assert ends is not None
        assert ends > days_ago(-59)
    assert {line.amount for line in report.lines(run_id)} == {3000}
    assert (fresh(orders[1]).total, held(orders[1]).amount_sent_at) == (4000, None)  # stays unsent


@each_act
def test_it_leaves_the_journal_and_the_history_of_the_single_act(
    app: Flask, shop: World, tanaka: Person, action: str, operation: Operation
) -> None:
    alone, of_many = corrected(shop, 3500), corrected(shop, 3500)
    press(alone, operation)
    run(app, [of_many], tanaka, action)

    def written(order: Order) -> list[object]:
        entries = db.session.query(HistoryEntry).filter_by(order_id=order.id)
        told = [
            (
                one.event,
                one.actor,
                one.order_version,
                one.status_after,
                {name: it for name, it in one.detail.items() if name != "processed_at"},
            )
            for one in entries.order_by(HistoryEntry.id)
        ]
        [tried] = db.session.query(Attempt).filter_by(order_id=order.id)
        journal = (tried.operation, tried.state, tried.amount, tried.actor, tried.status_before)
        return [told, journal, tried.amount_seen, tried.choices, fresh(order).version]

    assert written(of_many) == written(alone)


def reasons(run_id: str) -> dict[int, str]:
    return {line.order_id: line.reason for line in items(run_id)}


@each_act
def test_everything_else_is_left_out_with_its_reason(
    app: Flask, shop: World, tanaka: Person, action: str, operation: Operation
) -> None:
    good, busy = corrected(shop, 3500), corrected(shop, 3500)
    wanted = OperationRequest(operation, is_sum_confirmed=True)
    acts.open_attempt(busy.id, wanted, seen(busy), Actor.person("鈴木"))
    others = {
        HoldRefusal.BUSY: busy,
        HoldRefusal.OTHER_METHOD: make_order(method="代金引換"),
        HoldRefusal.CAPTURED: authorized_order(shop, status=PaymentStatus.CAPTURED),
        HoldRefusal.CANCELLED: authorized_order(shop, status=PaymentStatus.CANCELLED),
        HoldRefusal.NEEDS_REVIEW: authorized_order(shop, status=PaymentStatus.NEEDS_REVIEW),
        HoldRefusal.NOTHING_HELD: make_order(kind=OrderKind.PREORDER),
    }
    if action == SEND:
        others[HoldRefusal.NO_CHANGE] = authorized_order(shop)
    else:
        others[HoldRefusal.NOT_LINKED] = make_order()
    subscription = make_order(kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.AWAITING_BILLING)
    run_id = prepare([good, subscription, *others.values()], tanaka, action)
    preview = runs.preview(run_id, tanaka.id)
    expected = dict.fromkeys(others, 1) | {HoldRefusal.NOTHING_HELD: 2}
    assert (preview.eligible, dict(preview.left_out)) == (1, expected)
    runs.start(run_id, person_id=tanaka.id, sum_confirmed=True)
    assert reasons(run_id) == {order.id: reason.value for reason, order in others.items()} | {
        good.id: "",
        subscription.id: "nothing_held",
    }
    work(app)
    assert report.progress(run_id).skipped == len(others) + 1
    assert shop.requests(others[HoldRefusal.CAPTURED].order_no, "ChangeTran") == []


def test_a_status_of_another_version_is_no_authorization(shop: World, tanaka: Person) -> None:
    [order] = load_facts([corrected(shop, 3500).id]).values()
    later = order._replace(payment_status=words.read(PaymentStatus, "of_a_later_version"))
    for act in (Act.SEND_CHANGES, Act.EXTEND):
        refusal = hold_refusal(act, later, settings.load(), utc_now())
        assert refusal is HoldRefusal.NEEDS_REVIEW


@pytest.mark.parametrize("act", [Act.SEND_CHANGES, Act.EXTEND])
def test_one_that_a_file_called_off_says_so(shop: World, tanaka: Person, act: Act) -> None:
    order = corrected(shop, 2400)
    with writing() as session:
        alerts.raise_cancelled_in_file(session, order)
    [facts] = load_facts([order.id]).values()
    assert hold_refusal(act, facts, settings.load(), utc_now()) is HoldRefusal.CALLED_OFF


@each_act
def test_a_refused_one_stops_nobody_and_can_be_tried_again(
    app: Flask, shop: World, tanaka: Person, action: str, operation: Operation
) -> None:
    bad, good = corrected(shop, 3500), corrected(shop, 3500)
    shop.fault("error:42G020000", "ChangeTran", order_id=bad.order_no)
    run_id = run(app, [bad, good], tanaka, action)
    progress = report.progress(run_id)
    assert (progress.succeeded, progress.failed) == (1, 1)  # R48
    first = report.lines(run_id)[0]
    assert (first.order.id, first.codes) == (bad.id, ("42G020000",))
    assert "残高" in first.content  # R16
    assert fresh(bad).payment_status is PaymentStatus.AUTHORIZED  # R71: as before
    assert held(bad).gateway_amount == 3000
    again = report.order_ids(run_id, result=ItemResult.FAILED)
    assert again == [bad.id]
    assert report.progress(run(app, [fresh(bad)], tanaka, action)).succeeded == 1


@each_act
def test_a_second_start_sends_nothing_twice(
    app: Flask, shop: World, tanaka: Person, action: str, operation: Operation
) -> None:
    order = corrected(shop, 3500)
    run_id = run(app, [order], tanaka, action)
    runs.start(run_id, person_id=tanaka.id, sum_confirmed=True)  # P19: reload, back, double click
    work(app)
    assert len(shop.requests(order.order_no, "ChangeTran")) == 1


@each_act
def test_an_order_changed_after_the_confirmation_is_left_out(
    app: Flask, shop: World, tanaka: Person, action: str, operation: Operation
) -> None:
    stale, good = corrected(shop, 3500), corrected(shop, 3500)
    run_id = prepare([stale, good], tanaka, action)
    correct(stale, 3600)
    runs.start(run_id, person_id=tanaka.id, sum_confirmed=True)
    assert reasons(run_id) == {stale.id: "changed", good.id: ""}  # P20


def test_another_amount_at_smbc_gp_than_was_confirmed_is_not_extended(
    shop: World, tanaka: Person
) -> None:
    order, other = authorized_order(shop), authorized_order(shop)
    run_id = prepare([order, other], tanaka, EXTEND)
    with writing() as session:  # a look-up found that somebody changed it there
        session.get_one(CardTransaction, held(order).id).gateway_amount = 9000
    runs.start(run_id, person_id=tanaka.id)
    assert reasons(run_id) == {order.id: "changed", other.id: ""}  # P20


def test_an_increase_is_asked_about_twice(shop: World, tanaka: Person) -> None:
    less = prepare([corrected(shop, 2500)], tanaka, SEND)
    assert not runs.preview(less, tanaka.id).needs_second_confirmation
    more = prepare([corrected(shop, 2500), corrected(shop, 3001)], tanaka, SEND)
    preview = runs.preview(more, tanaka.id)
    assert preview.needs_second_confirmation
    assert (preview.eligible, preview.eligible_yen, preview.figures.held) == (2, 5501, 6000)
    assert (preview.figures.increases, preview.figures.increased_by) == (1, 1)
    assert (preview.figures.decreases, preview.figures.decreased_by) == (1, 500)
    with pytest.raises(ShopError, match="確認欄"):
        runs.start(more, person_id=tanaka.id)
    assert db.session.query(Attempt).count() == 0
    runs.start(more, person_id=tanaka.id, sum_confirmed=True)
    assert db.session.query(Attempt).count() == 2


@each_act
def test_large_sums_are_asked_about_twice(
    shop: World, tanaka: Person, action: str, operation: Operation
) -> None:
    order = corrected(shop, 1_000_002, held=1_000_003)
    run_id = prepare([order], tanaka, action)
    assert runs.preview(run_id, tanaka.id).needs_second_confirmation  # S21
    with pytest.raises(ShopError, match="確認欄"):
        runs.start(run_id, person_id=tanaka.id)


def test_nothing_is_extended_where_the_shop_does_not_use_it(shop: World, tanaka: Person) -> None:
    run_id = prepare([authorized_order(shop)], tanaka, EXTEND)
    settings.save("test", extend_auth_enabled=False)  # R83
    preview = runs.preview(run_id, tanaka.id)
    assert (preview.eligible, preview.left_out) == (0, [(HoldRefusal.SWITCHED_OFF, 1)])
    with pytest.raises(ShopError, match="延長できる注文がありません"):
        runs.start(run_id, person_id=tanaka.id)


class TestUncertainLines:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"RESOLVE_SCHEDULE": (600.0,)}

    @each_act
    def test_a_lost_answer_counts_as_uncertain_until_a_look_up_decides(
        self, app: Flask, shop: World, tanaka: Person, action: str, operation: Operation
    ) -> None:
        order = corrected(shop, 3500)
        shop.fault("drop_after", "ChangeTran")
        run_id = run(app, [order], tanaka, action)
        progress = report.progress(run_id)
        assert (progress.uncertain, progress.is_running) == (1, False)  # R49
        assert attempt_lookup.resolve_all() == (0, 0)
        assert report.progress(run_id).succeeded == 1
        assert len(shop.requests(order.order_no, "ChangeTran")) == 1
