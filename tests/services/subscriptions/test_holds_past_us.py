"""Beside what was taken, a mere hold past us neither pays an order nor hides that it is unpaid (R141)."""

# ruff: noqa: F401, F811 - fixtures of the other files are used by their names
from __future__ import annotations

from datetime import date

import pytest

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Cancellation, Card, Job
from sgpshop.models import Operation, Order
from sgpshop.services import subscriptions
from sgpshop.services.orders import parcels
from sgpshop.services.payments import notifications, transaction_lookup, unknown_numbers
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import tell
from tests.services.acting import TANAKA, press, seen
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import delivered, the_billing
from tests.services.subscriptions.test_charged_all_the_same import booked, pay, told
from tests.services.subscriptions.test_lines_of_lost_books import (
    _open,
    file_of_lost_books,
    nights,
    not_charged,
    overrides,
    sold,
    travel,
)

pytestmark = pytest.mark.long

S = PaymentStatus


def hold(shop: World, number: str) -> None:
    """The shop front reserves 2,500 yen under that number; SMBC-GP notifies of it."""
    access = shop.gateway.enter(number, Job.AUTH, 2500)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.AUTH)
    tell(number, Status="AUTH", JobCd="AUTH", Amount="2500")


def give_back(shop: World, number: str, how: Cancellation) -> None:
    there = shop.gateway.search_trade(number)
    assert there is not None
    shop.gateway.cancel(there.access, how)


def heard(order: Order) -> None:
    """The worker looks up what we were notified of, and a person says that it is the order's."""
    transaction_lookup.look_soon(order.id)
    work_off(order.id)
    assert say_ours()
    work_off(order.id)


@pytest.fixture
def filed(shop: World, travel: Travel) -> Order:
    """売上報告済 by a line for `-1`; the cart holds `-2`, of which a person said that it is the order's."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    travel(jst(2026, 12, 12, 12))
    hold(shop, f"{order.order_no}-2")
    heard(order)
    return order


def test_a_line_that_was_not_charged_fails_beside_a_mere_hold(
    shop: World, travel: Travel, filed: Order
) -> None:
    not_charged(shop, filed)
    nights(travel, filed, (2026, 12, 18))
    assert fresh(filed).payment_status is S.CAPTURE_FAILED
    assert AlertKind.EARLIER_IS_LIVE in told(filed)
    nights(travel, filed, (2026, 12, 19))
    assert fresh(filed).payment_status is S.CAPTURE_FAILED  # on its tile, whichever number counts
    assert subscriptions.take_again([filed.order_no], "token", TANAKA) == 1


@pytest.mark.postgresql
def test_a_line_that_was_charged_pays_the_order_beside_a_mere_hold(
    shop: World, travel: Travel, filed: Order
) -> None:
    nights(travel, filed, (2026, 12, 18), (2026, 12, 19))
    order = fresh(filed)
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == f"{order.order_no}-1"
    assert order.transaction.captured_amount == 2500 == booked()
    assert order.payment_status is S.BILLING_REPORTED
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]  # the hold, and nothing else
    give_back(shop, f"{order.order_no}-2", Cancellation.RETURN)
    nights(travel, filed, (2026, 12, 20))
    assert told(order) == []


def test_a_hold_captured_past_us_pays_and_our_own_is_what_is_left(
    shop: World, travel: Travel
) -> None:
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002", 決済方法ステータス="仮売上"))
    order = looked_up("7002")
    hold(shop, "7002-1")
    heard(order)
    there = shop.gateway.search_trade("7002-1")
    assert there is not None
    shop.gateway.capture(there.access, 2500)
    tell("7002-1", Status="SALES", JobCd="SALES", Amount="2500")
    travel(jst(2026, 11, 12, 18))
    notifications.ask_for_looks()
    for _ in range(3):
        work_off(order.id)
    looked_up("7002")
    nights(travel, order, (2026, 11, 13))
    order = fresh(order)
    assert order.payment_status is S.CAPTURED
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == "7002-1"
    assert AlertKind.EARLIER_IS_LIVE in told(order)


@pytest.mark.parametrize("kind", ["normal", "preorder"])
def test_a_later_hold_does_not_count_instead_of_what_was_given_back(
    shop: World, travel: Travel, kind: str
) -> None:
    if kind == "normal":
        shop.authorize("7002", 2500)
        paid = "7002"
    else:
        shop.gateway.check_card("7002", GOOD_CARD)
        paid = "7002-1"
    flag = "1" if kind == "preorder" else "0"
    take_in(row(注文番号="7002", 決済方法ステータス="仮売上", 予約フラグ=flag))
    order = looked_up("7002")
    press(order, Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    hold(shop, f"7002-{int(paid[5:] or 0) + 1}")
    heard(order)
    give_back(shop, paid, Cancellation.RETURN if kind == "preorder" else Cancellation.VOID)
    nights(travel, order, (2026, 11, 14), (2026, 11, 15))
    assert fresh(order).payment_status is S.CANCELLED
    assert AlertKind.CANCELLED_ELSEWHERE in told(order)
    assert AlertKind.EARLIER_IS_LIVE in told(order)


def test_what_a_person_called_ours_after_it_was_given_back_is_no_charge_of_a_preorder(
    shop: World, travel: Travel
) -> None:
    """実売上処理 before the look that the answer makes due."""
    shop.gateway.check_card("7002", GOOD_CARD)
    take_in(row(注文番号="7002", 予約フラグ="1", 決済方法ステータス="仮売上"))
    order = looked_up("7002")
    pay(shop, "7002-1")
    tell("7002-1", Status="CAPTURE", JobCd="CAPTURE", Amount="2500")
    looked_up("7002")
    give_back(shop, "7002-1", Cancellation.VOID)
    [question] = unknown_numbers.open_of(order.id)
    unknown_numbers.answer("7002", question.id, TANAKA, unknown_numbers.Answer.OURS)
    press(fresh(order), Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert sold(shop, order) == [("7002-2", 2500)]


def test_what_was_given_back_beside_an_open_question_is_told_once_that_is_over(
    shop: World, travel: Travel
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    travel(jst(2026, 12, 11, 12))
    give_back(shop, f"{order.order_no}-1", Cancellation.RETURN)
    hold(shop, f"{order.order_no}-2")
    nights(travel, order, (2026, 12, 12))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours(is_ours=False)
    nights(travel, order, (2026, 12, 13))
    assert told(order) == [AlertKind.CANCELLED_ELSEWHERE]


def test_what_is_not_charged_yet_cannot_be_recorded_as_paid_back(
    shop: World, travel: Travel
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    travel(jst(2026, 12, 12, 12))
    day = date(2026, 12, 12)
    back = parcels.ParcelReturn([0], day, "返品")
    parcels.take_back(order.id, seen(fresh(order)), TANAKA, back)
    for yen in (0, 2500):
        with pytest.raises(NotPossible, match="結果がまだ届いていません"):
            parcels.settle_refund(order.id, seen(fresh(order)), TANAKA, day, yen, "振込")
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    parcels.settle_refund(order.id, seen(fresh(order)), TANAKA, date(2026, 12, 19), 2500, "振込")
    assert booked() == 0


@pytest.mark.parametrize("number", [2, 5])
def test_what_results_name_beside_our_line_is_asked_about(
    shop: World, travel: Travel, number: int
) -> None:
    """Also behind a gap, where no look-up would go."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    file_of_lost_books(shop, order, number=number)
    nights(travel, order, *((2026, 12, day) for day in (18, 19, 20)))
    assert len(sold(shop, order)) == 2
    assert AlertKind.UNKNOWN_NUMBER in told(order)
    assert booked() == 2500
