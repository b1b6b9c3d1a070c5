"""What is charged after the buyer agreed: the amount that the order says now, never an older one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import Alert, Attempt, Billing, CardTransaction, Operation, Order, utc_now
from sgpshop.services import intake
from sgpshop.services.order_search import preorders
from sgpshop.services.order_search.preorders import PreorderTab
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, runner
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, Killed, World
from tests.seeds import each_once
from tests.services.acting import TANAKA, correct, last_attempt, press, seen
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription
from tests.services.payments.test_preorders import charges, preorder
from tests.services.subscribing import Travel, jst

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1, "CHECKOUT_WAIT": 10.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


def captured(order: Order) -> Order:
    """Press SGPカード実売上処理 and let the worker finish what was put off."""
    press(order, Operation.CAPTURE)
    settle(order.id)
    return fresh(order)


def not_charged(shop: World, order: Order, how: str) -> Order:
    """A capture that was entered for 3,000 yen and never carried out: 売上失敗."""
    number = f"{order.order_no}-1"
    if how == "unreachable":
        shop.wire.cut_off("ExecTran")
    else:
        shop.fault("drop_before", "ExecTran", order_id=number)
    order = captured(order)
    shop.wire.cut_off()
    assert order.payment_status is S.CAPTURE_FAILED
    assert (shop.trade(number)["status"], shop.trade(number)["amount"]) == ("UNPROCESSED", 3000)
    return order


def numbers(order: Order) -> dict[str, bool]:
    """Every number the order ever had at SMBC-GP, and whether it counts now."""
    rows = db.session.execute(
        sa.select(CardTransaction.gateway_order_id, CardTransaction.is_current).where(
            CardTransaction.order_id == order.id
        )
    )
    return {row.gateway_order_id: row.is_current for row in rows}


def explained(order: Order) -> list[str]:
    return [problem.what for problem in Verification([order.id]).problems()]


def test_what_our_books_alone_call_live_is_asked_about_with_pauses_and_then_told(
    shop: World,
) -> None:
    """Another number counts as reserved here, and SMBC-GP shows another transaction there (P1, P22)."""
    order = preorder(shop)
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    other = f"{order.order_no}-2"
    shop.enter(other, 3000)
    with writing() as session:  # after the capture was begun
        session.execute(
            sa.insert(CardTransaction).values(
                order_id=order.id, sequence=2, gateway_order_id=other, is_current=False,
                gateway_state="AUTH", gateway_amount=3000, access_id="of another",
            )
        )  # fmt: skip
    pauses = []
    with time_machine.travel(utc_now(), tick=False):  # how long a try takes is no part of them
        while (attempt := last_attempt(order)).is_open:
            assert attempt.id == attempt_id
            with writing() as session:
                session.execute(sa.update(Attempt).values(due_at=utc_now()))
            runner.run_operation(attempt_id)
            if (due := last_attempt(order).due_at) is not None:
                pauses.append(due - utc_now())
    assert timedelta(0) < pauses[0] < pauses[1] < pauses[-1]
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    assert last_attempt(order).reason == "other_transaction"
    assert "CAPTURE" not in charges(shop, order).values()


@pytest.mark.postgresql
@pytest.mark.parametrize(("how", "total"), each_once(["lost", "unreachable"], [2000, 4000]))
def test_a_preorder_corrected_after_a_capture_that_never_got_there(
    shop: World, how: str, total: int
) -> None:  # P1, R141: the amount at SMBC-GP is that of the first try
    order = not_charged(shop, preorder(shop), how)
    order = captured(correct(order, total))
    assert order.payment_status is S.CAPTURED
    first, second = f"{order.order_no}-1", f"{order.order_no}-2"
    assert charges(shop, order) == {first: "UNPROCESSED", second: "CAPTURE"}
    assert shop.trade(second)["amount"] == total
    assert order.transaction is not None
    assert order.transaction.captured_amount == total
    assert numbers(order) == {order.order_no: False, first: False, second: True}
    assert explained(order) == []


@pytest.mark.parametrize("how", ["lost", "unreachable"])
def test_unchanged_it_is_charged_under_the_number_it_has(shop: World, how: str) -> None:  # P1
    order = captured(not_charged(shop, preorder(shop), how))
    assert order.payment_status is S.CAPTURED
    assert charges(shop, order) == {f"{order.order_no}-1": "CAPTURE"}
    assert len(shop.requests(f"{order.order_no}-1", "EntryTran")) == 1


def test_what_was_charged_after_all_is_booked_as_it_is(shop: World) -> None:  # P18
    """A slow gateway carries a capture out long after a look-up showed that it had not."""
    order = preorder(shop)
    shop.wire.cut_off("ExecTran")
    captured(order)
    shop.wire.cut_off()
    access = shop.gateway.search_trade(f"{order.order_no}-1")
    assert access is not None
    order = correct(order, 2000)
    charge(shop, order)
    order = captured(order)
    assert order.payment_status is S.CAPTURED
    assert order.transaction is not None
    assert order.transaction.captured_amount == 3000
    assert charges(shop, order) == {f"{order.order_no}-1": "CAPTURE"}
    assert [alert.kind for alert in alerts_of(order)] == [
        AlertKind.CAPTURED_ELSEWHERE,
        AlertKind.AMOUNT_DIFFERS,
    ]


def charge(shop: World, order: Order) -> None:
    """SMBC-GP carries out what was entered as the first charge of this order."""
    trade = shop.gateway.search_trade(f"{order.order_no}-1")
    assert trade is not None
    shop.gateway.execute(trade.access, GOOD_CARD, job=Job.CAPTURE)


def alerts_of(order: Order) -> list[Alert]:
    """What a person is told of this order."""
    return list(db.session.scalars(sa.select(Alert).where(Alert.order_id == order.id)))


@pytest.mark.parametrize(
    ("api", "fault"),
    each_once(
        ["SearchTrade", "EntryTran", "SearchCard", "ExecTran"],
        ["drop_before", "drop_after", "error:E92000001", "killed"],
        always=["ExecTran"],
    ),
)
def test_whatever_gets_lost_on_the_next_number_it_is_charged_once(
    shop: World, api: str, fault: str
) -> None:  # P1, P33
    order = correct(not_charged(shop, preorder(shop), "lost"), 2000)
    if fault == "killed":
        shop.wire.die_at(api)
    else:
        shop.fault(fault, api)
    with contextlib.suppress(Killed):
        press(order, Operation.CAPTURE)
        work_off(order.id)  # it goes on under the next number
    shop.behave()
    settle(order.id)
    if fresh(order).payment_status is S.CAPTURE_FAILED:  # proved not carried out: press again
        captured(order)
    order = fresh(order)
    assert order.payment_status is S.CAPTURED
    first, second = f"{order.order_no}-1", f"{order.order_no}-2"
    assert charges(shop, order) == {first: "UNPROCESSED", second: "CAPTURE"}
    assert shop.trade(second)["amount"] == 2000
    assert explained(order) == []


def test_a_number_entered_by_a_call_is_not_put_into_a_file(
    shop: World, travel: Travel
) -> None:  # protocol.md §13.9: it would be refused as sent before
    open_shop()
    billing.resume()
    open_shop(billing_driver=BillingDriver.API.value)
    intake.place(subscription(shop), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    shop.fault("drop_before", "ExecTran", times=9)
    bill(travel, order, jst(2026, 12, 10, 6, 1))
    shop.behave()
    open_shop(billing_driver=BillingDriver.FILE.value)
    bill(travel, order, jst(2027, 1, 10, 6, 1))
    order = bill(travel, order, jst(2027, 1, 18, 7))
    assert order.payment_status is S.BILLING_REPORTED
    assert shop.trade(f"{order.order_no}-1")["status"] == "UNPROCESSED"
    assert shop.trade(f"{order.order_no}-2")["status"] == "CAPTURE"
    assert explained(order) == []


def test_a_subscription_corrected_between_two_months(
    shop: World, travel: Travel
) -> None:  # R31, R101: by API; delivery undone, corrected, delivered again
    open_shop()
    billing.resume()
    open_shop(billing_driver=BillingDriver.API.value)
    intake.place(subscription(shop), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    shop.fault("drop_before", "ExecTran", times=9)
    bill(travel, order, jst(2026, 12, 10, 6, 1))
    assert fresh(order).payment_status is S.AWAITING_BILLING
    shop.behave()
    parcels.change_statuses(order.id, seen(order), TANAKA, {0: DeliveryStatus.UNPROCESSED})
    correct(order, 1500)
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    order = bill(travel, order, jst(2027, 1, 10, 6, 1))
    assert order.payment_status is S.BILLING_REPORTED
    assert shop.trade(f"{order.order_no}-1")["status"] == "UNPROCESSED"
    assert shop.trade(f"{order.order_no}-2")["status"] == "CAPTURE"
    assert shop.trade(f"{order.order_no}-2")["amount"] == 1500
    db.session.rollback()
    billed = db.session.scalars(sa.select(Billing).where(Billing.order_id == order.id)).all()
    assert [(one.gateway_order_id, one.amount) for one in billed][-1] == (
        f"{order.order_no}-2",
        1500,
    )
    assert explained(order) == []


def bill(travel: Travel, order: Order, when: datetime) -> Order:
    """The monthly registration, and what the worker does about it."""
    travel(when)
    billing.resume()
    settle(order.id)
    return fresh(order)


def test_the_tabs_of_preorders_say_what_was_taken(shop: World) -> None:
    order = preorder(shop)
    shop.wire.cut_off("ExecTran")
    captured(order)
    shop.wire.cut_off()
    charge(shop, correct(order, 2000))
    assert captured(order).payment_status is S.CAPTURED  # 3,000 yen of what is 2,000 by now
    captured(preorder(shop, total=500))
    totals = preorders.tab_totals(answer(preorders.overdue()))
    assert totals[PreorderTab.CAPTURED] == totals[PreorderTab.ALL] == Total(2, 3500)
