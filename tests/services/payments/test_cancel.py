"""注文キャンセル: SMBC-GP first, the order after; the kind by the gateway's calendar (R91-R100)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import GatewayRejected
from sgpshop.models import AttemptState, Delivery, Operation, Order, OrderKind
from sgpshop.services import settings
from sgpshop.services.orders import history
from sgpshop.services.payments import runner
from sgpshop.storage.database import writing
from tests.factories import authorized_order, days_ago, fresh, make_order, order_number
from tests.faults.judging import work_off
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import cancel, correct, effects, last_attempt, look, press

DAY = 86_400


@pytest.fixture
def order(shop: World) -> Order:
    """仮売上 ¥3,000, authorized today."""
    return authorized_order(shop)


@pytest.fixture
def captured(shop: World, order: Order) -> Order:
    """決済完了 ¥3,000, captured today."""
    return press(order, Operation.CAPTURE)


@pytest.mark.postgresql
def test_a_cancelled_authorization_is_void_on_the_same_day(shop: World, order: Order) -> None:
    cancelled = cancel(order)
    assert effects(shop, order) == [("VOID", 3_000)]  # R100
    assert cancelled.payment_status is PaymentStatus.CANCELLED  # T14
    assert cancelled.processing_class is ProcessingClass.CANCELLED  # R92
    assert [d.status for d in cancelled.deliveries] == [DeliveryStatus.CANCELLED]


def test_a_captured_order_is_refunded(shop: World, captured: Order) -> None:
    cancelled = cancel(captured)
    assert effects(shop, captured) == [("SALES", 3_000), ("VOID", 3_000)]
    assert cancelled.payment_status is PaymentStatus.CANCELLED  # T15


@pytest.mark.parametrize(
    ("was_captured", "later", "kind"),
    [
        (False, "day", "RETURN"),
        (False, "month", "RETURN"),  # an authorization is never RETURNX
        (True, "day", "RETURN"),
        (True, "month", "RETURNX"),
    ],
)
def test_the_kind_follows_the_gateways_clock_not_ours(
    shop: World, was_captured: bool, later: str, kind: str
) -> None:
    """Our clock is as of the order: the first kind is refused, the look-up chooses again (P28)."""
    with time_machine.travel(datetime(2027, 2, 10, 12, tzinfo=JST)):
        shop.set_clock(datetime.now(JST))
        order = authorized_order(shop)
        if was_captured:
            press(order, Operation.CAPTURE)
        shop.advance(DAY if later == "day" else 30 * DAY)
        assert cancel(order).payment_status is PaymentStatus.CANCELLED
    assert effects(shop, order)[-1] == (kind, 3_000)
    assert sum(job in ("VOID", "RETURN", "RETURNX") for job, _ in effects(shop, order)) == 1


def test_between_two_kinds_it_always_looks(shop: World, captured: Order) -> None:
    shop.advance(32 * DAY)
    cancel(captured)
    log = shop.simulator.test_client().get(f"/_control/requests?order_id={captured.order_no}")
    asked = [entry["api"] for entry in log.get_json()][3:]
    assert asked == ["SearchTrade", "AlterTran"] * 3  # VOID, RETURN refused; RETURNX done


def test_when_our_clock_is_right_the_first_kind_fits(shop: World) -> None:
    shop.set_clock(datetime.now(JST) - timedelta(days=40))
    old = authorized_order(shop)
    shop.set_clock(datetime.now(JST))
    cancel(old)
    assert [r["params"]["JobCd"] for r in shop.requests(old.order_no)] == ["RETURN"]


def test_older_than_180_days_is_refused_and_told(shop: World, captured: Order) -> None:
    shop.advance(181 * DAY)
    kept = cancel(captured)
    assert kept.payment_status is PaymentStatus.CAPTURED  # T16, R99
    assert last_attempt(captured).error_codes == "E11010010"
    assert effects(shop, captured) == [("SALES", 3_000)]


def test_a_refusal_leaves_the_order_as_it_was(shop: World, order: Order) -> None:
    shop.fault("error:E01030002")
    kept = cancel(order)
    assert kept.payment_status is PaymentStatus.AUTHORIZED  # R98
    assert kept.processing_class is ProcessingClass.UNPROCESSED
    assert cancel(order).payment_status is PaymentStatus.CANCELLED  # a retry is possible


@pytest.mark.postgresql
def test_codes_longer_than_any_we_know_hold_nothing_up(
    shop: World, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL cuts nothing off: what does not fit would break off each try."""

    def refuse(_order_id: str) -> None:
        raise GatewayRejected.by_codes(tuple(f"X{n:019}" for n in range(20)))

    with monkeypatch.context() as patched:
        patched.setattr(shop.gateway, "search_trade", refuse)
        cancel(order)
        assert last_attempt(order).state is AttemptState.QUEUED
    work_off(order.id)
    assert fresh(order).payment_status is PaymentStatus.CANCELLED


def test_an_unsent_change_does_not_matter_to_a_cancel(shop: World, order: Order) -> None:
    cancel(correct(order, 2_000))
    assert effects(shop, order) == [("VOID", 3_000)]  # always the full gateway amount


def test_the_choices_are_told_in_the_history(shop: World, order: Order) -> None:
    cancel(order, restock=True, return_points=True)
    [newest, *_] = history.entries(order.id)
    assert newest.event == "cancel_done"
    assert newest.detail["choices"] == ["在庫戻し", "ポイント返還"]  # R93


class TestRefundsAreConfirmedTwice:
    def test_a_refund_without_it_is_refused(self, shop: World, captured: Order) -> None:
        with pytest.raises(ShopError, match="返金"):
            cancel(captured, refund_confirmed=False)  # S21, R99
        assert effects(shop, captured) == [("SALES", 3_000)]

    def test_an_order_captured_in_the_console_is_not_refunded_unasked(
        self, shop: World, order: Order
    ) -> None:
        trade = shop.gateway.search_trade(order.order_no)
        assert trade is not None
        shop.gateway.capture(trade.access, 3_000)
        found = cancel(order, refund_confirmed=False)
        assert found.payment_status is PaymentStatus.CAPTURED  # P18, P20: shown, nothing done
        assert effects(shop, order) == [("SALES", 3_000)]
        assert last_attempt(order).reason == "found_other"


def test_what_is_cancelled_already_is_not_cancelled_again(shop: World, order: Order) -> None:
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.cancel(trade.access, "VOID")  # type: ignore[arg-type]
    assert cancel(order).payment_status is PaymentStatus.CANCELLED
    assert effects(shop, order) == [("VOID", 3_000)]


class TestLostAnswers:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    def test_carried_out_it_ends_as_cancelled(self, shop: World, captured: Order) -> None:
        shop.fault("drop_after")
        doubtful = cancel(captured)
        assert doubtful.payment_status is PaymentStatus.NEEDS_REVIEW  # R98
        assert doubtful.processing_class is ProcessingClass.UNPROCESSED
        certain = look(captured)
        assert certain.payment_status is PaymentStatus.CANCELLED
        assert certain.processing_class is ProcessingClass.CANCELLED
        assert effects(shop, captured) == [("SALES", 3_000), ("VOID", 3_000)]

    @pytest.mark.parametrize("was_captured", [False, True])
    def test_not_carried_out_it_goes_back(
        self, shop: World, order: Order, was_captured: bool
    ) -> None:
        if was_captured:
            press(order, Operation.CAPTURE)
        before = fresh(order).payment_status
        shop.fault("drop_before")
        assert cancel(order).payment_status is PaymentStatus.NEEDS_REVIEW
        assert look(order).payment_status is before  # T9b
        assert last_attempt(order).reason == "not_carried_out"
        assert cancel(order).payment_status is PaymentStatus.CANCELLED
        assert [job for job, _ in effects(shop, order)].count("VOID") == 1

    @pytest.mark.postgresql
    def test_meanwhile_nothing_else_is_possible(self, shop: World, order: Order) -> None:
        shop.fault("drop_after")
        cancel(order)
        for operation in (Operation.CAPTURE, Operation.CHANGE_AMOUNT):
            with pytest.raises(ShopError):
                press(order, operation)  # R98

    def test_a_system_error_after_it_was_done(self, shop: World, order: Order) -> None:
        shop.fault("error_after:E90010001")
        cancel(order)
        assert look(order).payment_status is PaymentStatus.CANCELLED
        assert effects(shop, order) == [("VOID", 3_000)]


class TestNeedsReview:
    """要確認: ask the gateway first (R97); not within 30 minutes of the order (R96)."""

    def unfinished(self, shop: World, **more: object) -> Order:
        number = order_number()
        shop.enter(number, 3_000)
        return make_order(
            order_no=number, status=PaymentStatus.NEEDS_REVIEW, gateway_state=None, **more
        )

    def test_nothing_reserved_is_cancelled_here_alone(self, shop: World) -> None:
        order = self.unfinished(shop)
        cancelled = cancel(order)
        assert cancelled.payment_status is PaymentStatus.CANCELLED  # T7
        assert shop.requests(order.order_no) == []
        assert history.entries(order.id)[0].event == "cancel_nothing_there"

    def test_an_order_the_gateway_does_not_know(self, shop: World) -> None:
        order = make_order(status=PaymentStatus.NEEDS_REVIEW)
        assert cancel(order).payment_status is PaymentStatus.CANCELLED

    @pytest.mark.parametrize("was_captured", [False, True])
    def test_what_is_found_is_cancelled(self, shop: World, was_captured: bool) -> None:
        number = order_number()
        access = shop.authorize(number, 3_000)
        if was_captured:
            shop.gateway.capture(access, 3_000)
        order = make_order(order_no=number, status=PaymentStatus.NEEDS_REVIEW)
        assert cancel(order).payment_status is PaymentStatus.CANCELLED
        assert effects(shop, order)[-1] == ("VOID", 3_000)

    def test_no_more_goes_back_than_was_shown(self, shop: World) -> None:  # P20, S21
        number = order_number()
        shop.gateway.capture(shop.authorize(number, 90_000), 90_000)
        order = make_order(order_no=number, status=PaymentStatus.NEEDS_REVIEW, total=3_000)
        assert cancel(order).payment_status is PaymentStatus.CAPTURED  # as SMBC-GP has it
        assert effects(shop, order) == [("SALES", 90_000)]
        assert cancel(order).payment_status is PaymentStatus.CANCELLED  # now it was shown
        assert effects(shop, order)[-1] == ("VOID", 90_000)

    def test_a_lost_answer_to_that_is_resolved(self, app: Flask, shop: World) -> None:
        app.config["QUIET_PERIOD"] = 0.0
        number = order_number()
        shop.authorize(number, 3_000)
        order = make_order(order_no=number, status=PaymentStatus.NEEDS_REVIEW)
        shop.fault("drop_before")
        cancel(order)
        assert look(order).payment_status is PaymentStatus.NEEDS_REVIEW
        assert last_attempt(order).state is AttemptState.REJECTED
        cancel(order)
        assert effects(shop, order) == [("VOID", 3_000)]

    def test_without_an_answer_to_the_look_up_nothing_is_done(self, shop: World) -> None:
        order = self.unfinished(shop)
        shop.fault("http:503", "SearchTrade", times=9)
        cancel(order)
        for _ in range(3):
            runner.run_operation(last_attempt(order).id)
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW
        assert last_attempt(order).reason == "look_failed"

    def test_the_refund_it_may_be_is_confirmed(self, shop: World) -> None:
        with pytest.raises(ShopError):
            cancel(self.unfinished(shop), refund_confirmed=False)  # S21

    def test_the_buyer_may_still_be_paying(self, shop: World) -> None:
        order = self.unfinished(shop, ordered_at=datetime.now(UTC) - timedelta(minutes=29))
        with pytest.raises(NotPossible, match="30分"):
            cancel(order)


def test_the_shops_own_lock(shop: World) -> None:
    settings.save("test", cancel_lock_minutes=60)
    order = authorized_order(shop, ordered_at=datetime.now(UTC) - timedelta(minutes=59))
    with pytest.raises(NotPossible, match="60分"):
        cancel(order)  # R96
    old = authorized_order(shop, ordered_at=datetime.now(UTC) - timedelta(minutes=61))
    assert cancel(old).payment_status is PaymentStatus.CANCELLED


def test_a_preorder_is_looked_up_and_cancelled_without_a_void(shop: World) -> None:
    number = order_number()
    receipt = shop.gateway.check_card(number, GOOD_CARD)
    order = make_order(
        access=receipt.access, kind=OrderKind.PREORDER, gateway_state="CHECK", order_no=number
    )
    assert cancel(order).payment_status is PaymentStatus.CANCELLED  # R92
    assert len(shop.requests(number, "SearchTrade")) == 1
    assert shop.requests(number) == []


def test_an_order_not_billed_yet_is_looked_up_and_nothing_is_sent(shop: World) -> None:
    order = make_order(status=PaymentStatus.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
    cancelled = cancel(order)
    assert cancelled.payment_status is PaymentStatus.CANCELLED  # T21, R103
    assert cancelled.processing_class is ProcessingClass.CANCELLED
    assert shop.requests(order.order_no) == []


def test_nor_is_it_cancelled_while_nobody_answers(shop: World) -> None:  # P3
    order = make_order(status=PaymentStatus.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
    shop.wire.cut_off("SearchTrade")
    assert cancel(order).payment_status is PaymentStatus.AWAITING_BILLING


def test_a_reported_subscription_cannot_be_cancelled_here(shop: World) -> None:
    order = make_order(status=PaymentStatus.BILLING_REPORTED, kind=OrderKind.SUBSCRIPTION)
    with pytest.raises(NotPossible, match="要返金"):
        cancel(order)  # T22, R104


@pytest.mark.parametrize(
    "status",
    [PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED, PaymentStatus.AWAITING_BILLING],
)
def test_after_delivery_there_is_no_cancel_but_after_a_return_there_is(
    shop: World, status: PaymentStatus
) -> None:
    kind = OrderKind.SUBSCRIPTION if status is PaymentStatus.AWAITING_BILLING else OrderKind.NORMAL
    order = authorized_order(shop, kind=kind)
    if status is PaymentStatus.CAPTURED:
        press(order, Operation.CAPTURE)
    put(order, status, DeliveryStatus.DELIVERED, ProcessingClass.DELIVERED)
    with pytest.raises(NotPossible):
        cancel(order)  # R94
    put(order, status, DeliveryStatus.RETURNED, ProcessingClass.RETURNED)
    assert cancel(order).payment_status is PaymentStatus.CANCELLED  # R95


def put(order: Order, status: PaymentStatus, parcel: DeliveryStatus, of: ProcessingClass) -> None:
    with writing() as session:
        row = session.get_one(Order, order.id, populate_existing=True)
        row.payment_status, row.processing_class = status, of
        session.query(Delivery).filter_by(order_id=order.id).update({"status": parcel})
    db.session.expire_all()


def test_an_old_authorization_of_last_month_is_returned(shop: World) -> None:
    shop.set_clock(datetime.now(JST) - timedelta(days=45))
    order = authorized_order(shop, ordered_at=days_ago(45))
    shop.set_clock(datetime.now(JST))
    assert cancel(order).payment_status is PaymentStatus.CANCELLED
    assert effects(shop, order) == [("RETURN", 3_000)]
