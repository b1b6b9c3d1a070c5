"""One order is captured: 仮売上, press, 決済完了 — and everything that can go wrong with it."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.domain.errors import FormUsed, NotPossible, OrderBusy, OrderChanged
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, HistoryEntry, Operation, Order, OrderKind, utc_now
from sgpshop.models.attempt import AttemptState
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, attempt_lookup, journal, outcomes, record, runner
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.attempt_lookup import describe_look
from sgpshop.services.payments.journal import RunResult
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.waiting import wait_until, working

TANAKA = Actor.person("田中")


def seen(order: Order, token: str = "t1") -> Seen:
    return Seen(order.version, order.total, token)


def press(order: Order, token: str = "t1") -> int:
    """What the button 「SGPカード実売上処理」 does, answered at once."""
    attempt_id = acts.open_capture(order.id, seen(order, token), TANAKA)
    runner.run_operation(attempt_id)
    return attempt_id


@pytest.mark.postgresql
def test_capture_completes_the_payment(shop: World) -> None:
    order = authorized_order(shop, total=3000)
    press(order)
    order = fresh(order)
    assert order.payment_status is PaymentStatus.CAPTURED  # R11
    assert shop.trade(order.order_no)["status"] == "SALES"
    assert order.transaction is not None
    assert order.transaction.captured_amount == 3000
    assert shop.sales(order.order_no) == 1


def test_the_attempt_is_written_before_anything_is_sent(shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    assert shop.requests(order.order_no) == []  # P6
    attempt = db.session.get_one(Attempt, attempt_id)
    assert attempt.state is AttemptState.QUEUED


def test_a_declined_capture_fails_with_its_code_and_can_be_repeated(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("error:42G950000")
    attempt_id = press(order)
    order = fresh(order)
    assert order.payment_status is PaymentStatus.CAPTURE_FAILED  # R14
    assert db.session.get_one(Attempt, attempt_id).error_codes == "42G950000"  # R15
    press(order, "t2")
    assert fresh(order).payment_status is PaymentStatus.CAPTURED  # R41


def test_the_same_token_is_the_same_capture(shop: World) -> None:
    order = authorized_order(shop)
    first = press(order)
    again = acts.open_capture(order.id, seen(order), TANAKA)
    assert again == first  # P19
    assert runner.run_operation(again) is RunResult.NOT_OURS
    assert shop.sales(order.order_no) == 1


def test_a_token_of_another_order_is_refused(shop: World) -> None:
    order, other = authorized_order(shop), authorized_order(shop)
    press(order)
    with pytest.raises(FormUsed):
        acts.open_capture(other.id, seen(other), TANAKA)


@pytest.mark.postgresql
def test_two_attempts_at_once_are_refused(shop: World) -> None:
    order = authorized_order(shop)
    acts.open_capture(order.id, seen(order), TANAKA)
    with pytest.raises(OrderBusy):  # P7
        acts.open_capture(order.id, seen(fresh(order), "t2"), TANAKA)


@pytest.mark.parametrize("what", ["version", "amount"])
def test_a_stale_form_does_nothing(shop: World, what: str) -> None:
    order = authorized_order(shop)
    stale = Seen(order.version - (what == "version"), order.total + (what == "amount"), "t1")
    with pytest.raises(OrderChanged):  # R61, P20
        acts.open_capture(order.id, stale, TANAKA)
    assert shop.requests(order.order_no) == []


@pytest.mark.parametrize(
    "status",
    [s for s in PaymentStatus if s not in (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURE_FAILED)],
)
def test_no_other_status_can_be_captured(shop: World, status: PaymentStatus) -> None:
    order = authorized_order(shop, status=status)
    with pytest.raises(NotPossible):  # R40, T24
        acts.open_capture(order.id, seen(order), TANAKA)
    assert shop.requests(order.order_no) == []


@pytest.mark.parametrize(
    "more",
    [
        {"kind": OrderKind.SUBSCRIPTION, "status": PaymentStatus.AWAITING_BILLING},  # R23
        {"gateway_amount": 2999},  # R72a, P21
    ],
)
def test_orders_that_cannot_be_captured_are_refused_before_any_call(
    shop: World, more: dict[str, object]
) -> None:
    order = authorized_order(shop, **more)
    with pytest.raises(NotPossible):
        acts.open_capture(order.id, seen(order), TANAKA)
    assert shop.requests(order.order_no) == []


def test_an_order_without_its_transaction_waits_for_the_look_up(shop: World) -> None:
    order = make_order()
    with pytest.raises(NotPossible, match="取引情報"):
        acts.open_capture(order.id, seen(order), TANAKA)


def test_every_change_is_told_in_the_history(shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = press(order)
    entry = db.session.query(HistoryEntry).filter_by(order_id=order.id).one()
    assert (entry.status_before, entry.status_after) == (
        PaymentStatus.AUTHORIZED,
        PaymentStatus.CAPTURED,
    )
    assert (entry.actor, entry.attempt_id) == ("田中", attempt_id)  # P5


class TestLostAnswers:
    """An answer that is lost is looked up, never repeated and never guessed (P10, P14, R140)."""

    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    @pytest.mark.parametrize(
        "fault",
        ["drop_after", "truncate", "garbage", "error_after:E91020001", "error_after:42C010000"],
    )
    def test_carried_out_ends_as_captured(self, shop: World, fault: str) -> None:
        order = authorized_order(shop)
        shop.fault(fault)
        attempt_id = press(order)
        order = fresh(order)
        assert order.payment_status is PaymentStatus.NEEDS_REVIEW  # R18
        assert db.session.get_one(Attempt, attempt_id).state is AttemptState.UNKNOWN
        attempt_lookup.look_up(attempt_id)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert shop.sales(order.order_no) == 1  # P1

    @pytest.mark.parametrize(
        "fault", ["drop_before", "http:503", "error:E91019999", "error:E90010001"]
    )
    def test_not_carried_out_ends_as_failed_and_a_repeat_looks_first(
        self, shop: World, fault: str
    ) -> None:
        order = authorized_order(shop)
        shop.fault(fault)
        attempt_id = press(order)
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW
        attempt_lookup.look_up(attempt_id)
        order = fresh(order)
        assert order.payment_status is PaymentStatus.CAPTURE_FAILED
        looks = len(shop.requests(order.order_no, "SearchTrade"))
        press(order, "t2")
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert len(shop.requests(order.order_no, "SearchTrade")) == looks + 1  # P11, R43
        assert shop.sales(order.order_no) == 1

    @pytest.mark.postgresql
    def test_nothing_else_is_possible_meanwhile(self, shop: World) -> None:
        order = authorized_order(shop)
        shop.fault("drop_after")
        press(order)
        with pytest.raises(OrderBusy):
            acts.open_capture(order.id, seen(fresh(order), "t2"), TANAKA)

    def test_a_look_up_that_fails_decides_nothing(self, shop: World) -> None:
        order = authorized_order(shop)
        shop.fault("drop_after")
        attempt_id = press(order)
        shop.fault("drop_before", "SearchTrade")
        attempt_lookup.look_up(attempt_id)
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW
        attempt = db.session.get_one(Attempt, attempt_id)
        assert attempt.due_at is not None
        assert attempt.due_at > utc_now()  # P13

    def test_another_amount_at_the_gateway_is_left_to_a_person(self, shop: World) -> None:
        order = authorized_order(shop, total=3000)
        shop.fault("drop_before")
        attempt_id = press(order)
        access = shop.gateway.search_trade(order.order_no)
        assert access is not None
        shop.gateway.change_amount(access.access, 2500, job="AUTH")
        attempt_lookup.look_up(attempt_id)
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW  # P14
        assert "2,500円" in describe_look(db.session.get_one(Attempt, attempt_id))


class TestQuietPeriod:
    """«Still the state before» proves nothing before the quiet period is over (P14)."""

    def test_a_slow_gateway_may_still_act(self, shop: World) -> None:
        order = authorized_order(shop)
        shop.fault("drop_before")
        attempt_id = press(order)
        attempt_lookup.look_up(attempt_id)
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW
        assert db.session.get_one(Attempt, attempt_id).state is AttemptState.UNKNOWN


def test_captured_by_hand_in_the_console_becomes_captured_without_a_second_call(
    shop: World,
) -> None:
    order = authorized_order(shop)
    access = shop.gateway.search_trade(order.order_no)
    assert access is not None
    shop.gateway.capture(access.access, order.total)
    press(order)  # the gateway answers E11010003: wrong state
    assert fresh(order).payment_status is PaymentStatus.CAPTURED  # R43
    assert shop.sales(order.order_no) == 1


def test_cancelled_in_the_console_follows_the_gateway(shop: World) -> None:
    order = authorized_order(shop)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.cancel(trade.access, how="VOID")  # type: ignore[arg-type]
    press(order)
    assert fresh(order).payment_status is PaymentStatus.CANCELLED  # P18


def test_an_amount_changed_in_the_console_is_refused_and_then_known(shop: World) -> None:
    order = authorized_order(shop, total=3000)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.change_amount(trade.access, 2500, job="AUTH")
    press(order)
    order = fresh(order)
    assert order.payment_status is PaymentStatus.CAPTURE_FAILED  # R72b
    assert order.transaction is not None
    assert order.transaction.gateway_amount == 2500


def test_congestion_is_tried_again_later(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("error:E92000001")
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    assert runner.run_operation(attempt_id) is RunResult.CONGESTED
    attempt = db.session.get_one(Attempt, attempt_id, populate_existing=True)
    assert attempt.state is AttemptState.QUEUED  # P9
    assert runner.run_operation(attempt_id) is RunResult.ENDED
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


class TestKilledWorker:
    """A worker that dies holding an operation leaves it to the next one (P17, P33)."""

    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    def lose(self, attempt_id: int) -> None:
        """The lease runs out."""
        with writing() as session:
            session.get_one(Attempt, attempt_id).due_at = utc_now()
        journal.give_up_lost(attempt_id)

    @pytest.mark.postgresql
    def test_killed_before_sending_goes_on_by_itself(self, shop: World) -> None:
        order = authorized_order(shop)
        attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
        assert journal.claim(attempt_id) is not None  # and never sends
        self.lose(attempt_id)
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW
        attempt_lookup.look_up(attempt_id)
        again = fresh(order).open_attempt
        assert again is not None
        assert again.id != attempt_id
        runner.run_operation(again.id)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED  # P2
        assert shop.sales(order.order_no) == 1

    @pytest.mark.postgresql
    def test_killed_before_its_look_up_is_done_by_the_next_and_by_it_alone(
        self, shop: World
    ) -> None:
        order = authorized_order(shop)
        how = OperationRequest(Operation.CANCEL)  # looks first: nothing is sent before
        attempt_id = acts.open_attempt(order.id, how, seen(order), TANAKA)
        work = journal.claim(attempt_id)
        assert work is not None
        journal.give_up_lost(attempt_id)  # its lease has not run out
        assert journal.claim(attempt_id) is None
        self.lose(attempt_id)
        trade = shop.gateway.search_trade(order.order_no)
        assert trade is not None
        assert journal.about_to_send(work, trade, enters=False, may_be_called_off=True) is None
        assert runner.run_operation(attempt_id) is RunResult.ENDED
        assert fresh(order).payment_status is PaymentStatus.CANCELLED
        self.lose(attempt_id)  # a message that comes late changes nothing
        assert runner.run_operation(attempt_id) is RunResult.NOT_OURS
        assert shop.trade(order.order_no)["status"] == "VOID"

    @pytest.mark.postgresql
    @pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
    def test_the_worker_finds_it(self, app: Flask, shop: World, operation: Operation) -> None:
        order = authorized_order(shop)
        attempt_id = acts.open_attempt(order.id, OperationRequest(operation), seen(order), TANAKA)
        assert journal.claim(attempt_id) is not None  # and dies
        with writing() as session:
            session.get_one(Attempt, attempt_id).due_at = utc_now()

        def is_ended() -> bool:
            db.session.rollback()
            return not db.session.get_one(Attempt, attempt_id, populate_existing=True).is_open

        with working(app):
            wait_until(is_ended)

    @pytest.mark.postgresql
    def test_killed_after_sending_is_found_out(self, shop: World) -> None:
        order = authorized_order(shop)
        attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
        work = journal.claim(attempt_id)
        assert work is not None
        shop.gateway.capture(work.access(), work.amount)  # and dies before it can say so
        self.lose(attempt_id)
        attempt_lookup.look_up(attempt_id)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert shop.sales(order.order_no) == 1  # P1

    def test_a_frozen_worker_that_wakes_changes_nothing(self, shop: World) -> None:
        order = authorized_order(shop)
        attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
        work = journal.claim(attempt_id)
        assert work is not None
        self.lose(attempt_id)
        late = outcomes.unknown(Operation.CAPTURE, "late")
        assert record.close(attempt_id, work.lease, late) is False
        trade = shop.gateway.search_trade(order.order_no)
        assert trade is not None
        assert journal.about_to_send(work, trade, enters=False, may_be_called_off=True) is None


def test_unreachable_is_tried_three_times_then_fails_as_communication_error(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sgpshop.gateway import GatewayUnreachable

    def nobody_there(*_: object) -> None:
        raise GatewayUnreachable("connection_refused")

    monkeypatch.setattr(shop.gateway, "capture", nobody_there)
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    ran = [runner.run_operation(attempt_id) for _ in range(3)]
    assert ran == [RunResult.POSTPONED, RunResult.POSTPONED, RunResult.ENDED]
    assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED  # P9, R14
