"""A shop numbers its orders P and P-1: the sale of P-1, which no act of ours entered, is not P's (R141)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Card, Job
from sgpshop.models import BillingState, Order, UnknownNumber
from sgpshop.services.payments import answers_taken_back, unknown_numbers
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import billing
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import work_off
from tests.gateway_world import World
from tests.services.acting import TANAKA
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_earlier_transactions import told
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import (
    THE_10TH,
    delivered,
    explained,
    go_on,
    the_billing,
)
from tests.services.subscriptions.test_lines_of_lost_books import file_of_lost_books, nights, sold

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1, "NIGHTLY_COMPARE_HOUR": 3}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(params=list(BillingDriver))
def driver(request: pytest.FixtureRequest) -> BillingDriver:
    return BillingDriver(request.param)


@pytest.fixture
def order(app: Flask, shop: World, travel: Travel, driver: BillingDriver) -> Iterator[Order]:
    """2,500 yen, to be registered on the 10th."""
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's
    open_shop(billing_driver=driver.value)
    yield delivered(shop)
    own_worker.finish(app)


def sell_the_other(shop: World, order: Order) -> None:
    """9,900 yen for P-1, past us."""
    access = shop.gateway.enter(f"{order.order_no}-1", Job.CAPTURE, 9900)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)


def is_untouched(order: Order) -> None:
    """Still to be billed; its question is open, and nothing of the other is in its books."""
    order = fresh(order)
    assert order.payment_status is S.AWAITING_BILLING
    assert order.transaction is not None
    assert order.transaction.captured_amount is None
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    assert [one.gateway_order_id for one in unknown_numbers.open_of(order.id)] == [
        f"{order.order_no}-1"
    ]


@pytest.mark.postgresql
def test_the_night_does_not_book_it(shop: World, travel: Travel, order: Order) -> None:
    travel(jst(2026, 12, 9, 12))
    sell_the_other(shop, order)
    travel(THE_10TH)
    go_on(order)
    is_untouched(order)
    travel(jst(2026, 12, 11, 3, 1))
    daily.run()
    work_off(order.id)
    is_untouched(order)
    assert say_ours(is_ours=False) == 1
    nights(travel, order, (2027, 1, 10), (2027, 1, 18), (2027, 1, 19))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert shop.trade(f"{order.order_no}-1")["amount"] == 9900
    assert (f"{order.order_no}-2", 2500) in sold(shop, order)
    assert the_billing(order).amount == 2500
    assert explained() == []


@pytest.mark.parametrize("driver", [BillingDriver.FILE], indirect=True)
@pytest.mark.parametrize("answered_on", [date(2026, 12, 11), date(2026, 12, 20)])
def test_nor_do_the_results_of_another_systems_file(
    shop: World, travel: Travel, order: Order, answered_on: date
) -> None:
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    days = [date(2026, 12, 10), date(2026, 12, 11), date(2026, 12, 18), date(2026, 12, 20)]
    for day in days:
        nights(travel, order, (day.year, day.month, day.day))
        if day < answered_on:
            is_untouched(order)
        elif day == answered_on:
            assert say_ours(is_ours=False) == 1
    assert fresh(order).payment_status is S.AWAITING_BILLING
    nights(travel, order, (2027, 1, 10), (2027, 1, 18), (2027, 1, 19))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert (f"{order.order_no}-2", 2500) in sold(shop, order)
    assert told(order) == []
    assert explained() == []


def test_called_its_own_by_mistake_it_is_still_to_be_billed(
    shop: World, travel: Travel, order: Order
) -> None:
    travel(jst(2026, 12, 9, 12))
    sell_the_other(shop, order)
    travel(THE_10TH)
    go_on(order)
    assert say_ours() == 1
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert the_billing(order).state is BillingState.PAID
    [question] = db.session.scalars(sa.select(UnknownNumber.id))
    answers_taken_back.ask_again(order.order_no, question, TANAKA)
    work_off(order.id)
    is_untouched(order)
    assert the_billing(order).state is BillingState.POSTPONED
    assert say_ours(is_ours=False) == 1
    travel(jst(2026, 12, 10, 12))
    go_on(order)
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert (f"{order.order_no}-2", 2500) in sold(shop, order)
    assert the_billing(order).gateway_order_id == f"{order.order_no}-2"
    assert explained() == []


def test_the_other_comes_in_as_a_subscription_of_its_own(
    shop: World, travel: Travel, order: Order
) -> None:
    """The next round is called P-1, and paid: that says nothing of P, which is billed in its month."""
    travel(jst(2026, 12, 9, 12))
    sell_the_other(shop, order)
    travel(THE_10TH)
    go_on(order)
    is_untouched(order)
    said = {"定期購入ID": "T-2", "定期回数": "2", "決済方法ステータス": "決済待ち"}
    take_in(row(注文番号=f"{order.order_no}-1", 合計金額="9900", 単価="9900", **said))
    looked_up(f"{order.order_no}-1")
    assert the_billing(order).state is BillingState.POSTPONED
    travel(jst(2026, 12, 10, 13))
    go_on(order)
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert sold(shop, order) == [(f"{order.order_no}-1", 9900), (f"{order.order_no}-2", 2500)]
    assert told(order) == []
    assert explained() == []
