"""変更内容をSMBC-GPに送信 and オーソリ期間延長, against the real simulator (R66-R73, R83)."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.domain.errors import NotPossible, OrderBusy, OrderChanged
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import AttemptState, FollowUp, Operation, Order, OrderKind
from sgpshop.services import settings
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import Seen
from sgpshop.services.payments import acts, attempt_lookup, journal, runner
from sgpshop.services.payments.acts import OperationRequest
from tests.factories import authorized_order, days_ago, fresh
from tests.gateway_world import World
from tests.services.acting import (
    TANAKA,
    cancel,
    correct,
    effects,
    last_attempt,
    look,
    press,
    run_act,
    seen,
)
from tests.waiting import wait_until, working

SEND, EXTEND = Operation.CHANGE_AMOUNT, Operation.EXTEND


@pytest.fixture
def order(shop: World) -> Order:
    """仮売上 ¥10,000 here and there, corrected to ¥9,500 here."""
    return correct(authorized_order(shop, total=10_000), 9_500)


@pytest.mark.postgresql
def test_sending_makes_the_gateway_hold_the_new_amount(shop: World, order: Order) -> None:
    sent = press(order, SEND)
    assert effects(shop, order) == [("CHANGE", 9_500)]  # R68
    assert sent.payment_status is PaymentStatus.AUTHORIZED  # T12
    assert sent.transaction is not None
    assert sent.transaction.gateway_amount == 9_500
    assert sent.transaction.amount_sent_at is not None


def test_a_new_authorization_has_a_new_term(shop: World) -> None:
    order = correct(authorized_order(shop, total=10_000, authorized_at=days_ago(50)), 9_000)
    sent = press(order, SEND)
    assert sent.transaction is not None
    assert sent.transaction.auth_expires_at is not None
    assert sent.transaction.auth_expires_at > days_ago(-59)  # R71


def test_then_the_capture_takes_the_new_amount(shop: World, order: Order) -> None:
    press(order, SEND)
    captured = press(order, Operation.CAPTURE)
    assert captured.payment_status is PaymentStatus.CAPTURED  # R73
    assert effects(shop, order) == [("CHANGE", 9_500), ("SALES", 9_500)]


def test_without_sending_the_capture_is_refused_before_any_call(shop: World, order: Order) -> None:
    with pytest.raises(NotPossible, match="送信されていません"):
        press(order, Operation.CAPTURE)  # R72a, P21
    assert shop.requests(order.order_no) == []
    assert fresh(order).payment_status is PaymentStatus.AUTHORIZED


def test_a_second_send_is_refused_until_there_is_a_new_change(shop: World, order: Order) -> None:
    press(order, SEND)
    with pytest.raises(NotPossible, match="変更がない"):
        press(order, SEND)  # R67
    press(correct(order, 9_000), SEND)
    assert effects(shop, order) == [("CHANGE", 9_500), ("CHANGE", 9_000)]


@pytest.mark.postgresql
def test_the_same_form_again_sends_once(shop: World, order: Order) -> None:
    form = seen(order)
    first, again = (
        acts.open_attempt(order.id, OperationRequest(SEND), form, TANAKA) for _ in range(2)
    )
    assert first == again  # P19
    run_act(first)
    run_act(again)
    assert len(shop.requests(order.order_no, "ChangeTran")) == 1


def test_a_stale_screen_sends_nothing(shop: World, order: Order) -> None:
    old = seen(order)
    correct(order, 9_000)
    with pytest.raises(OrderChanged):
        acts.open_attempt(order.id, OperationRequest(SEND), old, TANAKA)  # P20
    assert shop.requests(order.order_no, "ChangeTran") == []


@pytest.mark.parametrize("kind", [OrderKind.PREORDER, OrderKind.SUBSCRIPTION])
def test_preorders_and_subscriptions_have_nothing_to_send(shop: World, kind: OrderKind) -> None:
    checked = authorized_order(shop, kind=kind, gateway_state="CHECK")
    with pytest.raises(NotPossible):
        press(correct(checked, 2_500), SEND)  # R69, R103
    assert shop.requests(checked.order_no, "ChangeTran") == []


def test_a_declined_increase_keeps_the_old_authorization_and_says_so(shop: World) -> None:
    order = correct(authorized_order(shop, total=10_000), 12_000)
    shop.fault("error:42G550000", "ChangeTran")
    declined = press(order, SEND)
    assert declined.payment_status is PaymentStatus.AUTHORIZED  # T13, R71
    assert declined.transaction is not None
    assert (declined.total, declined.transaction.gateway_amount) == (12_000, 10_000)
    assert last_attempt(order).error_codes == "42G550000"
    assert shop.trade(order.order_no)["amount"] == 10_000
    press(order, SEND)  # the card company may say yes another day
    assert effects(shop, order) == [("CHANGE", 12_000)]


class TestLostAnswers:
    """A ChangeTran is not refused when repeated: never again without having looked (P10)."""

    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    def test_carried_out_it_ends_as_sent(self, shop: World, order: Order) -> None:
        shop.fault("drop_after", "ChangeTran")
        doubtful = press(order, SEND)
        assert doubtful.payment_status is PaymentStatus.NEEDS_REVIEW  # T9a, R140
        certain = look(order)
        assert certain.payment_status is PaymentStatus.AUTHORIZED  # T9b
        assert certain.transaction is not None
        assert certain.transaction.gateway_amount == 9_500
        assert certain.transaction.amount_sent_at is not None
        assert effects(shop, order) == [("CHANGE", 9_500)]

    def test_not_carried_out_it_stays_unsent(self, shop: World, order: Order) -> None:
        shop.fault("drop_before", "ChangeTran")
        press(order, SEND)
        certain = look(order)
        assert certain.payment_status is PaymentStatus.AUTHORIZED
        assert certain.transaction is not None
        assert certain.transaction.gateway_amount == 10_000
        assert last_attempt(order).reason == "not_carried_out"
        press(order, SEND)
        assert effects(shop, order) == [("CHANGE", 9_500)]

    def test_an_error_after_it_was_done_is_not_believed(self, shop: World, order: Order) -> None:
        shop.fault("error_after:E91019999", "ChangeTran")
        assert press(order, SEND).payment_status is PaymentStatus.NEEDS_REVIEW
        look(order)
        assert effects(shop, order) == [("CHANGE", 9_500)]

    def test_from_a_failed_capture_it_leads_back_there(self, shop: World) -> None:
        order = authorized_order(shop, total=10_000)
        shop.fault("error:42G030000")
        press(order, Operation.CAPTURE)
        shop.fault("drop_before", "ChangeTran")
        assert press(correct(order, 9_000), SEND).payment_status is PaymentStatus.NEEDS_REVIEW
        assert look(order).payment_status is PaymentStatus.CAPTURE_FAILED  # R140: status before

    def test_a_third_amount_is_left_to_a_person(self, shop: World, order: Order) -> None:
        shop.fault("drop_before", "ChangeTran")
        press(order, SEND)
        access = shop.gateway.search_trade(order.order_no)
        assert access is not None
        shop.gateway.change_amount(access.access, 8_000, job="AUTH")  # in the console, meanwhile
        assert look(order).payment_status is PaymentStatus.NEEDS_REVIEW  # P14
        assert last_attempt(order).look_amount == 8000

    def test_the_quiet_period_is_kept(self, app: Flask, shop: World, order: Order) -> None:
        app.config["QUIET_PERIOD"] = 90.0
        shop.fault("drop_before", "ChangeTran")
        press(order, SEND)
        assert look(order).payment_status is PaymentStatus.NEEDS_REVIEW  # P14: too early


@pytest.mark.postgresql
def test_what_the_console_did_meanwhile_is_seen_before_anything_is_sent(
    shop: World, order: Order
) -> None:
    """ChangeTran on a captured transaction would undo the sale (protocol.md §3.5)."""
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.capture(trade.access, 10_000)
    found = press(order, SEND)
    assert effects(shop, order) == [("SALES", 10_000)]
    assert found.payment_status is PaymentStatus.CAPTURED  # P18
    assert last_attempt(order).state is AttemptState.REJECTED


def test_an_amount_changed_in_the_console_is_shown_and_not_overwritten(
    shop: World, order: Order
) -> None:
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.change_amount(trade.access, 8_000, job="AUTH")
    found = press(order, SEND)
    assert effects(shop, order) == [("CHANGE", 8_000)]  # P20: not what the person saw
    assert found.transaction is not None
    assert (found.total, found.transaction.gateway_amount) == (9_500, 8_000)
    press(order, SEND)  # having seen that
    assert effects(shop, order)[-1] == ("CHANGE", 9_500)


def test_the_amount_is_there_already(shop: World, order: Order) -> None:
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.change_amount(trade.access, 9_500, job="AUTH")
    sent = press(order, SEND)
    assert effects(shop, order) == [("CHANGE", 9_500)]  # not a second time
    assert sent.transaction is not None
    assert sent.transaction.gateway_amount == 9_500


class TestSendAndCapture:
    """「送信して実売上処理」: two steps, a stop in between when the first does not succeed."""

    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    def test_both_steps_are_journalled(self, shop: World, order: Order) -> None:
        captured = press(order, SEND, FollowUp.CAPTURE)
        assert captured.payment_status is PaymentStatus.CAPTURED
        assert effects(shop, order) == [("CHANGE", 9_500), ("SALES", 9_500)]
        events = [entry.event for entry in reversed(history.entries(order.id))]
        assert events == ["total_corrected", "change_amount_done", "capture_done"]

    def test_a_declined_change_stops_it(self, shop: World, order: Order) -> None:
        shop.fault("error:42G550000", "ChangeTran")
        stopped = press(order, SEND, FollowUp.CAPTURE)
        assert stopped.payment_status is PaymentStatus.AUTHORIZED
        assert stopped.open_attempt is None
        assert effects(shop, order) == []
        assert shop.requests(order.order_no) == []  # no SALES was tried

    def test_a_lost_answer_stops_it_until_it_is_known(self, shop: World, order: Order) -> None:
        shop.fault("drop_after", "ChangeTran")
        press(order, SEND, FollowUp.CAPTURE)
        assert shop.requests(order.order_no) == []
        look(order)  # proved: the amount is there; what was confirmed goes on
        runner.run_operation(last_attempt(order).id)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert effects(shop, order) == [("CHANGE", 9_500), ("SALES", 9_500)]

    def test_proved_not_sent_it_captures_nothing(self, shop: World, order: Order) -> None:
        shop.fault("drop_before", "ChangeTran")
        press(order, SEND, FollowUp.CAPTURE)
        assert look(order).payment_status is PaymentStatus.AUTHORIZED
        assert effects(shop, order) == []
        assert fresh(order).open_attempt is None

    @pytest.mark.long
    @pytest.mark.postgresql
    def test_a_killed_worker_is_followed_by_another(
        self, app: Flask, shop: World, order: Order
    ) -> None:
        acts.open_attempt(order.id, OperationRequest(SEND, FollowUp.CAPTURE), seen(order), TANAKA)
        with working(app):
            wait_until(lambda: fresh(order).payment_status is PaymentStatus.CAPTURED)
        assert effects(shop, order) == [("CHANGE", 9_500), ("SALES", 9_500)]  # P2


class TestExtend:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    @pytest.fixture
    def held(self, shop: World) -> Order:
        settings.save("test", extend_auth_enabled=True)
        return authorized_order(shop, total=5_000, authorized_at=days_ago(55))

    def test_the_same_amount_gets_a_new_term(self, shop: World, held: Order) -> None:
        extended = press(held, EXTEND)
        assert effects(shop, held) == [("CHANGE", 5_000)]  # R83
        assert extended.payment_status is PaymentStatus.AUTHORIZED  # T26
        assert extended.transaction is not None
        assert extended.transaction.auth_expires_at is not None
        assert extended.transaction.auth_expires_at > days_ago(-59)

    def test_an_unsent_edit_stays_unsent(self, shop: World, held: Order) -> None:
        extended = press(correct(held, 4_000), EXTEND)
        assert effects(shop, held) == [("CHANGE", 5_000)]  # R83
        assert extended.transaction is not None
        assert (extended.total, extended.transaction.gateway_amount) == (4_000, 5_000)
        assert extended.transaction.amount_sent_at is None

    def test_a_refusal_keeps_the_old_hold(self, shop: World, held: Order) -> None:
        before = held.transaction.auth_expires_at if held.transaction else None
        shop.fault("error:42G550000", "ChangeTran")
        after = press(held, EXTEND)
        assert after.payment_status is PaymentStatus.AUTHORIZED
        assert after.transaction is not None
        assert after.transaction.auth_expires_at == before

    @pytest.mark.parametrize(
        ("fault", "effect"), [("drop_after", [("CHANGE", 5_000)]), ("drop_before", [])]
    )
    def test_a_lost_answer_is_told_by_the_transaction_not_the_amount(
        self, shop: World, held: Order, fault: str, effect: list[tuple[str, int]]
    ) -> None:
        shop.fault(fault, "ChangeTran")
        assert press(held, EXTEND).payment_status is PaymentStatus.NEEDS_REVIEW
        assert look(held).payment_status is PaymentStatus.AUTHORIZED
        assert effects(shop, held) == effect
        is_new = last_attempt(held).state is AttemptState.DONE
        assert is_new is bool(effect)

    def test_it_is_offered_only_when_switched_on(self, shop: World, held: Order) -> None:
        settings.save("test", extend_auth_enabled=False)
        with pytest.raises(NotPossible):
            press(held, EXTEND)
        assert shop.requests(held.order_no, "ChangeTran") == []


def test_an_unanswered_look_up_ends_in_a_refusal_and_sends_nothing(
    shop: World, order: Order
) -> None:
    shop.fault("http:503", "SearchTrade", times=9)
    attempt_id = acts.open_attempt(order.id, OperationRequest(SEND), seen(order), TANAKA)
    for _ in range(3):
        runner.run_operation(attempt_id)
    assert last_attempt(order).reason == "look_failed"
    assert fresh(order).payment_status is PaymentStatus.AUTHORIZED
    assert shop.requests(order.order_no, "ChangeTran") == []


def test_a_cancelled_order_has_nothing_to_send(shop: World, order: Order) -> None:
    cancel(order)
    with pytest.raises(NotPossible):
        press(order, SEND)  # P21


def test_one_operation_at_a_time(shop: World, order: Order) -> None:
    acts.open_attempt(order.id, OperationRequest(SEND), seen(order), TANAKA)
    now = fresh(order)
    with pytest.raises(OrderBusy):
        acts.open_capture(order.id, Seen(now.version, now.total, "other"), TANAKA)  # P7


def test_a_lost_worker_is_resumed_after_proof(shop: World, order: Order, app: Flask) -> None:
    """The worker died between writing «sending» and the answer, and nothing had left (P2, P10)."""
    app.config["QUIET_PERIOD"] = 0.0
    attempt_id = acts.open_attempt(order.id, OperationRequest(SEND), seen(order), TANAKA)
    work = journal.claim(attempt_id)
    trade = shop.gateway.search_trade(order.order_no)
    assert work is not None
    assert trade is not None
    journal.about_to_send(work, trade, enters=False, may_be_called_off=True)
    row = last_attempt(order)
    row.due_at = days_ago(1)
    row.sent_at = days_ago(1)
    db.session.commit()
    journal.give_up_lost(attempt_id)
    attempt_lookup.look_up(attempt_id)
    runner.run_operation(last_attempt(order).id)
    assert effects(shop, order) == [("CHANGE", 9_500)]
