"""Subscriptions: delivered in month M, registered around the 10th of M+1, once, and told how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.billing_calendar import end_of, next_month, registers_at, results_at
from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.order_acts import status_change
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.models import (
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    DailyJob,
    FileState,
    Order,
)
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import attempt_lookup
from sgpshop.services.subscriptions import billing
from sgpshop.services.subscriptions.billing.selecting import to_register
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import Killed, World
from tests.services.acting import TANAKA, cancel, seen
from tests.services.arriving import (
    SHOP_FRONT,
    open_shop,
    orders,
    subscription,
)
from tests.waiting import wait_until

S = PaymentStatus
Travel = Callable[[datetime], None]


def jst(*parts: int) -> datetime:
    """A moment on a Japanese clock."""
    return datetime(*parts, tzinfo=JST)  # type: ignore[misc]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _open(shop: World, travel: Travel) -> None:
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's


def delivered(shop: World, **more: Any) -> Order:
    """A subscription order that was handed in and set to 配送完了 just now."""
    placed = intake.place(subscription(shop, **more), SHOP_FRONT)
    [order] = [order for order in orders() if order.order_no == placed.order_no]
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return fresh(order)


def billings(order: Order) -> list[Billing]:
    db.session.rollback()
    wanted = sa.select(Billing).where(Billing.order_id == order.id).order_by(Billing.id)
    return list(db.session.scalars(wanted.execution_options(populate_existing=True)))


def the_file() -> BillingFile:
    db.session.rollback()
    return db.session.scalars(
        sa.select(BillingFile).execution_options(populate_existing=True)
    ).one()


def explained() -> list[str]:
    return [problem.what for problem in Verification().problems()]


def soon_over(shop: World) -> CardSource:
    """A card that is good for its check in November, and over when it is charged in December."""
    return CardSource(token=shop.token(expire="2611"))


def next_10th(travel: Travel) -> None:
    travel(jst(2026, 12, 10, 6, 1))


class TestByFile:
    @pytest.mark.postgresql
    def test_delivered_in_november_registered_on_the_10th_paid_on_the_18th(
        self, shop: World, travel: Travel
    ) -> None:  # T17, T18, R101, R102
        order = delivered(shop)
        travel(jst(2026, 12, 10, 5, 59))
        assert not billing.is_due()
        next_10th(travel)
        assert billing.is_due()
        billing.resume()
        order = fresh(order)
        assert order.payment_status is S.BILLING_REPORTED
        [line] = billings(order)
        assert (line.month, line.state) == (date(2026, 11, 1), BillingState.REGISTERED)
        assert line.gateway_order_id == f"{order.order_no}-1"
        assert shop.trade(f"{order.order_no}-1")["status"] == "UNPROCESSED"  # protocol.md §13.9
        travel(jst(2026, 12, 18, 6, 1))
        billing.resume()
        assert billings(order)[0].state is BillingState.PAID
        order = fresh(order)
        assert order.payment_status is S.BILLING_REPORTED
        assert order.transaction is not None
        assert order.transaction.captured_amount == 2500
        assert shop.trade(f"{order.order_no}-1")["status"] == "CAPTURE"
        assert explained() == []

    def test_what_left_this_month_waits_for_the_next(self, shop: World, travel: Travel) -> None:
        travel(jst(2026, 11, 30, 23, 59, 50))
        november = delivered(shop)
        travel(jst(2026, 12, 1, 0, 0, 5))
        december = delivered(shop)
        next_10th(travel)
        billing.resume()
        assert fresh(november).payment_status is S.BILLING_REPORTED  # P29
        assert fresh(december).payment_status is S.AWAITING_BILLING  # R102

    def test_running_again_registers_nothing_twice(self, shop: World, travel: Travel) -> None:
        order = delivered(shop)
        next_10th(travel)
        for _ in range(3):
            billing.resume()
        billing.report(date(2026, 11, 1))
        assert len(billings(order)) == 1
        assert the_file().lines == 1

    def test_the_same_file_is_sent_until_it_is_answered(self, shop: World, travel: Travel) -> None:
        order = delivered(shop)
        shop.fault("drop_after", "Batch")
        next_10th(travel)
        billing.resume()
        order = fresh(order)
        assert order.payment_status is S.AWAITING_BILLING  # P3: not said before it is known
        assert order.open_attempt is not None
        assert the_file().is_doubtful
        travel(jst(2026, 12, 10, 7))
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        ledger = shop.simulator.test_client().get("/_control/ledger").get_json()
        assert [t["order_id"] for t in ledger].count(f"{order.order_no}-1") == 1

    def test_a_file_refused_as_a_whole_leaves_everything_for_the_next_month(
        self, shop: World, travel: Travel
    ) -> None:  # R105
        order = delivered(shop)
        travel(jst(2026, 12, 11, 9))  # the worker was off: the window has closed
        billing.resume()
        order = fresh(order)
        assert order.payment_status is S.AWAITING_BILLING
        assert (the_file().state, the_file().error_codes) == (
            FileState.CLOSED,
            "FILE_WINDOW_CLOSED",
        )
        assert billings(order)[0].state is BillingState.POSTPONED
        travel(jst(2027, 1, 10, 7))
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        [line] = billings(order)
        assert line.gateway_order_id == f"{order.order_no}-1"  # the same in every try (P29)
        assert explained() == []

    @pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
    def test_in_doubt_when_the_window_closed_each_line_is_looked_up(
        self, shop: World, travel: Travel, fault: str
    ) -> None:  # P14
        order = delivered(shop)
        shop.fault(fault, "Batch")
        travel(jst(2026, 12, 10, 23, 59, 30))
        billing.resume()
        travel(jst(2026, 12, 11, 1))
        billing.resume()
        was_taken = fault == "drop_after"
        expected = S.BILLING_REPORTED if was_taken else S.AWAITING_BILLING
        assert fresh(order).payment_status is expected
        assert explained() == []

    def test_a_card_that_is_not_known_is_looked_up(self, shop: World, travel: Travel) -> None:
        order = delivered(shop)
        no_card(order)
        next_10th(travel)
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED

    def test_a_card_that_does_not_pay(self, shop: World, travel: Travel) -> None:  # T20, R105
        order = delivered(shop, payment=soon_over(shop))
        next_10th(travel)
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        travel(jst(2026, 12, 18, 7))
        billing.resume()
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        [line] = billings(order)
        assert (line.state, line.error_codes) == (BillingState.NOT_PAID, "42G830000")
        assert explained() == []

    def test_the_buyer_pays_again(self, shop: World, travel: Travel) -> None:  # T23, R106
        new = subscription(shop, payment=soon_over(shop))
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        next_10th(travel)
        billing.resume()
        travel(jst(2026, 12, 18, 7))
        billing.resume()
        again = replace(new, payment=CardSource(token=shop.token()))
        intake.place(again, SHOP_FRONT)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert shop.trade(f"{new.order_no}-2")["status"] == "CAPTURE"
        assert explained() == []


class TestByApi:
    @pytest.fixture(autouse=True)
    def _by_api(self, _open: None) -> None:
        open_shop(billing_driver=BillingDriver.API.value)

    @pytest.mark.postgresql
    def test_the_kept_card_is_charged_at_once(self, shop: World, travel: Travel) -> None:
        order = delivered(shop)
        next_10th(travel)
        billing.resume()
        settle(order.id)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert billings(order)[0].state is BillingState.PAID
        assert shop.trade(f"{order.order_no}-1")["status"] == "CAPTURE"
        assert explained() == []

    @pytest.mark.postgresql
    def test_a_decline_is_known_at_once(self, shop: World, travel: Travel) -> None:  # T19
        order = delivered(shop)
        shop.fault("error:42G550000", "ExecTran")
        next_10th(travel)
        billing.resume()
        settle(order.id)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        assert billings(order)[0].state is BillingState.REFUSED

    @pytest.mark.postgresql
    @pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_after:E91019999"])
    def test_a_lost_answer_charges_once(
        self, shop: World, travel: Travel, fault: str
    ) -> None:  # P1, P29
        order = delivered(shop)
        shop.fault(fault, "ExecTran")
        next_10th(travel)
        billing.resume()
        settle(order.id)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert billings(order)[0].state is BillingState.PAID
        assert explained() == []


def no_card(order: Order) -> None:
    """As if the order had been imported without a transaction at SMBC-GP."""
    wait_until(lambda: fresh(order).transaction.member_id)  # type: ignore[union-attr]  # kept by now
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order.id)
            .values(member_id="", card_seq=None, gateway_state=None)
        )


def test_while_it_is_being_registered_nobody_changes_the_order(
    shop: World, travel: Travel
) -> None:  # R31, P7
    order = delivered(shop)
    shop.fault("drop_after", "Batch", times=5)
    next_10th(travel)
    billing.resume()
    order = fresh(order)
    assert not status_change(order).is_enabled
    assert order.open_attempt is not None
    assert not attempt_lookup.is_uncertain(order.open_attempt)  # whoever opens it waits for nothing
    with pytest.raises((NotPossible, ShopError)):
        cancel(order)


def test_cancelled_before_the_10th_is_not_registered(shop: World, travel: Travel) -> None:  # R103
    placed = intake.place(subscription(shop), SHOP_FRONT)
    [order] = orders()
    assert cancel(order).payment_status is S.CANCELLED
    next_10th(travel)
    billing.resume()
    assert billings(order) == []
    assert placed.order_no == order.order_no


def test_a_month_that_is_not_over_cannot_be_reported(shop: World) -> None:  # R102
    with pytest.raises(ShopError, match="2026-11"):
        billing.report(date(2026, 11, 1))


def test_a_new_installation_leaves_past_months_to_whoever_had_them(
    shop: World, travel: Travel
) -> None:
    order = delivered(shop)
    with writing() as session:
        session.execute(sa.delete(DailyJob))
    travel(jst(2026, 12, 20, 9))
    billing.resume()
    assert fresh(order).payment_status is S.AWAITING_BILLING
    billing.report(date(2026, 11, 1))  # by a person's own word it is taken
    assert billings(order)[0].state is BillingState.POSTPONED  # here the window has closed


@pytest.mark.postgresql
@pytest.mark.parametrize("step", ["_batch", "SearchCard", "killed after"])
def test_killed_anywhere_a_restart_finishes_it(shop: World, travel: Travel, step: str) -> None:
    order = delivered(shop)
    shop.wire.die = "after" if step.startswith("killed") else ""
    if not shop.wire.die:
        shop.wire.die_at(step)
    next_10th(travel)
    with suppress(Killed):
        billing.resume()
    db.session.remove()
    shop.behave()
    travel(jst(2026, 12, 10, 9))
    billing.resume()
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert len(billings(order)) == 1


@pytest.mark.long
def test_twelve_months_predicted_is_reported_each_once(shop: World, travel: Travel) -> None:
    """P28, P29: over 31 December and 28 February, the job run twice, late and killed."""
    reported: dict[date, set[int]] = {}
    month = date(2026, 11, 1)
    for number in range(12):
        travel(datetime.combine(month, time(12), JST) + timedelta(days=number % 28))
        delivered(shop)
        travel((end_of(month) - timedelta(seconds=5)).astimezone(JST))
        delivered(shop)
        travel((end_of(month) + timedelta(seconds=5)).astimezone(JST))
        early = delivered(shop).id
        travel(registers_at(month, 10 if number % 3 else 9) + timedelta(minutes=number))
        open_shop(billing_day=10 if number % 3 else 9)
        db.session.rollback()
        predicted = set(db.session.scalars(sa.select(Order.id).where(to_register(month))))
        db.session.rollback()
        if number % 4 == 1:
            shop.wire.die_at("_batch")
            with suppress(Killed):
                billing.resume()
            db.session.remove()
            travel(registers_at(month, 10) + timedelta(hours=3))
        for _ in range(2):
            billing.resume()
        db.session.rollback()
        reported[month] = set(
            db.session.scalars(
                sa.select(Billing.order_id).where(
                    Billing.state == BillingState.REGISTERED, Billing.month == month
                )
            )
        )
        assert reported[month] == predicted
        assert early not in predicted
        travel(results_at(next_month(month), 18) + timedelta(minutes=1))
        billing.resume()
        month = next_month(month)
    taken = [order_id for ids in reported.values() for order_id in ids]
    assert len(taken) == len(set(taken)) == 12 * 3 - 1  # the last early one waits
    assert explained() == []
