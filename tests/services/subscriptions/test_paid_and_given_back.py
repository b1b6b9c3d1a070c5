"""A filed sale comes back NG after another payment of the order counted, and was given back."""

# ruff: noqa: F401, F811 - fixtures of the other file are used by their names
from __future__ import annotations

import pytest

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Cancellation
from sgpshop.models import Attempt, AttemptState, BillingState, Operation, Order, utc_now
from sgpshop.services import subscriptions
from sgpshop.services.payments import (
    transaction_lookup,
    unknown_numbers,
)
from sgpshop.services.subscriptions import SubscriptionCriteria, SubscriptionTab, again, billing
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import work_off
from tests.gateway_world import World
from tests.services.acting import TANAKA
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import delivered, the_billing
from tests.services.subscriptions.test_charged_all_the_same import pay
from tests.services.subscriptions.test_lines_of_lost_books import (
    _open,
    nights,
    not_charged,
    overrides,
    sold,
    travel,
)

pytestmark = pytest.mark.long

S, B = PaymentStatus, BillingState


@pytest.fixture
def order(shop: World, travel: Travel) -> Order:
    """`-1` registered by file on the 10th; the cart charged `-2`, which is said to be the order's."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    pay(shop, second(order))
    found = shop.gateway.search_trade(second(order))
    assert found is not None
    with writing() as session:
        unknown_numbers.ask(session, fresh(order), [(2, found)])
    assert say_ours() == 1
    assert counts(order) == second(order)
    return order


def second(order: Order) -> str:
    return f"{order.order_no}-2"


def counts(order: Order) -> str:
    transaction = fresh(order).transaction
    assert transaction is not None
    return transaction.gateway_order_id


def give_back(shop: World, order: Order) -> None:
    """In the console of SMBC-GP, and our look-up shows it."""
    trade = shop.gateway.search_trade(second(order))
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.RETURN)
    transaction_lookup.look_soon(order.id)
    work_off(order.id)


def in_doubt(order: Order) -> int:
    """A cancel of it whose outcome is still to come."""
    transaction = fresh(order).transaction
    assert transaction is not None
    with writing() as session:
        attempt = Attempt(
            order_id=order.id,
            transaction_id=transaction.id,
            operation=Operation.CANCEL,
            state=AttemptState.UNKNOWN,
            amount=2500,
            gateway_order_id=second(order),
            actor_kind="person",
            actor="田中",
            status_before=S.BILLING_REPORTED,
        )
        session.add(attempt)
        session.flush()
        return attempt.id


def shown(tab: SubscriptionTab) -> list[str]:
    return [row.result for row in subscriptions.search(SubscriptionCriteria(tab=tab)).rows]


@pytest.mark.postgresql
def test_is_a_failure_and_is_registered_anew(shop: World, travel: Travel, order: Order) -> None:
    """R105: nothing pays it any more, so a person must see it under 失敗, and have it registered."""
    travel(jst(2026, 12, 13, 12))
    give_back(shop, order)
    assert fresh(order).payment_status is S.BILLING_REPORTED  # -1 will be charged
    not_charged(shop, order)
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert the_billing(order).state is B.NOT_PAID
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    assert shown(SubscriptionTab.FAILED) == ["NG"]
    assert again.take_again([order.order_no], "again", TANAKA) == 1
    nights(travel, order, (2027, 1, 10), (2027, 1, 18), (2027, 1, 19))
    assert sold(shop, order) == [(f"{order.order_no}-3", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED


def test_a_cancelled_order_keeps_the_number_that_shows_its_refund(
    shop: World, travel: Travel, order: Order
) -> None:
    travel(jst(2026, 12, 13, 12))
    give_back(shop, order)
    with writing() as session:
        session.get_one(Order, order.id).payment_status = S.CANCELLED
    not_charged(shop, order)
    travel(jst(2026, 12, 18, 12))
    billing.resume()
    assert the_billing(order).state is B.NOT_PAID
    assert fresh(order).payment_status is S.CANCELLED
    assert counts(order) == second(order)


@pytest.mark.postgresql
def test_is_told_once_the_operation_under_way_is_over(
    shop: World, travel: Travel, order: Order
) -> None:
    """Else the order stays 売上報告済 for good, and nothing pays it."""
    travel(jst(2026, 12, 13, 12))
    give_back(shop, order)
    not_charged(shop, order)
    travel(jst(2026, 12, 18, 12))
    attempt_id = in_doubt(order)
    billing.resume()
    assert (the_billing(order).state, the_billing(order).result) == (B.REGISTERED, "")
    with writing() as session:
        attempt = session.get_one(Attempt, attempt_id)
        attempt.state, attempt.finished_at = AttemptState.REJECTED, utc_now()
    travel(jst(2026, 12, 18, 14))
    billing.resume()
    assert (the_billing(order).state, the_billing(order).result) == (B.NOT_PAID, "3")
    assert fresh(order).payment_status is S.CAPTURE_FAILED


def test_is_no_failure_while_it_is_paid(shop: World, travel: Travel, order: Order) -> None:
    """R106; given back only then, it is no 再決済OK any more."""
    not_charged(shop, order)
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert shown(SubscriptionTab.REPORTED) == ["再決済OK"]
    assert subscriptions.search(SubscriptionCriteria(is_ok=True, tab=SubscriptionTab.ALL)).rows
    give_back(shop, order)
    assert shown(SubscriptionTab.REPORTED) == ["NG"]
    assert not subscriptions.search(SubscriptionCriteria(is_ok=True, tab=SubscriptionTab.ALL)).rows
