"""A number that SMBC-GP knows and our books do not: restored from a backup, or used by another system.

«Order id already exists» means to look, and what stands there is what the order has: it is taken
over, and never is the next number charged in its place (P1, P18, P36).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Cancellation, Job, TradeState
from sgpshop.models import AttemptState, Operation, Order, OrderKind, utc_now
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, NewOrder, OnDecline
from sgpshop.services.intake.problems import BeingBilled
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import attempt_lookup, runner, transaction_lookup
from sgpshop.services.subscriptions import billing
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import TANAKA, last_attempt, press, seen
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders, subscription
from tests.services.payments.test_earlier_transactions import told
from tests.services.payments.test_preorders import preorder
from tests.services.payments.test_repaying import OURS, failed, travel  # noqa: F401
from tests.services.subscribing import Travel, jst

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("says_ours")]

S = PaymentStatus
OTHER_CARD = "5555555555554444"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "GATEWAY_TRIES": 1, "PUBLIC_URL": OURS}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World, travel: Travel) -> Iterator[None]:  # noqa: F811
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's
    yield
    own_worker.finish(app)


def pay_there(shop: World, number: str, job: Job, yen: int) -> None:
    """A payment at SMBC-GP of which our books know nothing."""
    access = shop.gateway.enter(number, job, yen)
    shop.gateway.execute(access, GOOD_CARD, job=job)


def live(shop: World, order: Order) -> list[str]:
    """The order's numbers under which SMBC-GP holds or took money."""
    return sorted(
        entry["order_id"]
        for entry in shop.ledger()
        if entry["order_id"].startswith(order.order_no)
        and entry["status"] in ("AUTH", "CAPTURE", "SALES")
    )


def explained(order: Order) -> list[str]:
    return [problem.what for problem in Verification([order.id]).problems()]


def with_card(shop: World, new: NewOrder, **more: Any) -> NewOrder:
    """The same order, handed in again with another card."""
    return replace(new, payment=CardSource(token=shop.token(OTHER_CARD)), **more)


class TestAPreordersCapture:
    """実売上処理 of a preorder whose capture our books have forgotten."""

    @pytest.mark.postgresql
    def test_it_is_paid_already(self, shop: World) -> None:
        order = preorder(shop)
        pay_there(shop, f"{order.order_no}-1", Job.CAPTURE, 3000)
        order = press(order, Operation.CAPTURE)
        assert order.payment_status is S.CAPTURED
        assert order.transaction is not None
        assert order.transaction.captured_amount == 3000
        assert live(shop, order) == [f"{order.order_no}-1"]
        assert told(order) == []  # a person has just said it
        assert explained(order) == []

    def test_another_amount_was_taken(self, shop: World) -> None:
        order = preorder(shop)
        pay_there(shop, f"{order.order_no}-1", Job.CAPTURE, 2000)
        order = press(order, Operation.CAPTURE)
        assert order.payment_status is S.CAPTURED
        assert AlertKind.AMOUNT_DIFFERS in told(order)
        assert live(shop, order) == [f"{order.order_no}-1"]

    def test_only_reserved_it_is_captured_as_it_is(self, shop: World) -> None:
        order = preorder(shop)
        pay_there(shop, f"{order.order_no}-1", Job.AUTH, 3000)
        for _ in range(2):
            order = press(order, Operation.CAPTURE)
        assert order.payment_status is S.CAPTURED
        assert live(shop, order) == [f"{order.order_no}-1"]

    def test_it_was_given_back_already(self, shop: World) -> None:
        order = preorder(shop)
        number = f"{order.order_no}-1"
        pay_there(shop, number, Job.CAPTURE, 3000)
        trade = shop.gateway.search_trade(number)
        assert trade is not None
        shop.gateway.cancel(trade.access, Cancellation.VOID)
        order = press(order, Operation.CAPTURE)
        assert order.payment_status is S.CAPTURE_FAILED
        assert live(shop, order) == []
        order = press(order, Operation.CAPTURE)  # the card that was checked is still to be charged
        assert order.payment_status is S.CAPTURED
        assert live(shop, order) == [f"{order.order_no}-2"]

    def test_the_look_is_not_answered_at_first(self, shop: World) -> None:
        order = preorder(shop)
        number = f"{order.order_no}-1"
        pay_there(shop, number, Job.CAPTURE, 3000)
        shop.fault("http:503", "SearchTrade", times=2)
        press(order, Operation.CAPTURE)
        settle(order.id)
        assert fresh(order).payment_status is S.CAPTURED
        assert live(shop, order) == [number]


class TestRepaying:
    """再決済 when a second payment was made that our books have forgotten."""

    @pytest.mark.parametrize("driver", list(BillingDriver))
    def test_it_is_paid_already(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
        driver: BillingDriver,
    ) -> None:
        open_shop(billing_driver=driver.value)
        new, order = failed(shop, travel)
        assert fresh(order).transaction is not None
        paid = f"{order.order_no}-2"
        pay_there(shop, paid, Job.CAPTURE, 2500)
        for _ in range(2):
            intake.place(with_card(shop, new), SHOP_FRONT)
            settle(order.id)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert live(shop, order) == [paid]
        assert explained(order) == []


class TestHandedInAgain:
    """The shop front hands an order in that was paid before our books were restored."""

    @pytest.mark.parametrize("on_decline", list(OnDecline))
    @pytest.mark.parametrize(
        ("mode", "job", "after"),
        [("immediate", Job.CAPTURE, S.CAPTURED), ("auth_then_capture", Job.AUTH, S.AUTHORIZED)],
    )
    def test_it_is_paid_already(
        self, shop: World, on_decline: OnDecline, mode: str, job: Job, after: S
    ) -> None:
        open_shop(sales_mode=mode)
        new = new_order(shop, on_decline=on_decline)
        pay_there(shop, new.order_no, job, 2500)
        for _ in range(2):
            intake.place(with_card(shop, new), SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is after
        assert live(shop, order) == [new.order_no]
        assert explained(order) == []


class TestBilling:
    """The registration of a subscription under a number that holds something else."""

    def test_what_is_reserved_there_is_never_passed_over(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
    ) -> None:
        open_shop(billing_driver=BillingDriver.API.value)
        intake.place(subscription(shop), SHOP_FRONT)
        [order] = orders()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        pay_there(shop, f"{order.order_no}-1", Job.AUTH, 2500)
        for hour in (7, 9, 12):
            travel(jst(2026, 12, 10, hour))
            billing.resume()
            settle(order.id)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert live(shop, order) == [f"{order.order_no}-1"]
        assert told(order) == [AlertKind.UNEXPECTED_CHARGE]


class TestAWordWeDoNotKnow:
    """What cannot be judged may be money: no other number is tried."""

    def test_a_preorder(self, shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
        order = preorder(shop)
        pay_there(shop, f"{order.order_no}-1", Job.CAPTURE, 3000)
        search = shop.gateway.search_trade

        def of_the_future(order_id: str) -> Any:
            trade = search(order_id)
            return trade and replace(trade, raw_status="SOMETHING", state=TradeState.UNKNOWN)

        monkeypatch.setattr(type(shop.gateway), "search_trade", lambda _self, no: of_the_future(no))
        for _ in range(2):
            press(order, Operation.CAPTURE)
            assert last_attempt(order).state is AttemptState.REJECTED
        assert live(shop, order) == [f"{order.order_no}-1"]


class TestAChargeThatAPersonStoppedWaitingFor:
    """P11, P15: the answer was lost, a person ended the doubt, the buyer gives another card."""

    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 2.0, "PUBLIC_URL": OURS}

    def ended_by_hand(self, shop: World, order: Order) -> None:
        """Two hours without an answer to any look-up."""
        shop.wire.cut_off("SearchTrade")
        attempt_lookup.look_up(last_attempt(order).id)
        with time_machine.travel(utc_now() + timedelta(hours=2), tick=True):
            attempt_lookup.close_by_hand(last_attempt(order).id, "電話で確認", TANAKA)
        shop.wire.cut_off()
        assert fresh(order).payment_status is S.NEEDS_REVIEW

    def look(self, order: Order) -> Order:
        transaction = fresh(order).transaction
        assert transaction is not None
        transaction_lookup.look_soon(order.id)
        transaction_lookup.look_up(transaction.id)
        return fresh(order)

    @pytest.mark.parametrize(
        ("fault", "after"), [("drop_after", S.CAPTURED), ("drop_before", S.AUTHORIZED)]
    )
    def test_a_preorders_capture(self, shop: World, fault: str, after: S) -> None:
        new = new_order(shop, kind=OrderKind.PREORDER)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        shop.fault(fault, "ExecTran")
        press(order, Operation.CAPTURE)
        self.ended_by_hand(shop, order)
        with pytest.raises(BeingBilled):
            intake.place(with_card(shop, new), SHOP_FRONT)
        assert fresh(order).payment_status is S.NEEDS_REVIEW
        assert last_attempt(order).operation is Operation.CAPTURE
        assert self.look(order).payment_status is after
        assert len(live(shop, order)) == (after is S.CAPTURED)

    def test_a_billing(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
    ) -> None:
        open_shop(billing_driver=BillingDriver.API.value)
        new = subscription(shop)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        travel(jst(2026, 12, 10, 7))
        shop.fault("drop_after", "ExecTran")
        billing.resume()
        settle_first(order)
        self.ended_by_hand(shop, order)
        with pytest.raises(BeingBilled):
            intake.place(with_card(shop, new), SHOP_FRONT)
        assert last_attempt(order).operation is Operation.BILL
        assert self.look(order).payment_status is S.BILLING_REPORTED
        assert len(live(shop, order)) == 1


def settle_first(order: Order) -> None:
    """Carry the newest attempt out, unless that was done."""
    runner.run_operation(last_attempt(order).id)
