"""A line of a monthly file that our books do not know, charged when nobody waited for it any more."""

# ruff: noqa: F401, F811 - fixtures of the other file are used by their names
from __future__ import annotations

from datetime import date
from functools import partial

import pytest
import sqlalchemy as sa

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_acts import Act, button, is_refund_open
from sgpshop.domain.order_rules import Refusal, capture_refusal
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Card, Job, SmbcGpGateway, ThreeDs
from sgpshop.models import BillingState, MoneyMovement, Operation, Order, utc_now
from sgpshop.services import intake, settings
from sgpshop.services.intake.new_order import DeliveryItem, ShipTo
from sgpshop.services.order_detail import letters
from sgpshop.services.order_detail.detail import OrderProblem
from sgpshop.services.orders import alerts, facts, history, parcels
from sgpshop.services.payments import acts, runner, unknown_numbers
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.services.subscriptions import SubscriptionTab, again, billing, monthly_files
from sgpshop.services.subscriptions.billing import results
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import TANAKA, cancel, correct, last_attempt, press, seen
from tests.services.answering import say_ours
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders, subscription
from tests.services.importing import counts, messages, take_in
from tests.services.order_csv import row
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_choices import listed
from tests.services.subscriptions.test_billing_faults import (
    delivered,
    explained,
    go_on,
    not_delivered,
    the_billing,
)
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
DECEMBER = date(2026, 12, 1)


@pytest.fixture
def order(shop: World, travel: Travel) -> Order:
    """決済待ち, delivered; a file that our books have lost has a line for `-1`."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    return order


def told(order: Order) -> list[AlertKind]:
    return [alert.kind for alert in alerts.open_of(order.id)]


def booked() -> int:
    kept = MoneyMovement.kept_after - MoneyMovement.kept_before
    return int(db.session.scalar(sa.select(sa.func.coalesce(sa.func.sum(kept), 0))) or 0)


def leave_out(shop: World, order: Order, *, is_left_out: bool) -> None:
    """The results do, or do no longer, leave out the line of this order."""
    line, file = ("lost", 1) if is_left_out else ("", 0)
    context = shop.simulator.extensions["endpoint"].context
    with context.ledger.transaction() as ledger:
        number = f"{order.order_no}-1"
        of_line = "WHERE order_id = ? AND refused IN ('', 'lost')"
        ledger.execute(f"UPDATE monthly_lines SET refused = ? {of_line}", (line, number))
        if not is_left_out:
            ledger.execute("UPDATE monthly_files SET is_settled = ?", (file,))


@pytest.mark.postgresql
def test_results_that_leave_it_out_do_not_say_that_it_is_not_charged(
    shop: World,
    travel: Travel,
    order: Order,
) -> None:
    leave_out(shop, order, is_left_out=True)
    nights(travel, order, *((2026, 12, day) for day in (10, 18, 19, 20, 21)))
    assert sold(shop, order) == []
    assert the_billing(order).state is B.POSTPONED
    leave_out(shop, order, is_left_out=False)
    nights(travel, order, (2026, 12, 22), (2026, 12, 23))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    say_ours()
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert booked() == 2500
    assert explained() == []


def test_a_person_may_say_of_results_that_leave_it_out_that_it_is_not_charged(
    shop: World,
    travel: Travel,
    order: Order,
) -> None:
    leave_out(shop, order, is_left_out=True)
    nights(travel, order, *((2026, 12, day) for day in (10, 18, 19, 20, 21)))
    results.give_up(DECEMBER)
    nights(travel, order, (2026, 12, 22))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED


@pytest.mark.postgresql
def test_a_line_of_ours_whose_results_never_come_is_looked_up_once_a_person_gives_them_up(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    shop.spoil_results("uncharged")
    monkeypatch.setattr(SmbcGpGateway, "fetch_monthly_result", lambda _self, _month: None)
    nights(travel, order, (2026, 12, 18), (2026, 12, 21))
    assert monthly_files.trouble()[1]
    travel(jst(2026, 12, 22, 8))
    billing.give_up(DECEMBER)
    nights(travel, order, (2026, 12, 22))
    assert monthly_files.trouble()[1] == []
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    monkeypatch.undo()
    again.take_again([order.order_no], "again", TANAKA)
    shop.behave()
    nights(travel, order, (2027, 1, 10), (2027, 1, 18), (2027, 1, 19))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert told(order) == []


@pytest.mark.postgresql
def test_charged_after_a_person_gave_it_up_it_is_a_question_and_then_a_double_charge(
    shop: World,
    travel: Travel,
    order: Order,
) -> None:
    shop.set_result_day(28)
    nights(travel, order, *((2026, 12, day) for day in (10, 18, 19, 21)))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    travel(jst(2026, 12, 22, 8))
    results.give_up(DECEMBER)
    nights(travel, order, (2026, 12, 22), (2026, 12, 23))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert told(order) == []  # nobody asks any more whose that unpaid number is
    nights(travel, order, *((2026, 12, day) for day in (28, 29, 30)))
    assert len(sold(shop, order)) == 2
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    assert booked() == 5000
    assert explained() == []


def test_a_line_that_was_not_charged_is_no_question_any_more(
    shop: World,
    travel: Travel,
    order: Order,
) -> None:
    not_charged(shop, order)
    nights(travel, order, *((2026, 12, day) for day in (10, 18, 19, 20, 21)))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert told(order) == []


def test_paid_past_us_under_the_number_that_was_only_meant(shop: World, travel: Travel) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 9, 5))
    pay(shop, f"{order.order_no}-2")
    travel(jst(2026, 12, 10, 7))
    go_on(order)
    say_ours()
    assert fresh(order).payment_status is S.BILLING_REPORTED
    travel(jst(2026, 12, 12, 5))
    pay(shop, f"{order.order_no}-1")
    nights(travel, order, (2026, 12, 13), (2026, 12, 14))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]


def test_what_the_buyer_paid_is_seen_beside_a_page_that_stands_open(
    shop: World, travel: Travel
) -> None:
    """Nobody told of `-1`, the number that is only meant; of `-2` its results alone would say more."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 9, 5))
    pay(shop, f"{order.order_no}-1")
    shop.gateway.enter(f"{order.order_no}-2", Job.CAPTURE, 2500)
    travel(jst(2026, 12, 10, 7))
    go_on(order)
    asked = {question.gateway_order_id for question in unknown_numbers.open_of(order.id)}
    assert asked == {f"{order.order_no}-1", f"{order.order_no}-2"}
    say_ours()
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]


@pytest.mark.postgresql
def test_a_page_that_a_subscriptions_buyer_left_is_passed_over_once_a_person_says_so(
    shop: World, travel: Travel
) -> None:
    """A shop without monthly files: whoever entered `-1` at the cart on the 9th never paid."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 9, 12))
    access = shop.gateway.enter(f"{order.order_no}-1", Job.CAPTURE, 2500)
    travel(jst(2026, 12, 10, 6, 1))
    go_on(order)
    [question] = unknown_numbers.open_of(order.id)
    asked = order.order_no, question.id, TANAKA
    with pytest.raises(NotPossible, match="支払いの途中かもしれません"):
        unknown_numbers.answer(*asked, Answer.LEFT)
    travel(jst(2026, 12, 10, 7))
    with pytest.raises(NotPossible, match="選べない答え"):  # it is, but nothing was paid
        unknown_numbers.answer(*asked, Answer.OURS)
    unknown_numbers.answer(*asked, Answer.LEFT)
    unknown_numbers.answer(*asked, Answer.LEFT)  # a second click
    assert told(order) == []
    go_on(order)
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)  # after all
    nights(travel, order, (2026, 12, 11))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    assert booked() == 5000


def pay(shop: World, number: str) -> None:
    """The shop front charges 2,500 yen under that number."""
    access = shop.gateway.enter(number, Job.CAPTURE, 2500)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)


@pytest.mark.postgresql
def test_a_buyer_who_is_paying_past_us_is_waited_for_and_then_watched(
    shop: World, travel: Travel
) -> None:
    """予約, and at the cart the buyer has just begun to pay with another card (R106)."""
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    access = shop.gateway.enter("7001-1", Job.CAPTURE, 2500)
    order = press(order, Operation.CAPTURE)
    assert last_attempt(order).reason == "unknown_number"
    assert sold(shop, order) == []
    travel(jst(2026, 11, 12, 13))  # an hour later nobody is there any more, it seems
    press(order, Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert told(order) == []
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    assert sold(shop, order) == [("7001-1", 2500), ("7001-2", 2500)]
    nights(travel, order, (2026, 11, 13), (2026, 11, 14))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    assert booked() == 5000


@pytest.mark.postgresql
def test_what_a_buyer_paid_counts_though_a_later_number_was_refused(
    shop: World, travel: Travel
) -> None:
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    access = shop.gateway.enter("7001-1", Job.CAPTURE, 2500)
    travel(jst(2026, 11, 12, 13))
    shop.fault("error:42G120000", "ExecTran")
    press(order, Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    nights(travel, order, (2026, 11, 13))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert fresh(order).payment_status is S.CAPTURED
    assert AlertKind.EARLIER_IS_LIVE not in told(order)
    assert booked() == 2500
    assert sold(shop, order) == [("7001-1", 2500)]


@pytest.fixture
def in_doubt(shop: World, travel: Travel) -> Order:
    """決済待ち: the answer to its file was lost, and nobody could ask before the window closed."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 23, 58))
    shop.fault("drop_after", "Batch", times=50)
    billing.resume()
    travel(jst(2026, 12, 11, 2))
    shop.behave()
    shop.fault("error:E11010099", "Batch")
    shop.fault("http:503", "SearchTrade", times=100_000)
    billing.resume()
    for day in (12, 13, 14):
        travel(jst(2026, 12, day, 9))
        billing.resume()
    shop.behave()
    assert fresh(order).payment_status is S.AWAITING_BILLING
    return fresh(order)


def test_a_line_of_ours_that_is_charged_late_pays_what_failed_since(
    shop: World, travel: Travel, in_doubt: Order
) -> None:
    """December's results left it out, a person gave it up, and January's line was NG."""
    order = in_doubt
    # `-1` is taken in January, so it is sent as `-2` on the same day.
    often = partial(nights, hours=ALL_DAY)
    leave_out(shop, order, is_left_out=True)
    often(travel, order, *((2026, 12, day) for day in (18, 21)))
    travel(jst(2026, 12, 22, 8))
    results.give_up(DECEMBER)
    often(travel, order, (2026, 12, 22), (2027, 1, 10))
    refuse_line(shop, f"{order.order_no}-2")
    often(travel, order, (2027, 1, 18), (2027, 1, 19))
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    leave_out(shop, order, is_left_out=False)
    often(travel, order, (2027, 1, 25), (2027, 1, 26))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert AlertKind.EARLIER_IS_LIVE not in told(order)
    assert booked() == 2500


def refuse_line(shop: World, number: str) -> None:
    """The card company will refuse the line with that number."""
    context = shop.simulator.extensions["endpoint"].context
    with context.ledger.transaction() as ledger:
        ledger.execute("UPDATE monthly_lines SET card_seq = '9' WHERE order_id = ?", (number,))


@pytest.mark.postgresql
def test_a_file_that_takes_more_than_the_total_of_now_is_told(
    shop: World, travel: Travel, in_doubt: Order
) -> None:
    """2,500 were filed, and the order was corrected to 2,000 by an earlier version."""
    order = in_doubt
    with writing() as session:
        session.execute(sa.update(Order).values(total=2000))
    travel(jst(2026, 12, 18, 9))
    go_on(order)
    nights(travel, order, (2026, 12, 19))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    assert told(order) == [AlertKind.AMOUNT_DIFFERS]
    assert is_refund_open(fresh(order))
    assert listed(SubscriptionTab.ATTENTION) == [order.order_no]


def test_no_total_changes_while_a_file_may_charge_what_it_was(
    shop: World, travel: Travel, in_doubt: Order
) -> None:
    """R103: neither on the screen nor by an order file; the sale comes with 2,500."""
    order = not_delivered(in_doubt)
    with pytest.raises(NotPossible, match="結果が届くまで、金額は変更できません"):
        correct(order, 2000)
    ids = {"定期購入ID": order.subscription_id or "", "定期回数": str(order.subscription_round)}
    run = take_in(row(注文番号=order.order_no, 合計金額="2000", **ids))
    assert counts(run) == {"left_out": 1}
    assert "結果が届くまで、金額は変更できません" in messages(run)[0]
    assert fresh(order).total == 2500
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    assert told(order) == []


@pytest.mark.postgresql
def test_what_a_file_of_lost_books_took_too_much_goes_back_by_another_way(
    shop: World, travel: Travel
) -> None:
    """3,000 of 2,500: our books know no file, but SMBC-GP says to 差額を返金 that it was one."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order, yen=3000)
    nights(travel, order, *((2026, 12, day) for day in (10, 18, 19)))
    say_ours()
    assert told(order) == [AlertKind.AMOUNT_DIFFERS]
    press(fresh(order), Operation.REFUND_DIFFERENCE)
    assert last_attempt(order).error_codes == "E01410010"
    order = fresh(order)
    assert not button(Act.REFUND_DIFFERENCE, order, settings.load(), utc_now()).is_shown
    assert is_refund_open(order)
    assert listed(SubscriptionTab.ATTENTION) == [order.order_no]
    parcels.settle_refund(order.id, seen(order), TANAKA, jst_day(utc_now()), 500, "銀行振込")
    assert listed(SubscriptionTab.ATTENTION) == []
    assert told(order) == []
    assert booked() == 2500


def test_what_was_paid_and_given_back_past_us_is_charged_under_the_next_number(
    shop: World, travel: Travel
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 9, 5))
    pay(shop, f"{order.order_no}-1")
    shop.gateway.cancel(
        shop.gateway.search_trade(f"{order.order_no}-1").access, Cancellation.RETURN
    )
    nights(travel, order, (2026, 12, 10))
    say_ours()
    [alert] = alerts.open_of(order.id)
    alerts.acknowledge(order.order_no, alert.id, TANAKA, "請求する")
    nights(travel, order, (2026, 12, 11), (2027, 1, 10), (2027, 1, 11))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED


def test_what_was_voided_past_us_leaves_a_preorder_to_be_charged(
    shop: World, travel: Travel
) -> None:
    """Its card was checked, and the shop front took back what it had reserved on another."""
    shop.gateway.check_card("7002", GOOD_CARD)
    take_in(row(注文番号="7002", 予約フラグ="1"))
    order = looked_up("7002")
    access = shop.gateway.enter("7002-1", Job.AUTH, 2500)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.AUTH)
    press(order, Operation.CAPTURE)
    settle(order.id)
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    shop.gateway.cancel(access, Cancellation.VOID)
    nights(travel, order, (2026, 11, 13))
    say_ours()
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    assert told(order) == []
    press(order, Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert sold(shop, order) == [("7002-2", 2500)]


@pytest.mark.postgresql
def test_of_two_payments_the_one_that_stays_pays_the_order(shop: World, travel: Travel) -> None:
    """`-1` came beside `-2`, which counted, and the shop gives `-2` back, as the alert says."""
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    access = shop.gateway.enter("7001-1", Job.CAPTURE, 2500)
    travel(jst(2026, 11, 12, 13))
    press(order, Operation.CAPTURE)
    settle(order.id)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    nights(travel, order, (2026, 11, 13))
    say_ours()
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    there = shop.gateway.search_trade("7001-2")
    assert there is not None
    shop.gateway.cancel(there.access, Cancellation.RETURN)
    nights(travel, order, (2026, 11, 14), (2026, 11, 15))
    order = fresh(order)
    assert order.payment_status is S.CAPTURED
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == "7001-1"
    assert told(order) == []
    assert booked() == 2500
    assert cancel(order).payment_status is S.CANCELLED
    assert sold(shop, order) == []


class TestAPageThatIsStillOpen:
    """予約: the cart's page for another card was open, our own charge was refused, and the buyer pays there."""

    @pytest.fixture
    def order(self, shop: World, travel: Travel) -> Order:
        shop.gateway.check_card("7001", GOOD_CARD)
        take_in(row(注文番号="7001", 予約フラグ="1"))
        order = looked_up("7001")
        access = shop.gateway.enter("7001-1", Job.CAPTURE, 2500)
        travel(jst(2026, 11, 12, 13))
        shop.fault("error:42G120000", "ExecTran")
        press(order, Operation.CAPTURE)
        settle(order.id)
        shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
        travel(jst(2026, 11, 12, 14))
        return fresh(order)

    def test_nothing_is_charged_beside_it(self, shop: World, order: Order) -> None:
        press(order, Operation.CAPTURE)
        settle(order.id)
        assert sold(shop, order) == [("7001-1", 2500)]
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]

    def test_it_is_not_cancelled_as_if_nothing_were_paid(self, shop: World, order: Order) -> None:
        order = cancel(order)
        assert order.payment_status is S.CAPTURE_FAILED
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]

    @pytest.mark.parametrize("is_here", [False, True])
    def test_given_back_it_is_cancelled_whatever_was_refused_after_it(
        self, shop: World, travel: Travel, order: Order, is_here: bool
    ) -> None:
        """`-2`, which was refused, is no 仮売上 to be charged again."""
        press(order, Operation.CAPTURE)
        settle(order.id)
        say_ours()
        assert fresh(order).payment_status is S.CAPTURED
        if is_here:
            cancel(fresh(order))
            settle(order.id)
        else:
            there = shop.gateway.search_trade("7001-1")
            assert there is not None
            shop.gateway.cancel(there.access, Cancellation.VOID)
        nights(travel, order, (2026, 11, 13), (2026, 11, 14))
        order = fresh(order)
        assert order.payment_status is S.CANCELLED
        assert order.transaction is not None
        assert order.transaction.gateway_order_id == "7001-1"
        assert told(order) == ([] if is_here else [AlertKind.CANCELLED_ELSEWHERE])
        assert booked() == 0


@pytest.mark.postgresql
def test_a_link_that_is_paid_while_the_next_line_waits_is_told_in_time(
    shop: World, travel: Travel
) -> None:
    """NG in December, -2 in January's file, and on the 12th the buyer pays by the link of December."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10))
    not_charged(shop, order)
    nights(travel, order, (2026, 12, 18), (2026, 12, 19))
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    again.take_again([order.order_no], "again", TANAKA)
    nights(travel, order, (2027, 1, 10))
    assert fresh(order).payment_status is S.BILLING_REPORTED
    travel(jst(2027, 1, 12, 12))
    pay(shop, f"{order.order_no}-3")
    nights(travel, order, (2027, 1, 13))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


def test_a_sale_of_a_subscription_that_was_given_back_is_told(shop: World, travel: Travel) -> None:
    """`-1` was entered past us, `-2` is declined, the buyer pays `-1`, and the shop gives it back."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    access = shop.gateway.enter(f"{order.order_no}-1", Job.CAPTURE, 2500, three_ds=ThreeDs("店"))
    card, back = Card(token=shop.token()), "https://cart.example/"
    shop.gateway.execute(access, card, job=Job.CAPTURE, return_to=back)
    shop.fault("error:42G120000", "ExecTran")
    nights(travel, order, (2026, 12, 10))
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    context = shop.simulator.extensions["endpoint"].context
    with context.ledger.transaction() as ledger:
        paid = "UPDATE trades SET status = 'CAPTURE' WHERE order_id = ?"
        ledger.execute(paid, (f"{order.order_no}-1",))
    nights(travel, order, (2026, 12, 11))
    say_ours()
    assert fresh(order).payment_status is S.BILLING_REPORTED
    shop.gateway.cancel(access, Cancellation.RETURN)
    nights(travel, order, (2026, 12, 12), (2026, 12, 13))
    assert told(order) == [AlertKind.CANCELLED_ELSEWHERE]


class TestAHoldThatCouldNotBeCaptured:
    """An ordinary order in 売上失敗: the buyer, who was told, pays again past us (R106)."""

    @pytest.fixture
    def order(self, shop: World, travel: Travel) -> Order:
        open_shop()
        placed = intake.place(new_order(shop), SHOP_FRONT)
        [order] = orders()
        assert order.order_no == placed.order_no
        shop.fault("error:42G120000", "AlterTran")
        press(order, Operation.CAPTURE)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        pay(shop, f"{order.order_no}-1")
        return fresh(order)

    def held(self, shop: World, order: Order) -> str:
        return next(one["status"] for one in shop.ledger() if one["order_id"] == order.order_no)

    def test_it_is_not_captured_beside_that(self, shop: World, order: Order) -> None:
        press(order, Operation.CAPTURE)
        assert last_attempt(order).reason == "unknown_number"
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        assert self.held(shop, order) == "AUTH"
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]

    @pytest.mark.postgresql
    def test_nor_while_nobody_has_said_whose_it_is(
        self, shop: World, travel: Travel, order: Order
    ) -> None:
        nights(travel, order, (2026, 11, 13))
        found = button(Act.CAPTURE, fresh(order), settings.load(), utc_now())
        assert "どの注文の決済かを選んでから" in found.reason
        with pytest.raises(NotPossible, match="どの注文の決済か"):
            press(order, Operation.CAPTURE)
        [listed_order] = facts.by_ids([order.id])
        assert capture_refusal(listed_order) is Refusal.UNKNOWN_NUMBER
        say_ours(is_ours=False)
        press(order, Operation.CAPTURE)
        assert fresh(order).payment_status is S.CAPTURED

    def test_it_is_not_cancelled_beside_that(self, shop: World, order: Order) -> None:
        cancel(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        assert self.held(shop, order) == "AUTH"
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]

    @pytest.mark.postgresql
    @pytest.mark.parametrize("how", ["cancel", "console"])
    def test_said_to_be_the_orders_it_pays_it_and_the_hold_never_takes_its_place(
        self, shop: World, travel: Travel, order: Order, how: str
    ) -> None:
        """Also once it was given back: a buyer who has his money again is not charged anew."""
        problem = OrderProblem("", "", "", codes=("42G120000",))
        assert letters.letter(order, problem, settings.load()) is not None
        nights(travel, order, (2026, 11, 13))
        order = fresh(order)
        assert letters.letter(order, problem, settings.load()) is None  # he may have paid already
        say_ours()
        nights(travel, order, (2026, 11, 14))
        assert fresh(order).payment_status is S.CAPTURED
        [alert] = alerts.open_of(order.id)
        assert alert.kind is AlertKind.EARLIER_IS_LIVE
        assert f"{order.order_no} 仮売上" in alert.facts
        if how == "cancel":
            cancel(fresh(order))
        else:
            there = shop.gateway.search_trade(f"{order.order_no}-1")
            assert there is not None
            shop.gateway.cancel(there.access, Cancellation.RETURN)
        nights(travel, order, (2026, 11, 15), (2026, 11, 16))
        assert fresh(order).payment_status is S.CANCELLED
        assert AlertKind.EARLIER_IS_LIVE in told(order)
        assert booked() == 0

    def test_paid_only_after_the_cancel_it_is_told(
        self, shop: World, travel: Travel, order: Order
    ) -> None:
        say_ours(is_ours=False)
        there = shop.gateway.search_trade(f"{order.order_no}-1")
        assert there is not None
        shop.gateway.cancel(there.access, Cancellation.VOID)
        cancel(order)
        assert fresh(order).payment_status is S.CANCELLED
        pay(shop, f"{order.order_no}-2")
        nights(travel, order, (2026, 11, 13))
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.parametrize("act", ["capture", "cancel"])
def test_what_a_file_calls_failed_is_asked_about_however_it_stands(
    shop: World, travel: Travel, act: str
) -> None:
    """The cart told its buyer; here the order is 仮売上 by its hold, and the buyer pays past us."""
    open_shop()
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002", 決済方法ステータス="売上失敗"))
    order = looked_up("7002")
    assert order.payment_status is S.AUTHORIZED
    pay(shop, "7002-1")
    if act == "capture":
        press(order, Operation.CAPTURE)
    else:
        cancel(order)
    assert [one["status"] for one in shop.ledger()] == ["AUTH", "CAPTURE"]
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.parametrize("act", ["capture", "cancel"])
@pytest.mark.parametrize(
    "rest", [{}, {"合計金額": "0", "単価": "0"}], ids=["unchanged", "left out"]
)
def test_what_a_later_file_calls_failed_is_heeded_whatever_becomes_of_its_row(
    shop: World, travel: Travel, act: str, rest: dict[str, str]
) -> None:
    open_shop()
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002", 決済方法ステータス="仮売上"))
    order = looked_up("7002")
    for _ in range(2):  # each day's file says it
        take_in(row(注文番号="7002", 決済方法ステータス="売上失敗", **rest))
    assert [entry.event for entry in history.entries(order.id)].count("import_failed") == 1
    pay(shop, "7002-1")
    if act == "capture":
        press(order, Operation.CAPTURE)
    else:
        cancel(order)
    assert [one["status"] for one in shop.ledger()] == ["AUTH", "CAPTURE"]
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.parametrize(
    ("act", "before", "rest"),
    [
        ("capture", {"決済方法": "銀行振込"}, {}),
        ("cancel", {"決済方法": "銀行振込"}, {}),
        ("capture", None, {"注文状態": "99"}),
        ("cancel", None, {"注文状態": "99"}),
        ("cancel", None, {"注文状態": "0"}),
    ],
)
def test_what_a_file_calls_failed_by_the_row_that_brings_it_is_heeded(
    shop: World, travel: Travel, act: str, before: dict[str, str] | None, rest: dict[str, str]
) -> None:
    open_shop()
    shop.authorize("7002", 2500)
    if before is not None:
        take_in(row(注文番号="7002", **before))
    take_in(row(注文番号="7002", 決済方法ステータス="売上失敗", **rest))
    order = looked_up("7002")
    assert order.payment_status is S.AUTHORIZED
    pay(shop, "7002-1")
    if act == "capture":
        press(order, Operation.CAPTURE)
    else:
        cancel(order)
    assert [one["status"] for one in shop.ledger()] == ["AUTH", "CAPTURE"]
    assert AlertKind.UNKNOWN_NUMBER in told(order)


def test_what_a_file_calls_failed_while_its_capture_waits_is_asked_about_first(
    shop: World, travel: Travel
) -> None:
    open_shop()
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002", 決済方法ステータス="仮売上"))
    order = looked_up("7002")
    attempt_id = acts.open_attempt(order.id, acts.CAPTURE, seen(order), TANAKA)
    take_in(row(注文番号="7002", 決済方法ステータス="売上失敗"))
    pay(shop, "7002-1")
    runner.run_operation(attempt_id)
    assert [one["status"] for one in shop.ledger()] == ["AUTH", "CAPTURE"]
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


def test_what_came_back_before_it_was_billed_is_watched_at_night(
    shop: World, travel: Travel
) -> None:
    """The cart took the month of a parcel that was out; no registration of ours asks about it."""
    open_shop()
    order = not_delivered(delivered(shop))
    pay(shop, f"{order.order_no}-1")
    nights(travel, order, (2026, 11, 13))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


def test_what_went_out_in_part_is_watched_at_night(shop: World, travel: Travel) -> None:
    """The cart charged it for the first of two parcels; ours waits until the second is out."""
    open_shop()
    halves = tuple(
        ShipTo(name=name, items=(DeliveryItem("A-1", 1),)) for name in ("宛名1", "宛名2")
    )
    placed = intake.place(subscription(shop, deliveries=halves), SHOP_FRONT)
    [order] = [order for order in orders() if order.order_no == placed.order_no]
    first = min(parcel.number for parcel in order.deliveries)
    parcels.deliver(order.id, seen(order), TANAKA, [first])
    pay(shop, f"{order.order_no}-1")
    nights(travel, order, (2026, 11, 13))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


def test_what_a_file_called_off_is_watched_at_night(shop: World, travel: Travel) -> None:
    """It went out all the same, and nothing is registered while nobody has answered the file."""
    open_shop()
    placed = intake.place(subscription(shop), SHOP_FRONT)
    [order] = [order for order in orders() if order.order_no == placed.order_no]
    ids = {"定期購入ID": order.subscription_id or "", "定期回数": str(order.subscription_round)}
    take_in(row(注文番号=order.order_no, 注文状態="0", **ids))
    order = looked_up(order.order_no)
    parcels.deliver(order.id, seen(order), TANAKA, [one.number for one in order.deliveries])
    pay(shop, f"{order.order_no}-1")
    nights(travel, order, (2026, 11, 13))
    assert set(told(order)) == {AlertKind.CANCELLED_IN_FILE, AlertKind.UNKNOWN_NUMBER}


@pytest.mark.parametrize("when", [(2026, 11, 12), (2026, 12, 15)])
@pytest.mark.parametrize("trouble", ["error:42G120000", "drop_before"])
def test_what_failed_once_is_watched_for_a_month_after_it_was_paid(
    shop: World, travel: Travel, trouble: str, when: tuple[int, int, int]
) -> None:
    """Whatever it failed of: also where a look-up showed that nothing had been carried out."""
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    shop.fault(trouble, "ExecTran")
    press(order, Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    travel(jst(*when, 13))
    press(fresh(order), Operation.CAPTURE)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    [(number, _)] = sold(shop, order)
    pay(shop, f"7001-{int(number[-1]) + 1}")
    year, month, day = when
    nights(travel, order, (year, month, day + 1), (year, month, day + 2))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.parametrize("is_after", [False, True])
def test_the_link_about_a_failed_card_is_watched_after_ours_was_paid(
    shop: World, travel: Travel, is_after: bool
) -> None:
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    shop.fault("error:42G120000", "ExecTran")
    press(order, Operation.CAPTURE)
    settle(order.id)
    access = None if is_after else shop.gateway.enter("7001-2", Job.CAPTURE, 2500)
    travel(jst(2026, 11, 12, 13))
    press(fresh(order), Operation.CAPTURE)
    settle(order.id)
    assert len(sold(shop, order)) == 1
    access = access or shop.gateway.enter("7001-3", Job.CAPTURE, 2500)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    assert len(sold(shop, order)) == 2
    nights(travel, order, (2026, 11, 13), (2026, 11, 14))
    assert fresh(order).payment_status is S.CAPTURED
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
