"""A monthly file that our books have lost, or another system's (P36): each of its lines is charged once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import MonthlyLine, monthly_file
from sgpshop.models import BillingState, Operation, Order
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.acting import cancel, last_attempt, press
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import (
    THE_10TH,
    THE_18TH,
    delivered,
    explained,
    go_on,
    not_delivered,
    the_billing,
)

S, B = PaymentStatus, BillingState


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1, "CONGESTION_TRIES": 1}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(params=list(BillingDriver))
def driver(request: pytest.FixtureRequest) -> BillingDriver:
    return BillingDriver(request.param)


@pytest.fixture(autouse=True)
def _open(shop: World, travel: Travel) -> None:
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's


def file_of_lost_books(shop: World, order: Order, *, yen: int = 2500, number: int = 1) -> None:
    """Sent before the books of the night before were put back."""
    transaction = fresh(order).transaction
    assert transaction is not None
    assert transaction.card_seq is not None
    lines = [
        MonthlyLine(
            order_id=order_id,
            member_id=transaction.member_id,
            card_seq=transaction.card_seq,
            amount=yen,
            use_date=date(2026, 12, 10),
        )
        for order_id in (f"{order.order_no}-{number}", "LOST-1")
    ]
    content = monthly_file.render("tshop00000001", "202612", lines)
    assert not shop.gateway.upload_monthly_file("202612", content).refused


def sold(shop: World, order: Order) -> list[tuple[str, int]]:
    return [
        (one["order_id"], one["amount"])
        for one in shop.ledger()
        if one["status"] == "CAPTURE" and one["order_id"].startswith(order.order_no)
    ]


@pytest.mark.parametrize(("yen", "number"), [(2500, 1), (2400, 1), (2500, 2), (2400, 3)])
def test_what_it_charges_is_charged_once(
    shop: World, travel: Travel, driver: BillingDriver, yen: int, number: int
) -> None:
    open_shop(billing_driver=driver.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order, yen=yen, number=number)
    for moment in (THE_10TH, jst(2026, 12, 10, 7), jst(2026, 12, 10, 9), jst(2026, 12, 11, 9)):
        travel(moment)
        go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert the_billing(order).state is B.POSTPONED
        assert sold(shop, order) == []
    content = error_content(last_attempt(order))
    assert content is not None
    if (yen, driver) != (2500, BillingDriver.API):  # there SMBC-GP itself says so, with a code
        assert "記録にない月次ファイル" in content.sentence
    for day in (18, 19, 20, 21):
        travel(jst(2026, 12, day, 9))
        go_on(order)
    travel(jst(2027, 1, 10, 9))
    go_on(order)
    assert sold(shop, order) == [(f"{order.order_no}-{number}", yen)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


@pytest.mark.parametrize("number", [1, 2])
def test_it_is_not_cancelled_as_if_nothing_were_there(
    shop: World, travel: Travel, driver: BillingDriver, number: int
) -> None:
    open_shop(billing_driver=driver.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order, number=number)
    travel(THE_10TH)
    go_on(order)
    order = cancel(not_delivered(order))
    assert order.payment_status is S.AWAITING_BILLING
    assert last_attempt(order).reason == "in_file"
    travel(THE_18TH)
    order = cancel(order)
    assert order.payment_status is S.BILLING_REPORTED
    assert sold(shop, order) == [(f"{order.order_no}-{number}", 2500)]
    assert explained() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("number", [1, 2])
def test_nor_is_one_of_whose_registration_our_books_know_nothing(
    shop: World, travel: Travel, number: int
) -> None:
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order, number=number)
    order = cancel(not_delivered(order))
    assert order.payment_status is S.AWAITING_BILLING
    assert last_attempt(order).reason == "in_file"
    travel(THE_18TH)
    order = cancel(order)
    assert order.payment_status is S.BILLING_REPORTED
    assert sold(shop, order) == [(f"{order.order_no}-{number}", 2500)]
    assert explained() == []


def test_a_refused_order_is_not_paid_again_before_its_results(shop: World, travel: Travel) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop, payment=CardSource(token=shop.token(expire="2611")))
    travel(THE_10TH)
    go_on(order)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    file_of_lost_books(shop, order, number=3)
    order = press(fresh(order), Operation.REPAY)
    assert order.payment_status is S.CAPTURE_FAILED
    assert last_attempt(order).reason == "may_be_filed"
    assert sold(shop, order) == []
