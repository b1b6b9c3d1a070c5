"""Results that refuse what we do not wait for: told, and nothing ends but what was tried (R105)."""

# ruff: noqa: F401, F811 - fixtures of the other files are used by their names
from __future__ import annotations

import pytest
import sqlalchemy as sa

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation
from sgpshop.models import BillingState, CardTransaction, MonthlyResults, Order, utc_now
from sgpshop.services import subscriptions
from sgpshop.services.order_detail.detail import get_detail
from sgpshop.services.orders import history, parcels
from sgpshop.services.payments import (
    answers_taken_back,
    notifications,
    transaction_lookup,
    unknown_numbers,
)
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.notifying import tell
from tests.services.acting import TANAKA, cancel, last_attempt, seen
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import delivered, the_billing
from tests.services.subscriptions.test_charged_all_the_same import booked, pay, told
from tests.services.subscriptions.test_holds_past_us import give_back
from tests.services.subscriptions.test_lines_of_lost_books import (
    ALL_DAY,
    _open,
    file_of_lost_books,
    nights,
    not_charged,
    overrides,
    sold,
    travel,
)

pytestmark = pytest.mark.long

S, B = PaymentStatus, BillingState


def work(travel: Travel, *days: int, month: int = 12, year: int = 2026) -> None:
    """The worker on these days, while files may be under way: nothing that is open is taken for lost."""
    for day in days:
        for hour in (8, 9, 12):
            travel(jst(year, month, day, hour, 1))
            daily.run()
            billing.resume()
            look()


def look() -> None:
    notifications.ask_for_looks()
    db.session.rollback()
    due = sa.select(CardTransaction.id).where(CardTransaction.next_look_at <= utc_now())
    for transaction_id in db.session.scalars(due).all():
        transaction_lookup.look_up(transaction_id)
    db.session.rollback()


def events(order: Order) -> list[str]:
    return [entry.event for entry in history.entries(order.id, 50)]


@pytest.fixture
def fault() -> str:
    """What becomes of the file: it is there, and its answer lost."""
    return "drop_after"


@pytest.fixture
def order(shop: World, travel: Travel, fault: str) -> Order:
    """決済待ち: the file with its line was sent to SMBC-GP, which has not answered since."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 6, 1))
    shop.fault(fault, "Batch", times=1)
    billing.resume()
    for api in ("Batch", "SearchTrade"):
        shop.fault("http:503", api, times=100_000)
    return order


class TestALineThatWasPutOff:
    """Nothing said for a day that it was taken in."""

    @pytest.fixture
    def put_off(self, shop: World, travel: Travel, order: Order) -> Order:
        work(travel, 11, 12)
        assert the_billing(order).state is B.POSTPONED
        shown = get_detail(order.order_no).problem
        assert shown is not None  # and not that nothing was sent
        assert "届いていれば、結果の日に請求されます" in shown.sentence
        return order

    @pytest.mark.parametrize("then", ["charged by call", "cancelled"])
    def test_is_the_only_charge_whatever_was_paid_and_given_back(
        self, shop: World, travel: Travel, put_off: Order, then: str
    ) -> None:
        """Whose that was is said, and it counts from then on; the line charges on the day of results."""
        shop.behave()
        number = f"{put_off.order_no}-2"
        pay(shop, number)
        give_back(shop, number, Cancellation.VOID)
        unknown_numbers.keep_named(number)
        transaction_lookup.look_soon(put_off.id)
        look()
        [row] = unknown_numbers.open_of(put_off.id)
        unknown_numbers.answer(put_off.order_no, row.id, TANAKA, Answer.OURS)
        look()
        if then == "cancelled":
            undone = dict.fromkeys([0], DeliveryStatus.UNPROCESSED)
            parcels.change_statuses(put_off.id, seen(fresh(put_off)), TANAKA, undone)
            cancel(fresh(put_off))
            assert last_attempt(put_off).reason == "in_file"
        else:
            open_shop(billing_driver=BillingDriver.API.value)
            subscriptions.take_again([put_off.order_no], "token", TANAKA)
            billing.resume()
            settle(put_off.id)
        work(travel, 13, 18, 19)
        assert sold(shop, put_off) == [(f"{put_off.order_no}-1", 2500)]
        assert fresh(put_off).payment_status is S.BILLING_REPORTED
        assert booked() == 2500

    @pytest.mark.postgresql
    def test_is_a_failure_once_its_card_was_refused(
        self, shop: World, travel: Travel, put_off: Order
    ) -> None:
        not_charged(shop, put_off)
        shop.behave()
        work(travel, 18, 19)
        assert fresh(put_off).payment_status is S.CAPTURE_FAILED
        line = the_billing(put_off)
        assert (line.state, line.retry_at) == (B.NOT_PAID, None)
        assert events(put_off).count("bill_not_paid") == 1
        shown = get_detail(put_off.order_no).problem
        assert shown is not None
        assert shown.headline == "売上報告の結果がNGでした"
        # Registered anew it is charged once, under the next number.
        assert subscriptions.take_again([put_off.order_no], "token", TANAKA) == 1
        work(travel, 10, 11, 18, 19, month=1, year=2027)
        assert fresh(put_off).payment_status is S.BILLING_REPORTED
        assert sold(shop, put_off) == [(f"{put_off.order_no}-2", 2500)]
        assert booked() == 2500
        assert "bill_result_heard" not in events(put_off)

    def test_stays_put_off_while_results_are_read_again(
        self, shop: World, travel: Travel, put_off: Order
    ) -> None:
        """もう一度登録する, and then the very same results once more."""
        not_charged(shop, put_off)
        shop.behave()
        work(travel, 18)
        subscriptions.take_again([put_off.order_no], "token", TANAKA)
        with writing() as session:
            session.get_one(MonthlyResults, jst(2026, 12, 1).date()).due_at = utc_now()
        work(travel, 19)
        assert fresh(put_off).payment_status is S.AWAITING_BILLING
        assert the_billing(put_off).state is B.POSTPONED
        assert events(put_off).count("bill_not_paid") == 1

    def test_is_told_after_what_is_under_way(
        self, shop: World, travel: Travel, put_off: Order
    ) -> None:
        """A cancel of which nobody knows the end yet."""
        not_charged(shop, put_off)
        with writing() as session:
            attempt = last_attempt(put_off)
            session.get_one(type(attempt), attempt.id).state = "unknown"
        shop.behave()
        work(travel, 18)
        assert fresh(put_off).payment_status is S.AWAITING_BILLING
        with writing() as session:
            session.get_one(type(attempt), attempt.id).state = "rejected"
        work(travel, 19, 20)
        assert fresh(put_off).payment_status is S.CAPTURE_FAILED


@pytest.mark.postgresql
def test_a_line_of_another_file_ends_nothing_and_is_told_once(shop: World, travel: Travel) -> None:
    """It was refused before the order was charged by a call, under the next number."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    not_charged(shop, order)
    nights(travel, order, *((2026, 12, day) for day in (10, 18, 19, 20)), hours=ALL_DAY)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert events(order).count("bill_result_heard") == 1
    with writing() as session:
        session.get_one(MonthlyResults, jst(2026, 12, 1).date()).due_at = utc_now()
    nights(travel, order, (2026, 12, 21), hours=ALL_DAY)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert events(order).count("bill_result_heard") == 1
    assert told(order) == []


class TestAPaymentThatIsAskedAboutWhileTheFileIsUnderWay:
    """The buyer paid past us under the number after that of the line."""

    @pytest.fixture
    def question(self, shop: World, travel: Travel, order: Order) -> int:
        travel(jst(2026, 12, 10, 7))
        shop.behave()
        pay(shop, f"{order.order_no}-2")
        tell(f"{order.order_no}-2", Status="CAPTURE", JobCd="CAPTURE", Amount="2500")
        unknown_numbers.keep_named(f"{order.order_no}-2")
        transaction_lookup.look_soon(order.id)
        look()
        assert fresh(order).open_attempt is not None
        [row] = unknown_numbers.open_of(order.id)
        return row.id

    @pytest.mark.parametrize("said", [Answer.OURS, Answer.OTHERS])
    @pytest.mark.parametrize("is_charged", [True, False])
    def test_is_answered_at_once_and_acts_once_results_are_here(
        self,
        shop: World,
        travel: Travel,
        order: Order,
        question: int,
        said: Answer,
        is_charged: bool,
    ) -> None:
        unknown_numbers.answer(order.order_no, question, TANAKA, said)
        assert list(unknown_numbers.open_of(order.id)) == []
        assert last_attempt(order).gateway_order_id == f"{order.order_no}-1"
        if not is_charged:
            not_charged(shop, order)
        work(travel, 10, 11, 18, 19)
        order = fresh(order)
        is_paid = is_charged or said is Answer.OURS
        assert order.payment_status is (S.BILLING_REPORTED if is_paid else S.CAPTURE_FAILED)
        assert order.transaction is not None
        is_ours = said is Answer.OURS
        assert order.transaction.gateway_order_id == f"{order.order_no}-{1 + is_ours}"
        assert booked() == 2500 * (is_charged + is_ours)
        is_twice = is_charged and is_ours
        assert told(order) == ([AlertKind.EARLIER_IS_LIVE] if is_twice else [])

    @pytest.mark.parametrize("is_refused", [False, True])
    def test_whose_answer_is_taken_back_leaves_how_the_line_stands(
        self, shop: World, travel: Travel, order: Order, question: int, is_refused: bool
    ) -> None:
        """It was registered since, or refused: no 決済待ち, as it was when the answer was given."""
        not_charged(shop, order)
        unknown_numbers.answer(order.order_no, question, TANAKA, Answer.OURS)
        work(travel, 10, 11, *((18, 19) if is_refused else ()))
        assert fresh(order).payment_status is S.BILLING_REPORTED  # by what was called the order's
        answers_taken_back.ask_again(order.order_no, question, TANAKA)
        look()
        failed, reported = S.CAPTURE_FAILED, S.BILLING_REPORTED
        assert fresh(order).payment_status is (failed if is_refused else reported)
        assert (booked(), told(order)) == (0, [AlertKind.UNKNOWN_NUMBER])
        work(travel, 20)
        assert fresh(order).payment_status is failed

    @pytest.mark.parametrize("fault", ["drop_before"])
    def test_pays_the_order_whose_line_never_got_there(
        self, shop: World, travel: Travel, order: Order, question: int
    ) -> None:
        unknown_numbers.answer(order.order_no, question, TANAKA, Answer.OURS)
        work(travel, 10, 11, 18, 19)
        assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert the_billing(order).state is B.PAID
        assert (booked(), told(order)) == (2500, [])
