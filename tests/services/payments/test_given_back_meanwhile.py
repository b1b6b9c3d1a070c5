"""What was paid past us is given back before a person says whose it was: what SMBC-GP shows now decides (R141)."""

from __future__ import annotations

from typing import Any

import pytest

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import Cancellation, Job
from sgpshop.models import Operation, Order
from sgpshop.services.orders import alerts
from sgpshop.services.payments import transaction_lookup, unknown_numbers
from tests.factories import authorized_order, fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import press
from tests.services.answering import say_ours
from tests.services.payments.test_preorders import charges, explained, preorder

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1}


def failed(shop: World, order: Order, call: str) -> Order:
    """Its capture was refused by the card company."""
    shop.fault("error:42G120000", call, times=1)
    press(order, Operation.CAPTURE)
    settle(order.id)
    shop.behave()
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    return fresh(order)


def pay(shop: World, order: Order, number: int) -> None:
    """The buyer pays at the cart, and a person is asked whose that is."""
    access = shop.gateway.enter(f"{order.order_no}-{number}", Job.CAPTURE, order.total)
    shop.gateway.execute(access, GOOD_CARD, job=Job.CAPTURE)


def give_back(shop: World, order: Order, number: int) -> None:
    """In the console."""
    trade = shop.gateway.search_trade(f"{order.order_no}-{number}")
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.RETURN)


def looked_up(order: Order) -> None:
    transaction_lookup.look_soon(order.id)
    work_off(order.id)


@pytest.mark.postgresql
def test_a_preorder_stays_to_be_charged_under_the_next_number(shop: World) -> None:
    order = failed(shop, preorder(shop), "ExecTran")
    pay(shop, order, 2)
    looked_up(order)
    [question] = unknown_numbers.open_of(order.id)
    assert question.gateway_state == "CAPTURE"
    give_back(shop, order, 2)
    assert say_ours() == 1
    looked_up(order)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    press(fresh(order), Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert charges(shop, order)[f"{order.order_no}-2"] == "RETURN"
    assert charges(shop, order)[f"{order.order_no}-3"] == "CAPTURE"
    assert explained(order) == []


@pytest.mark.parametrize("was_tried", [False, True])
def test_a_question_that_says_so_leaves_it_to_be_charged_after_every_look(
    shop: World, was_tried: bool
) -> None:
    order = preorder(shop)
    number = 1
    if was_tried:
        order, number = failed(shop, order, "ExecTran"), 2
    before = fresh(order).payment_status
    pay(shop, order, number)
    give_back(shop, order, number)
    looked_up(order)
    assert say_ours() == 1
    looked_up(order)
    assert fresh(order).payment_status is before
    press(fresh(order), Operation.CAPTURE)
    settle(order.id)
    assert charges(shop, order)[f"{order.order_no}-{number + 1}"] == "CAPTURE"
    assert fresh(order).payment_status is S.CAPTURED


@pytest.mark.postgresql
def test_the_hold_that_stands_counts_as_before(shop: World) -> None:
    """It is neither 注文キャンセル nor told as left over."""
    order = failed(shop, authorized_order(shop), "AlterTran")
    pay(shop, order, 1)
    looked_up(order)
    give_back(shop, order, 1)
    assert say_ours() == 1
    looked_up(order)
    order = fresh(order)
    assert order.payment_status is S.CAPTURE_FAILED
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == order.order_no
    assert alerts.open_of(order.id) == []
    assert explained(order) == []


def told(order: Order) -> list[str]:
    return [alert.facts for alert in alerts.open_of(order.id)]


@pytest.mark.postgresql
def test_what_is_left_is_told_of_all_of_it_until_nothing_is(shop: World) -> None:
    """Voided in the console as the alert says, one after the other (R141)."""
    order = failed(shop, authorized_order(shop), "AlterTran")
    pay(shop, order, 1)
    pay(shop, order, 2)
    looked_up(order)
    assert say_ours() == 2
    looked_up(order)
    assert fresh(order).payment_status is S.CAPTURED
    counts = fresh(order).transaction
    assert counts is not None
    other = 3 - counts.sequence
    [both] = told(order)
    assert f"{order.order_no} 仮売上 3,000円、{order.order_no}-{other} 即時売上 3,000円" in both
    give_back(shop, order, other)
    looked_up(order)
    [one] = told(order)
    assert f"「{order.order_no} 仮売上 3,000円」" in one
    hold = shop.gateway.search_trade(order.order_no)
    assert hold is not None
    shop.gateway.cancel(hold.access, Cancellation.VOID)
    looked_up(order)
    assert told(order) == []
    assert fresh(order).payment_status is S.CAPTURED
