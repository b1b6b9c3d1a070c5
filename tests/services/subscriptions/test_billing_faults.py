"""Trouble on the day of registration: what passes by itself is put off, what was charged counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import (
    Alert,
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    DailyJob,
    Order,
    utc_now,
)
from sgpshop.services import dashboard, intake, settings, subscriptions
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import history, parcels
from sgpshop.services.orders.alerts import acknowledge, open_of, raise_cancelled_in_file
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import (
    acts,
    attempt_lookup,
    cancelling,
    runner,
    transaction_lookup,
    transaction_numbers,
)
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.reconciliation import daily, ledgers
from sgpshop.services.reconciliation.ledgers import Verdict
from sgpshop.services.subscriptions import (
    SubscriptionCriteria,
    SubscriptionTab,
    again,
    billing,
    csv_file,
    rows,
)
from sgpshop.storage import stopping
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import TANAKA, cancel, last_attempt, seen
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription
from tests.services.order_csv import number, row
from tests.services.order_files.test_order_import import take_in
from tests.services.slip_files import carry_out, slip, slip_file
from tests.services.subscribing import Travel, jst

pytestmark = pytest.mark.long

S, B = PaymentStatus, BillingState
THE_10TH = jst(2026, 12, 10, 6, 1)
THE_18TH = jst(2026, 12, 18, 6, 1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {
        "QUIET_PERIOD": 0.0,
        "CHECKOUT_WAIT": 10.0,
        "GATEWAY_TRIES": 1,
        "CONGESTION_TRIES": 1,
    }


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


def test_a_doubt_ended_by_hand_that_was_no_charge_is_tried_again(
    shop: World, travel: Travel
) -> None:
    """P15, R105: nobody refused it, so it is put off, and told so, until it goes through."""
    open_shop(billing_driver="api")
    order = delivered(shop)
    travel(THE_10TH)
    shop.fault("drop_before", "ExecTran")
    billing.resume()
    runner.run_operation(last_attempt(order).id)
    shop.wire.cut_off("SearchTrade")
    travel(jst(2026, 12, 10, 9))
    attempt_lookup.close_by_hand(last_attempt(order).id, "電話で確認", TANAKA)
    shop.wire.cut_off()
    transaction_lookup.look_soon(order.id)
    work_off(order.id)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
    assert (shown.result, shown.why[:6]) == (B.POSTPONED.label, "結果確認中の")
    assert subscriptions.failed_months() != []  # もう一度登録する can be chosen, too
    travel(jst(2026, 12, 10, 10))
    billing.resume()
    settle(order.id)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert [one["amount"] for one in shop.ledger() if one["status"] == "CAPTURE"] == [2500]


def test_a_worker_that_ends_while_it_enters_fails_nothing(
    app: Flask, shop: World, travel: Travel
) -> None:
    """R105, P33: it ended before it could see for what the number was used; nothing was refused."""
    open_shop(billing_driver="api")
    order = delivered(shop)
    travel(THE_10TH)
    billing.resume()
    shop.fault("error:E01040010", "EntryTran")
    stopping.stop_soon(app)
    runner.run_operation(last_attempt(order).id)
    stopping.stopped(app)
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    settle(order.id)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert the_billing(order).state is B.PAID
    assert [one["amount"] for one in shop.ledger() if one["status"] == "CAPTURE"] == [2500]
    assert S.CAPTURE_FAILED not in {entry.status_after for entry in history.entries(order.id)}


class TestOneLineThatNobodyCanJudge:
    """Whatever stands under one number, the results of all the others are asked for and told."""

    @pytest.mark.parametrize("there", ["reserved", "checked", "unanswered"])
    def test_holds_up_nobody(self, shop: World, travel: Travel, there: str) -> None:
        odd, other = delivered(shop), delivered(shop)
        number = f"{odd.order_no}-1"
        if there == "checked":
            shop.gateway.check_card(number, GOOD_CARD)
        else:
            shop.gateway.authorize(number, 2500, GOOD_CARD)
        if there == "unanswered":
            shop.fault("http:503", "SearchTrade", times=10_000, order_id=number)
        travel(THE_10TH)
        billing.resume()
        for moment in (jst(2026, 12, 11, 8), THE_18TH, jst(2026, 12, 19, 7)):
            travel(moment)
            billing.resume()
        line = db.session.scalars(sa.select(Billing).where(Billing.order_id == other.id)).one()
        assert line.state is B.PAID  # its result was asked for, and told
        assert fresh(odd).payment_status is S.AWAITING_BILLING
        assert fresh(odd).open_attempt is None
        lines = 2 if there == "checked" else 1  # what may be paid is held back
        [file] = [file for file in subscriptions.files() if file.lines == lines]
        assert file.words == "結果受領済"
        found = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
        assert odd.order_no in [line.order.order_no for line in found]
        assert alerts(odd) == ([AlertKind.UNKNOWN_NUMBER] if there == "reserved" else [])


def test_what_is_reserved_elsewhere_is_told_instead_of_promised(
    shop: World, travel: Travel, driver: BillingDriver
) -> None:
    """P1: it is not registered beside other money of the order, and stands in 要対応 until then."""
    open_shop(billing_driver=driver)
    shop.gateway.authorize(number(1), 2500, GOOD_CARD)
    named = {"決済方法ステータス": "決済待ち", "定期購入ID": "T-8", "定期回数": "1"}
    take_in(row(注文番号=number(1), 配送ステータス="配送完了", **named))
    [order] = orders()
    work_off(order.id)
    for moment in (THE_10TH, THE_18TH):
        travel(moment)
        billing.resume()
    [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
    assert shown.registers_at is None
    assert "ほかの番号に残っています" in shown.why
    assert subscriptions.outlook(10).next == Total(0, 0)


def test_what_the_shop_front_cancelled_waits_for_a_person(
    shop: World, travel: Travel, driver: BillingDriver
) -> None:
    """Shipped, then 注文キャンセル in a file: charged once somebody says that the sale stands."""
    open_shop(billing_driver=driver)
    placed = intake.place(subscription(shop, subscription_id="T-8"), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    take_in(row(注文番号=placed.order_no, 注文状態="0"))
    travel(THE_10TH)
    billing.resume()
    [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
    assert shown.registers_at is None
    assert "確認されていない通知" in shown.why
    assert fresh(order).payment_status is S.AWAITING_BILLING
    [alert] = open_of(order.id)
    acknowledge(order.order_no, alert.id, TANAKA, "購入者は受け取るとのこと")
    billing.report(date(2026, 11, 1))
    work_off(order.id)
    assert fresh(order).payment_status is S.BILLING_REPORTED


@pytest.mark.postgresql
def test_questioned_on_the_day_of_registration_it_goes_on_once_that_is_answered(
    shop: World, travel: Travel
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    with writing() as session:
        raise_cancelled_in_file(session, session.get_one(Order, order.id))
    travel(THE_10TH)
    go_on(order)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    [alert] = open_of(order.id)
    db.session.rollback()
    travel(jst(2026, 12, 11, 9))
    go_on(order)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    assert not billing.is_due()
    acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売する")
    assert billing.is_due()
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert the_billing(order).state is B.PAID


@pytest.mark.postgresql
def test_what_was_held_up_goes_on_beside_all_that_were_registered(
    shop: World, travel: Travel
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order, other = delivered(shop), delivered(shop)
    with writing() as session:
        raise_cancelled_in_file(session, session.get_one(Order, order.id))
    travel(THE_10TH)
    go_on(order, other)
    assert fresh(other).payment_status is S.BILLING_REPORTED
    [alert] = open_of(order.id)
    acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売する")
    assert billing.is_due()
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED


class TestNotFreeWhenItWasRegistered:
    """At 06:00 of the 10th something held it up; once that is over, its sale is made, not a month later."""

    @pytest.fixture
    def order(self, shop: World, travel: Travel) -> Order:
        open_shop(billing_driver=BillingDriver.API.value)
        return delivered(shop)

    @pytest.mark.postgresql
    def test_a_return_was_decided_about_later(self, order: Order, travel: Travel) -> None:
        travel(jst(2026, 12, 8, 12))
        back = parcels.ParcelReturn([0], date(2026, 12, 8), "長期不在")
        parcels.take_back(order.id, seen(order), TANAKA, back)
        travel(THE_10TH)
        go_on(order)
        assert not billing.is_due()
        travel(jst(2026, 12, 11, 12))
        parcels.waive_cancel(order.id, seen(order), TANAKA, "代金はいただく")
        assert billing.is_due()
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert not billing.is_due()

    def test_a_cancel_was_under_way_that_was_not_done(
        self, order: Order, shop: World, travel: Travel
    ) -> None:
        not_delivered(order)
        travel(jst(2026, 12, 10, 5, 59))
        shop.fault("http:503", "SearchTrade", times=1000)
        wish = cancelling.operation_request(
            order.order_no, restock=False, return_points=False, refund_confirmed=True
        )
        acts.open_attempt(order.id, wish, seen(order), TANAKA)
        with writing() as session:  # as a carrier's file said in November
            [parcel] = session.get_one(Order, order.id).deliveries
            parcel.status, parcel.delivered_at = DeliveryStatus.DELIVERED, jst(2026, 11, 20)
            held_up = session.get_one(Order, order.id)
            held_up.processing_class = ProcessingClass.DELIVERED
            history.record_change(held_up, "slips_registered", TANAKA, before=S.AWAITING_BILLING)
        travel(THE_10TH)
        billing.resume()
        settle(order.id)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        shop.behave()
        travel(jst(2026, 12, 10, 6, 30))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED

    def test_it_was_uncertain_and_a_look_up_ended_that(self, order: Order, travel: Travel) -> None:
        with writing() as session:
            session.get_one(Order, order.id).payment_status = S.NEEDS_REVIEW
        travel(THE_10TH)
        billing.resume()
        transaction_lookup.look_soon(order.id)
        work_off(order.id)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED

    def test_what_was_said_to_have_left_only_later_waits_for_the_next(
        self, order: Order, app: Flask, travel: Travel
    ) -> None:
        """R102: a carrier's file of the 14th tells of 28 November; the screen says 10 January."""
        not_delivered(order)
        travel(THE_10TH)
        go_on(order)
        travel(jst(2026, 12, 14, 12))
        carry_out(app, slip_file(slip(order, 出荷日="2026/11/28")))
        [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.DELIVERED)).rows
        assert shown.registers_at == jst(2027, 1, 10, 6)
        assert not billing.is_due()
        go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        travel(jst(2027, 1, 10, 6, 1))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED

    def test_one_that_has_no_number_left_is_not_tried_for_ever(
        self, order: Order, travel: Travel
    ) -> None:
        with writing() as session:
            raise_cancelled_in_file(session, session.get_one(Order, order.id))
        travel(THE_10TH)
        go_on(order)
        with writing() as session:
            transaction_numbers.keep_strange(
                session, session.get_one(Order, order.id), 99, f"{order.order_no}-99"
            )
        [alert] = open_of(order.id)
        acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売する")
        go_on(order)
        assert not billing.is_due()

    def test_by_file_after_the_window_it_is_listed_until_the_next(
        self, order: Order, travel: Travel
    ) -> None:
        settings.save("test", billing_driver=BillingDriver.FILE.value)
        with writing() as session:
            raise_cancelled_in_file(session, session.get_one(Order, order.id))
        travel(THE_10TH)
        go_on(order)
        [alert] = open_of(order.id)
        travel(jst(2026, 12, 15, 9))
        acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売する")
        go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
        assert "確認待ちだった間に、その月の登録が終わりました" in shown.why
        assert shown.registers_at == jst(2027, 1, 10, 6)
        assert subscriptions.outlook(10).attention == Total(1, order.total)
        travel(jst(2027, 1, 10, 6, 1))
        go_on()
        assert subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows == []

    def test_months_before_the_first_registration_from_here_stay_somebody_else_s(
        self, order: Order, travel: Travel
    ) -> None:
        """Installed on 15 December: what left in November was registered from elsewhere."""
        with writing() as session:
            session.execute(sa.delete(DailyJob))
        travel(jst(2026, 12, 15, 12))
        for _ in range(2):
            go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert not billing.is_due()


def test_put_off_and_then_questioned_it_goes_on_once_that_is_answered(
    shop: World, travel: Travel, driver: BillingDriver
) -> None:
    open_shop(billing_driver=driver.value)
    order = delivered(shop, subscription_id="T-8")
    shop.fault("error:E01030002", "Batch" if driver is BillingDriver.FILE else "EntryTran")
    travel(THE_10TH)
    go_on(order)
    assert the_billing(order).state is B.POSTPONED
    take_in(row(注文番号=order.order_no, 注文状態="0"))
    for hour in (7, 8):
        travel(jst(2026, 12, 10, hour))
        go_on(order)
    assert the_billing(order).state is B.POSTPONED
    [alert] = open_of(order.id)
    acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売する")
    travel(jst(2026, 12, 10, 9))
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


@pytest.mark.postgresql
def test_put_off_and_then_delivered_anew_it_is_registered_with_its_new_month(
    shop: World, travel: Travel
) -> None:
    """And held up on that day it goes on once that is over, whatever was put off a month before."""
    open_shop(billing_driver=BillingDriver.API.value)
    order, other = delivered(shop), delivered(shop)
    shop.fault("error:E01030002", "EntryTran", times=2)
    travel(THE_10TH)
    go_on(order, other)
    travel(jst(2026, 12, 10, 6, 5))
    for one in (order, other):
        not_delivered(one)
    travel(jst(2026, 12, 13, 12))
    for one in (order, other):
        parcels.deliver(one.id, seen(one), TANAKA, [0])
    go_on(order, other)
    assert subscriptions.failed_months() == []  # もう一度登録する would do nothing
    assert subscriptions.outlook(10).put_off == Total(0, 0)
    with writing() as session:
        raise_cancelled_in_file(session, session.get_one(Order, order.id))
    travel(jst(2027, 1, 10, 6, 1))
    go_on(order, other)
    assert fresh(other).payment_status is S.BILLING_REPORTED
    assert fresh(order).payment_status is S.AWAITING_BILLING
    travel(jst(2027, 1, 11, 9))
    [alert] = open_of(order.id)
    acknowledge(order.order_no, alert.id, TANAKA, "そのまま販売する")
    assert billing.is_due()
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert not billing.is_due()
    assert len([one for one in shop.ledger() if one["status"] == "CAPTURE"]) == 2


def why(order: Order) -> str:
    """What 「定期購入」 says of its registration."""
    wanted = SubscriptionCriteria(tab=SubscriptionTab.ALL, order_no=order.order_no)
    [shown] = subscriptions.search(wanted).rows
    return shown.why


def test_what_was_put_off_and_left_anew_can_be_registered_by_a_person(
    shop: World, travel: Travel
) -> None:
    """もう一度登録する, after a month whose registration is over: of the delivery it has now."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    shop.fault("error:E01030002", "EntryTran", times=1_000)
    travel(THE_10TH)
    go_on(order)
    assert why(order)
    not_delivered(order)
    travel(jst(2026, 12, 13, 12))
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    assert why(order) == ""  # it waits for its own registration, like any other
    travel(jst(2027, 1, 10, 6, 1))
    go_on(order)
    assert why(order)
    shop.behave()
    assert again.take_again([order.order_no], "a token of a form", TANAKA)
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert not billing.is_due()


@pytest.mark.postgresql
def test_put_off_and_then_returned_it_goes_on_once_it_is_decided(
    shop: World, travel: Travel
) -> None:
    """返金しない on the 14th: the site password that was wrong on the 10th was mended long ago."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    shop.fault("error:E01030002", "EntryTran", times=1_000)
    travel(THE_10TH)
    go_on(order)
    assert the_billing(order).state is B.POSTPONED
    travel(jst(2026, 12, 11, 12))
    back = parcels.ParcelReturn([0], date(2026, 12, 11))
    parcels.take_back(order.id, seen(fresh(order)), TANAKA, back)
    shop.behave()
    for day in (11, 12):
        travel(jst(2026, 12, day, 13))
        go_on(order)
    assert shop.ledger()[-1]["status"] != "CAPTURE"
    travel(jst(2026, 12, 14, 12))
    parcels.waive_cancel(order.id, seen(fresh(order)), TANAKA, "代金はいただく")
    travel(jst(2026, 12, 14, 13))
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


def test_switched_off_everything_delivered_is_still_registered(
    shop: World, travel: Travel, driver: BillingDriver
) -> None:
    """R87: 定期購入 利用しない refuses new orders; what was sold is charged, and shown until then."""
    open_shop(billing_driver=driver)
    order = delivered(shop)
    open_shop(billing_driver=driver, subscription_enabled=False)
    with pytest.raises(ShopError, match="受け付けていません"):
        delivered(shop)
    assert dashboard.figures(settings.load()).subscriptions is not None
    travel(THE_10TH)
    assert billing.is_due()  # by itself
    for day in (THE_10TH, THE_18TH):
        travel(day)
        billing.resume()
        settle(order.id)
    assert [one["amount"] for one in shop.ledger() if one["status"] == "CAPTURE"] == [2500]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert dashboard.figures(settings.load()).subscriptions is None


@pytest.fixture(params=list(BillingDriver))
def driver(request: pytest.FixtureRequest) -> BillingDriver:
    return BillingDriver(request.param)


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


def not_delivered(order: Order) -> Order:
    """配送完了 taken back, so that the order can be cancelled (R94)."""
    parcels.change_statuses(order.id, seen(order), TANAKA, {0: DeliveryStatus.UNPROCESSED})
    return fresh(order)


def go_on(*orders: Order) -> None:
    """What the worker does at this moment, which asks first whether anything is due."""
    if billing.is_due():
        billing.resume()
    for order in orders:
        settle(order.id)


def the_billing(order: Order) -> Billing:
    db.session.rollback()
    wanted = sa.select(Billing).where(Billing.order_id == order.id)
    return db.session.scalars(wanted.execution_options(populate_existing=True)).one()


def alerts(order: Order) -> list[AlertKind]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Alert.kind).where(Alert.order_id == order.id)))


def explained() -> list[str]:
    return [problem.what for problem in Verification().problems()]


class TestWhatPasses:
    @pytest.mark.postgresql
    @pytest.mark.parametrize("trouble", ["unreachable", "E92000001", "E01030002"])
    def test_stays_awaiting_and_is_registered_within_the_month(
        self, shop: World, travel: Travel, driver: BillingDriver, trouble: str
    ) -> None:
        open_shop(billing_driver=driver.value)
        order = delivered(shop)
        call = "Batch" if driver is BillingDriver.FILE else "EntryTran"
        if trouble == "unreachable":
            shop.wire.cut_off("_batch" if driver is BillingDriver.FILE else "EntryTran")
        else:
            shop.fault(f"error:{trouble}", call)
        travel(THE_10TH)
        go_on(*([] if driver is BillingDriver.FILE else [order]))
        assert fresh(order).payment_status is S.AWAITING_BILLING
        shop.wire.cut_off()
        for hour in (7, 8, 10):
            travel(jst(2026, 12, 10, hour))
            go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert explained() == []

    def test_a_refused_password_while_keeping_the_card_is_told_and_tried_again(
        self, shop: World, travel: Travel, driver: BillingDriver
    ) -> None:
        open_shop(billing_driver=driver.value)
        shop.fault("error:E01210002", "SaveMember", times=2)
        order = delivered(shop)
        travel(THE_10TH)
        go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert the_billing(order).state is B.POSTPONED
        content = error_content(last_attempt(order))
        assert content is not None
        assert content.codes == ("E01210002",)
        travel(jst(2026, 12, 10, 7))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert explained() == []

    def test_what_the_card_company_refused_is_a_failure(self, shop: World, travel: Travel) -> None:
        open_shop(billing_driver=BillingDriver.API.value)
        order = delivered(shop)
        shop.fault("error:42G550000", "ExecTran")
        travel(THE_10TH)
        go_on(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        travel(jst(2026, 12, 20))
        go_on(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED

    def test_a_kept_card_that_is_gone_is_a_failure(self, shop: World, travel: Travel) -> None:
        order = delivered(shop)
        with writing() as session:
            session.execute(sa.update(CardTransaction).values(card_seq=9))
        travel(THE_10TH)
        go_on(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        assert last_attempt(order).reason == "card_gone"

    def test_a_fault_that_ends_in_the_evening_does_not_cost_the_month(
        self, shop: World, travel: Travel
    ) -> None:
        """The site password is refused from 06:00 on, and mended after 21:01: three hours are left."""
        open_shop(billing_driver=BillingDriver.FILE.value)
        order = delivered(shop)
        shop.fault("error:E01030002", "SearchCard", times=1000)
        for hour in range(6, 22):
            travel(jst(2026, 12, 10, hour, 1))
            billing.resume()
        assert the_billing(order).state is B.POSTPONED
        shop.behave()
        for hour in (22, 23):
            for minute in (0, 30, 55):
                travel(jst(2026, 12, 10, hour, minute))
                go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert the_billing(order).gateway_order_id == f"{order.order_no}-1"  # none was used up
        assert explained() == []

    def test_after_the_window_it_waits_for_the_next_registration(
        self, shop: World, travel: Travel
    ) -> None:
        order = delivered(shop)
        shop.fault("error:E01030002", "Batch")
        travel(jst(2026, 12, 10, 23, 55))
        go_on(order)
        for day in (11, 12):
            travel(jst(2026, 12, day, 7))
            go_on(order)
        assert the_billing(order).state is B.POSTPONED
        assert db.session.scalar(sa.select(sa.func.count()).select_from(BillingFile)) == 1
        travel(jst(2027, 1, 10, 7))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED


class TestACardNotKnownYet:
    CELLS = {"定期購入ID": "T-7", "定期回数": "1", "決済方法ステータス": "決済待ち"}

    def from_file(self) -> Order:
        take_in(row(**self.CELLS))
        [order] = orders()
        return order

    def test_an_order_from_a_file_is_billed(
        self, shop: World, travel: Travel, driver: BillingDriver
    ) -> None:
        open_shop(billing_driver=driver.value)
        shop.gateway.check_card(number(1).replace(number(1), row()["注文番号"]), GOOD_CARD)
        order = self.from_file()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        assert fresh(order).transaction is not None
        transaction_lookup.look_up(fresh(order).transaction.id)  # type: ignore[union-attr]
        assert fresh(order).payment_status is S.AWAITING_BILLING
        travel(THE_10TH)
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert explained() == []

    def test_no_card_yet_leaves_it_awaiting_and_it_is_asked_for_again(
        self, shop: World, travel: Travel, driver: BillingDriver
    ) -> None:
        open_shop(billing_driver=driver.value)
        order = self.from_file()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        travel(THE_10TH)
        go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert the_billing(order).state is B.POSTPONED
        shop.gateway.check_card(order.order_no, GOOD_CARD)
        travel(jst(2026, 12, 10, 7))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert explained() == []


def test_what_a_file_that_our_books_forgot_may_charge_is_not_cancelled(
    shop: World, travel: Travel
) -> None:  # E01410010 after a backup was restored (P36)
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    shop.fault("error:E01410010", "ExecTran")
    travel(THE_10TH)
    go_on(order)
    order = cancel(not_delivered(order))
    assert order.payment_status is S.AWAITING_BILLING
    assert last_attempt(order).reason == "in_file"
    travel(jst(2026, 12, 25))  # its results have had their time, but SMBC-GP has none
    go_on(order)
    assert cancel(order).payment_status is S.AWAITING_BILLING
    assert last_attempt(order).reason == "in_file"
    billing.give_up(date(2026, 12, 1))  # close-results: no more come, and it is unpaid
    assert cancel(order).payment_status is S.CANCELLED


class TestChargedAlthoughWeTookItForNotRegistered:
    @pytest.fixture
    def order(self, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch) -> Order:
        """The file got there, its answer was lost, and a look-up did not show it yet."""
        order = delivered(shop)
        shop.fault("drop_after", "Batch")
        travel(THE_10TH)
        billing.resume()
        travel(jst(2026, 12, 10, 7))
        with monkeypatch.context() as patched:  # asked for before it is sent again
            patched.setattr(shop.gateway, "search_trade", lambda _number: None)
            billing.resume()
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert the_billing(order).state is B.POSTPONED
        return fresh(order)

    def test_the_result_counts(self, order: Order, travel: Travel) -> None:
        with writing() as session:  # nothing was tried again meanwhile
            session.execute(sa.update(Billing).values(retry_at=None))
        travel(THE_18TH)
        go_on(order)
        assert the_billing(order).state is B.PAID
        order = fresh(order)
        assert order.payment_status is S.BILLING_REPORTED
        assert order.transaction is not None
        assert order.transaction.captured_amount == 2500
        assert explained() == []

    def test_registered_again_the_line_is_found_there(
        self, order: Order, shop: World, travel: Travel
    ) -> None:  # E01040010
        travel(jst(2026, 12, 10, 9))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert the_billing(order).gateway_order_id == f"{order.order_no}-1"
        travel(THE_18TH)
        go_on(order)
        assert the_billing(order).state is B.PAID
        assert shop.trade(f"{order.order_no}-1")["status"] == "CAPTURE"

    def test_it_is_not_cancelled_while_it_waits_to_be_charged(self, order: Order) -> None:
        order = cancel(not_delivered(order))
        assert order.payment_status is S.AWAITING_BILLING
        assert last_attempt(order).reason == "in_file"

    def test_charged_it_is_not_cancelled_but_found(self, order: Order, travel: Travel) -> None:
        with writing() as session:
            session.execute(sa.update(Billing).values(retry_at=None))
        travel(THE_18TH)
        order = cancel(not_delivered(order))
        assert order.payment_status is S.BILLING_REPORTED
        assert the_billing(order).state is B.PAID
        assert explained() == []

    def test_by_api_next_month_it_is_found_too(
        self, order: Order, shop: World, travel: Travel
    ) -> None:
        with writing() as session:
            session.execute(sa.update(Billing).values(retry_at=None))
            session.execute(sa.update(BillingFile).values(results_due_at=None))
        open_shop(billing_driver=BillingDriver.API.value)
        travel(jst(2027, 1, 10, 7))
        go_on(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert the_billing(order).state is B.PAID
        ledger = shop.simulator.test_client().get("/_control/ledger").get_json()
        charged = [t["order_id"] for t in ledger if t["status"] == "CAPTURE"]
        assert charged == [f"{order.order_no}-1"]


def told(order: Order) -> list[AlertKind]:
    """What is still to be acknowledged."""
    db.session.rollback()
    return [alert.kind for alert in open_of(order.id)]


def compared(order: Order) -> None:
    """照合 of the order as it is now."""
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_soon(order.id)
    transaction_lookup.look_up(transaction.id)


def at_fault(shop: World, *statements: str) -> None:
    """What SMBC-GP made of a line, and of the file it is in."""
    with shop.simulator.extensions["endpoint"].context.ledger.transaction() as ledger:
        for statement in statements:
            ledger.execute(statement)


class TestResults:
    @pytest.fixture
    def order(self, shop: World, travel: Travel) -> Order:
        order = delivered(shop)
        travel(THE_10TH)
        billing.resume()
        return fresh(order)

    def test_a_line_that_is_missing_is_told_unless_it_was_charged(
        self, order: Order, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shop.gateway, "fetch_monthly_result", lambda _month: [])
        shop.simulator.test_client().post("/_control/batch", json={"result_day": 28})
        travel(THE_18TH)
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert alerts(order) == [AlertKind.RESULT_MISSING]
        travel(jst(2026, 12, 29, 7))
        billing.resume()  # the gateway shows it by now
        assert the_billing(order).state is B.PAID
        assert told(order) == []

    def a_missing_line(self, order: Order, shop: World, travel: Travel) -> None:
        """The result of the 18th lacks the order's; SMBC-GP charges it some days later."""
        at_fault(
            shop, f"UPDATE monthly_lines SET refused = 'lost' WHERE order_id = '{order.order_no}-1'"
        )
        travel(THE_18TH)
        go_on(order)
        assert told(order) == [AlertKind.RESULT_MISSING]
        at_fault(
            shop,
            f"UPDATE monthly_lines SET refused = '' WHERE order_id = '{order.order_no}-1'",
            "UPDATE monthly_files SET is_settled = 0",
        )

    @pytest.mark.postgresql
    def test_a_line_that_comes_later_ends_what_was_told(
        self, order: Order, shop: World, travel: Travel
    ) -> None:
        self.a_missing_line(order, shop, travel)
        travel(jst(2026, 12, 19, 9))
        go_on(order)
        assert the_billing(order).state is B.PAID
        assert told(order) == []

    @pytest.mark.postgresql
    @pytest.mark.parametrize("seen_by", ["result", "look-up"])
    def test_one_charged_after_somebody_took_note_is_told(
        self, order: Order, shop: World, travel: Travel, seen_by: str
    ) -> None:
        self.a_missing_line(order, shop, travel)
        [alert] = open_of(order.id)
        db.session.rollback()
        acknowledge(order.order_no, alert.id, TANAKA, "銀行振込で受け取った")
        travel(jst(2026, 12, 22, 9))
        if seen_by == "look-up":
            shop.ledger()  # charged, and no result asked for yet
            compared(order)
        go_on(order)
        assert the_billing(order).state is B.PAID
        assert told(order) == [AlertKind.CHARGED_AFTER_ALL]
        travel(jst(2026, 12, 23, 9))
        compared(order)
        assert told(order) == [AlertKind.CHARGED_AFTER_ALL]

    def test_what_was_refused_and_charged_all_the_same_is_told(
        self, order: Order, shop: World, travel: Travel
    ) -> None:
        """By R105 the shop collects it in another way."""
        where = f"WHERE order_id = '{order.order_no}-1'"
        at_fault(shop, f"UPDATE monthly_lines SET card_seq = '9' {where}")
        travel(THE_18TH)
        go_on(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        assert told(order) == []
        at_fault(
            shop,
            f"UPDATE monthly_lines SET card_seq = '0' {where}",
            "UPDATE monthly_files SET is_settled = 0",
        )
        travel(jst(2026, 12, 22, 9))
        shop.ledger()
        compared(order)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert told(order) == [AlertKind.CHARGED_AFTER_ALL]

    def test_a_line_with_another_amount_counts_and_is_told(
        self, order: Order, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        travel(THE_18TH)
        lines = shop.gateway.fetch_monthly_result("202612")
        assert lines is not None
        other = [replace(line, line=replace(line.line, amount=9500)) for line in lines]
        monkeypatch.setattr(shop.gateway, "fetch_monthly_result", lambda _month: other)
        billing.resume()
        assert the_billing(order).state is B.PAID
        assert alerts(order) == [AlertKind.AMOUNT_DIFFERS]
        order = fresh(order)
        assert order.transaction is not None
        assert order.transaction.captured_amount == 9500

    def test_not_charged_after_the_day_of_results_does_not_agree(
        self, order: Order, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # P4
        [before] = ledgers.compare()
        assert before.verdict is Verdict.AGREES
        shop.simulator.test_client().post("/_control/batch", json={"result_day": 28})
        monkeypatch.setattr(shop.gateway, "fetch_monthly_result", lambda _month: None)
        travel(jst(2026, 12, 19, 7))
        billing.resume()
        [after] = ledgers.compare()
        assert after.verdict is Verdict.DIFFERENCE
        assert "請求されていません" in after.why

    def test_a_charge_voided_in_the_console_is_found_at_night(
        self, order: Order, shop: World, travel: Travel, app: Flask
    ) -> None:  # P26
        travel(THE_18TH)
        billing.resume()
        transaction = fresh(order).transaction
        assert transaction is not None
        app.config["NIGHTLY_COMPARE_HOUR"] = 3
        for hour in (3, 4):
            travel(jst(2026, 12, 19, hour, 1))
            daily.run()
        db.session.rollback()
        assert fresh(order).transaction.next_look_at is not None  # type: ignore[union-attr]

    def test_a_look_up_that_shows_the_charge_is_a_result(
        self, order: Order, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shop.gateway, "fetch_monthly_result", lambda _month: None)
        travel(datetime(2026, 12, 21, tzinfo=THE_18TH.tzinfo))
        billing.resume()
        assert the_billing(order).state is B.REGISTERED
        transaction = fresh(order).transaction
        assert transaction is not None
        with writing() as session:
            transaction_lookup.make_due(session, CardTransaction.id == transaction.id)
        transaction_lookup.look_up(transaction.id)
        assert the_billing(order).state is B.PAID


def test_an_earlier_month_is_the_one_it_counts_for(shop: World, travel: Travel) -> None:
    order = delivered(shop)
    shop.fault("error:E01030002", "Batch")
    travel(THE_10TH)
    go_on()
    travel(jst(2026, 12, 10, 7))
    go_on(order)
    assert the_billing(order).month == date(2026, 11, 1)


def test_the_tabs_of_subscriptions_say_what_was_taken(shop: World, travel: Travel) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(THE_10TH)
    go_on(order)
    trade = shop.gateway.search_trade(f"{order.order_no}-1")
    assert trade is not None
    shop.gateway.change_amount(trade.access, 2000, job=Job.CAPTURE)  # in the console
    order = fresh(order)
    assert order.transaction is not None
    transaction_lookup.look_soon(order.id)
    transaction_lookup.look_up(order.transaction.id)
    assert (fresh(order).total, fresh(order).payment_status) == (2500, S.BILLING_REPORTED)
    assert subscriptions.tab_totals(SubscriptionCriteria(), subscriptions.outlook(10))[
        SubscriptionTab.REPORTED
    ] == Total(1, 2000)
    assert [row.yen for row in rows.load([order.id], utc_now(), 10)] == [2000]
    reported = SubscriptionCriteria(tab=SubscriptionTab.REPORTED)
    assert ",2000,売上報告済," in b"".join(csv_file.as_csv(reported)).decode()
    with writing() as session:
        session.execute(sa.update(Order).values(processing_class=ProcessingClass.RETURNED))
    totals = subscriptions.tab_totals(SubscriptionCriteria(), subscriptions.outlook(10))
    assert totals[SubscriptionTab.ATTENTION] == totals[SubscriptionTab.ALL] == Total(1, 2000)
    coming = subscriptions.outlook(10)
    assert coming.to_refund == coming.attention == Total(1, 2000)
    assert coming.undelivered == Total()
    for order_no, found in ((order.order_no, 1), ("another", 0)):
        searched = subscriptions.tab_totals(SubscriptionCriteria(order_no=order_no), coming)
        assert searched[SubscriptionTab.ATTENTION].count == found
