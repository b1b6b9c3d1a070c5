"""一括処理: many orders, each on its own; started once, continued after a crash (R47-R50, P22)."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, ItemResult, Order, OrderKind, Person
from sgpshop.models.attempt import AttemptState
from sgpshop.services import settings
from sgpshop.services.bulk import report, runs
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, attempt_lookup
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order
from tests.gateway_world import World
from tests.services.running import items, prepare, started
from tests.signing_in import make_person
from tests.waiting import wait_until, working

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql


@pytest.fixture
def tanaka(shop: World) -> Person:
    return make_person("田中")


def run(app: Flask, orders: list[Order], person: Person) -> str:
    """Choose, confirm, and let the worker work until nothing is due."""
    run_id = started(orders, person)
    Worker(app).run(until_idle=True)
    db.session.rollback()
    return run_id


def test_a_run_captures_every_order_once(app: Flask, shop: World, tanaka: Person) -> None:
    orders = [authorized_order(shop, total=1000 + n) for n in range(12)]
    run_id = run(app, orders, tanaka)
    progress = report.progress(run_id)
    assert (progress.total, progress.succeeded, progress.unattempted) == (12, 12, 0)
    assert progress.captured_yen == sum(order.total for order in orders)
    assert not progress.is_running
    for order in orders:
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert shop.sales(order.order_no) == 1


def test_an_order_whose_payment_was_seen_taken_stops_no_other(
    app: Flask, shop: World, tanaka: Person
) -> None:
    """Its number was found captured and counts now; the look-up that makes it 決済完了 is still due (R141)."""
    taken, good = authorized_order(shop), authorized_order(shop)
    with writing() as session:
        transaction = fresh(taken).transaction
        assert transaction is not None
        transaction.gateway_state = "SALES"
        session.flush()
    run_id = started([taken, good], tanaka)
    Worker(app).run(until_idle=True)
    db.session.rollback()
    left_out, done = items(run_id)
    assert (left_out.reason, left_out.result) == (Refusal.CAPTURED.value, ItemResult.SKIPPED)
    assert done.result is ItemResult.SUCCEEDED
    assert shop.sales(taken.order_no) == 0


def test_one_failure_stops_nobody(app: Flask, shop: World, tanaka: Person) -> None:
    good, bad, other = (authorized_order(shop) for _ in range(3))
    shop.fault("error:42G020000", order_id=bad.order_no)
    run_id = run(app, [good, bad, other], tanaka)
    progress = report.progress(run_id)
    assert (progress.succeeded, progress.failed) == (2, 1)  # R48
    first = report.lines(run_id)[0]
    assert (first.order.id, first.codes) == (bad.id, ("42G020000",))  # failed lines first
    assert report.order_ids(run_id, result=ItemResult.FAILED) == [bad.id]


def test_everything_else_is_left_out_with_its_reason(
    app: Flask, shop: World, tanaka: Person
) -> None:
    left_out = {
        Refusal.CAPTURED: authorized_order(shop, status=PaymentStatus.CAPTURED),
        Refusal.CANCELLED: authorized_order(shop, status=PaymentStatus.CANCELLED),
        Refusal.NEEDS_REVIEW: authorized_order(shop, status=PaymentStatus.NEEDS_REVIEW),
        Refusal.SUBSCRIPTION: authorized_order(
            shop, kind=OrderKind.SUBSCRIPTION, status=PaymentStatus.AWAITING_BILLING
        ),
        Refusal.OTHER_METHOD: make_order(method="代金引換"),
        Refusal.UNSENT_AMOUNT: authorized_order(shop, gateway_amount=2999),
        Refusal.NOT_LINKED: make_order(),
    }
    busy = authorized_order(shop)
    acts.open_capture(busy.id, Seen(busy.version, busy.total, "t"), Actor.person("鈴木"))
    left_out[Refusal.BUSY] = busy
    good = authorized_order(shop)
    run_id = prepare([*left_out.values(), good], tanaka)
    preview = runs.preview(run_id, tanaka.id)
    assert preview.eligible == 1  # R42, R47
    assert dict(preview.left_out) == dict.fromkeys(left_out, 1)
    assert {one.reason: one.order.order_no for one in preview.refused} == {
        reason: order.order_no for reason, order in left_out.items()
    }
    runs.start(run_id, person_id=tanaka.id)
    reasons = {line.order_id: line.reason for line in items(run_id)}
    assert reasons == {o.id: r.value for r, o in left_out.items()} | {good.id: ""}


def test_preview_counts_repeats_and_expired_holds(shop: World, tanaka: Person) -> None:
    orders = [
        authorized_order(shop, status=PaymentStatus.CAPTURE_FAILED),
        authorized_order(shop, authorized_at=days_ago(61)),
        authorized_order(shop, total=5000, processing_class=ProcessingClass.DELIVERED),
    ]
    preview = runs.preview(prepare(orders, tanaka), tanaka.id)
    assert preview.eligible_yen == 11_000
    assert (preview.figures.retries, preview.figures.expired) == (1, 1)
    assert (preview.figures.not_sent, preview.figures.preorders) == (2, 0)


def test_a_second_start_does_nothing(app: Flask, shop: World, tanaka: Person) -> None:
    orders = [authorized_order(shop) for _ in range(3)]
    run_id = run(app, orders, tanaka)
    runs.start(run_id, person_id=tanaka.id)  # P19: reload, back, double click
    Worker(app).run(until_idle=True)
    assert [shop.sales(order.order_no) for order in orders] == [1, 1, 1]


def test_two_runs_of_the_same_orders_capture_once(app: Flask, shop: World, tanaka: Person) -> None:
    orders = [authorized_order(shop) for _ in range(3)]
    first, second = prepare(orders, tanaka), prepare(orders, tanaka)
    runs.start(first, person_id=tanaka.id)
    with pytest.raises(ShopError):  # all of them are being processed
        runs.start(second, person_id=tanaka.id)
    Worker(app).run(until_idle=True)
    assert [shop.sales(order.order_no) for order in orders] == [1, 1, 1]


def test_an_order_changed_after_the_confirmation_is_left_out(shop: World, tanaka: Person) -> None:
    stale, good = authorized_order(shop), authorized_order(shop)
    run_id = prepare([stale, good], tanaka)
    with writing() as session:
        session.get_one(Order, stale.id).version += 1
    runs.start(run_id, person_id=tanaka.id)
    lines = {line.order_id: line for line in items(run_id)}
    assert lines[stale.id].result is ItemResult.SKIPPED  # P20
    assert lines[stale.id].reason == Refusal.CHANGED.value
    assert lines[good.id].result is ItemResult.PENDING


def test_large_sums_need_a_second_confirmation(shop: World, tanaka: Person) -> None:
    run_id = prepare([authorized_order(shop, total=1_000_001)], tanaka)
    assert runs.preview(run_id, tanaka.id).needs_second_confirmation  # S21
    with pytest.raises(ShopError, match="確認欄"):
        runs.start(run_id, person_id=tanaka.id)
    assert db.session.query(Attempt).count() == 0
    runs.start(run_id, person_id=tanaka.id, sum_confirmed=True)
    assert db.session.query(Attempt).one().state is AttemptState.QUEUED


def test_nothing_chosen_and_too_many_are_refused(shop: World, tanaka: Person) -> None:
    with pytest.raises(ShopError, match="選択されていません"):  # R46
        prepare([], tanaka)
    settings.save("test", bulk_max=2)
    orders = [authorized_order(shop) for _ in range(3)]
    with pytest.raises(ShopError, match="3件"):  # R50: with the count
        prepare(orders, tanaka)


def test_somebody_elses_run_cannot_be_started(shop: World, tanaka: Person) -> None:
    run_id = prepare([authorized_order(shop)], tanaka)
    with pytest.raises(NotFound):
        runs.start(run_id, person_id=make_person("鈴木").id)


def test_oldest_orders_come_first(shop: World, tanaka: Person) -> None:
    newest, oldest = authorized_order(shop), authorized_order(shop, ordered_at=days_ago(9))
    run_id = prepare([newest, oldest], tanaka)
    assert [line.order_id for line in items(run_id)] == [oldest.id, newest.id]  # R48


def test_a_running_run_is_found_again_after_a_reload(
    app: Flask, shop: World, tanaka: Person
) -> None:
    run_id = prepare([authorized_order(shop)], tanaka)
    assert answer(runs.latest_running(tanaka.id)) is None
    runs.start(run_id, person_id=tanaka.id)
    assert answer(runs.latest_running(tanaka.id)) == run_id
    Worker(app).run(until_idle=True)
    db.session.rollback()
    assert answer(runs.latest_running(tanaka.id)) is None


class TestUncertainLines:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"RESOLVE_SCHEDULE": (600.0,)}

    def test_a_lost_answer_counts_as_uncertain_until_a_look_up_decides(
        self, app: Flask, shop: World, tanaka: Person
    ) -> None:
        order = authorized_order(shop)
        shop.fault("drop_after")
        run_id = run(app, [order], tanaka)
        progress = report.progress(run_id)
        assert (progress.uncertain, progress.is_running) == (1, False)  # R49
        assert attempt_lookup.resolve_all() == (0, 0)
        assert report.progress(run_id).succeeded == 1
        assert shop.sales(order.order_no) == 1


@pytest.mark.alike
def test_a_run_backs_off_when_the_gateway_is_congested(
    app: Flask, shop: World, tanaka: Person
) -> None:
    orders = [authorized_order(shop) for _ in range(6)]
    shop.fault("error:E92000002", times=4)
    run_id = prepare(orders, tanaka)
    runs.start(run_id, person_id=tanaka.id)
    with working(app):
        wait_until(lambda: not report.progress(run_id).is_running)
    assert report.progress(run_id).succeeded == 6
    assert all(shop.sales(order.order_no) == 1 for order in orders)
