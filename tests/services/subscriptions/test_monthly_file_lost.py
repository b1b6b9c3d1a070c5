"""A monthly file of which nobody knows whether SMBC-GP has it: charged once, told, never forgotten."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import GatewayUnreachable
from sgpshop.models import (
    Billing,
    BillingFile,
    BillingState,
    Delivery,
    FileState,
    MonthlyResults,
    Operation,
    Order,
    Role,
)
from sgpshop.services import intake, subscriptions
from sgpshop.services.orders import acting
from sgpshop.services.payments import stored_cards, transaction_numbers
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import SubscriptionCriteria, SubscriptionTab, billing
from sgpshop.services.subscriptions.billing import files, preparing
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.gateway_world import Killed, World
from tests.services.acting import cancel, last_attempt
from tests.services.arriving import SHOP_FRONT, open_shop, subscription
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import (
    THE_10TH,
    THE_18TH,
    alerts,
    delivered,
    explained,
    go_on,
    not_delivered,
    the_billing,
)
from tests.signing_in import signed_in

pytestmark = pytest.mark.long

S, B = PaymentStatus, BillingState


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1, "CONGESTION_TRIES": 1}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _open(shop: World, travel: Travel) -> None:
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's


def charged(shop: World) -> list[str]:
    return [one["order_id"] for one in shop.ledger() if one["status"] == "CAPTURE"]


def the_file() -> BillingFile:
    db.session.rollback()
    return db.session.scalars(sa.select(BillingFile).order_by(BillingFile.id.desc()).limit(1)).one()


def killed_while_sending(shop: World, travel: Travel) -> None:
    """The file got to SMBC-GP, and our process died before it had the answer."""
    shop.wire.die_at("_batch")
    travel(THE_10TH)
    with contextlib.suppress(Killed):
        billing.resume()


class TestKilledWhileSending:
    @pytest.mark.postgresql
    def test_a_refusal_of_the_same_file_says_nothing_about_the_first(
        self, shop: World, travel: Travel
    ) -> None:
        order = delivered(shop)
        killed_while_sending(shop, travel)
        shop.fault("error:E01030002", "Batch")  # the password was renewed meanwhile
        travel(jst(2026, 12, 10, 7))
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert the_billing(order).state is B.REGISTERED
        travel(THE_18TH)
        billing.resume()
        assert the_billing(order).state is B.PAID
        assert charged(shop) == [f"{order.order_no}-1"]
        assert explained() == []

    def test_it_is_in_doubt_from_the_moment_it_is_sent(self, shop: World, travel: Travel) -> None:
        delivered(shop)
        killed_while_sending(shop, travel)
        assert the_file().state is FileState.PREPARED
        assert the_file().is_doubtful

    @pytest.mark.parametrize("trouble", ["unreachable", "E92000001"])
    def test_what_provably_did_not_get_there_leaves_no_doubt(
        self, shop: World, travel: Travel, trouble: str
    ) -> None:
        order = delivered(shop)
        if trouble == "unreachable":
            shop.wire.cut_off("_batch")
        else:
            shop.fault(f"error:{trouble}", "Batch")
        travel(THE_10TH)
        billing.resume()
        assert not the_file().is_doubtful
        shop.wire.cut_off()
        for minute in (0, 5):  # an hour old it is given up, and its line asked about again
            travel(jst(2026, 12, 10, 7, minute))
            billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        travel(THE_18TH)
        billing.resume()
        assert charged(shop) == [f"{order.order_no}-1"]

    def test_a_try_that_did_not_get_there_does_not_end_an_earlier_doubt(
        self, shop: World, travel: Travel
    ) -> None:
        order = delivered(shop)
        killed_while_sending(shop, travel)
        shop.wire.cut_off("_batch")
        travel(jst(2026, 12, 10, 7))
        billing.resume()
        assert the_file().is_doubtful
        shop.wire.cut_off()
        travel(jst(2026, 12, 10, 9))
        billing.resume()
        assert fresh(order).payment_status is S.BILLING_REPORTED

    def test_results_are_asked_for_of_every_file_that_may_have_got_there(
        self, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = delivered(shop)
        killed_while_sending(shop, travel)
        travel(jst(2026, 12, 10, 23, 58))
        with monkeypatch.context() as patched:  # a look-up does not show the line yet
            patched.setattr(shop.gateway, "search_trade", lambda _number: None)
            billing.resume()
        assert the_billing(order).state is B.POSTPONED
        assert the_file().results_due_at is not None
        travel(THE_18TH)
        billing.resume()
        assert the_billing(order).state is B.PAID
        assert fresh(order).payment_status is S.BILLING_REPORTED


def test_a_line_in_doubt_that_nobody_answers_for_has_an_end_and_is_told(
    shop: World, travel: Travel
) -> None:
    """R105: its file is through, its results are asked for, and the order stands in 要対応."""
    order = delivered(shop)
    killed_while_sending(shop, travel)
    shop.fault("error:E01030002", "Batch")
    shop.fault("http:503", "SearchTrade", times=10_000)
    for moment in (jst(2026, 12, 10, 7), jst(2026, 12, 11, 6), jst(2026, 12, 11, 9)):
        travel(moment)
        billing.resume()
    assert the_billing(order).state is B.POSTPONED
    assert the_file().state is FileState.CLOSED
    [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
    assert "届いたかどうかを確認できませんでした" in shown.why
    shop.behave()
    travel(THE_18TH)
    billing.resume()
    assert the_billing(order).state is B.PAID  # it was there all the time
    assert charged(shop) == [f"{order.order_no}-1"]
    assert explained() == []


class TestInAFileThatWasTakenForRefused:
    """The line is there, but no look-up showed it yet: the order stayed 決済待ち."""

    @pytest.fixture
    def order(self, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch) -> Order:
        order = delivered(shop)
        shop.fault("drop_after", "Batch")
        travel(THE_10TH)
        billing.resume()
        travel(jst(2026, 12, 10, 7))
        with monkeypatch.context() as patched:  # asked for before it is sent again
            patched.setattr(shop.gateway, "search_trade", lambda _number: None)
            billing.resume()
        assert the_billing(order).state is B.POSTPONED
        return fresh(order)

    def test_the_list_of_files_says_why_it_waits_and_until_when(
        self, order: Order, travel: Travel
    ) -> None:
        [file] = subscriptions.files()
        assert "先に送った分が届いていれば、結果の日に請求されます" in file.why
        assert file.headline == "SMBC-GPに届いたかどうかを確認できませんでした"
        assert "12月20日まで" in file.why
        order = cancel(not_delivered(order))
        assert last_attempt(order).reason == "in_file"
        travel(jst(2026, 12, 20, 7))  # two days after its results, which were not asked for yet
        [file] = subscriptions.files()
        assert "結果が届かなければ、届くまで" in file.why
        billing.resume()
        [file] = subscriptions.files()
        assert "結果の日" not in file.why

    def test_no_page_calls_it_uncharged(self, app: Flask, order: Order) -> None:
        with app.app_context():  # who is signed in belongs to the context
            reader = signed_in(app, Role.VIEWER)
            page, first = reader.get("/subscriptions").text, reader.get("/").text
        assert order.order_no in page
        assert "結果の日まで、別の方法で請求しないでください" in page
        assert "請求されていません)" not in page
        assert "受け付けられませんでした" not in page + first

    @pytest.mark.parametrize("is_shown", [True, False])
    def test_by_api_it_is_found_in_the_file_and_charged_once(
        self,
        order: Order,
        shop: World,
        travel: Travel,
        monkeypatch: pytest.MonkeyPatch,
        is_shown: bool,
    ) -> None:
        open_shop(billing_driver=BillingDriver.API.value)
        travel(jst(2026, 12, 10, 9))
        with monkeypatch.context() as patched:
            if not is_shown:
                patched.setattr(shop.gateway, "search_trade", lambda _number: None)
            go_on(order)
            assert fresh(order).payment_status is not S.CAPTURE_FAILED
        travel(jst(2026, 12, 10, 12))
        go_on(order)
        assert the_billing(order).state is B.REGISTERED
        travel(THE_18TH)
        go_on(order)
        assert the_billing(order).state is B.PAID
        assert charged(shop) == [f"{order.order_no}-1"]
        assert explained() == []

    @pytest.mark.postgresql
    def test_a_card_that_is_gone_meanwhile_is_no_failure(
        self, order: Order, shop: World, travel: Travel
    ) -> None:
        shop.fault("error:E01240002", "SearchCard")
        travel(jst(2026, 12, 10, 9))
        go_on(order)
        assert fresh(order).payment_status is S.AWAITING_BILLING
        travel(THE_18TH)
        go_on(order)
        assert charged(shop) == [f"{order.order_no}-1"]
        assert the_billing(order).state is B.PAID

    def test_nobody_pays_again_while_it_may_be_charged(self, order: Order) -> None:
        with writing() as session:
            locked = acting.lock_order(session, order.id)
            with pytest.raises(NotPossible, match=Refusal.IN_FILE.sentence):
                transaction_numbers.transaction_for(locked, Operation.REPAY)

    @pytest.mark.parametrize("is_shown", [True, False])
    def test_put_off_once_more_it_is_still_not_cancelled(
        self,
        order: Order,
        shop: World,
        travel: Travel,
        monkeypatch: pytest.MonkeyPatch,
        is_shown: bool,
    ) -> None:
        shop.fault("error:E01210002", "SearchCard")
        travel(jst(2026, 12, 10, 9))
        go_on(order)
        if not is_shown:
            monkeypatch.setattr(shop.gateway, "search_trade", lambda _number: None)
        order = cancel(not_delivered(order))
        assert order.payment_status is S.AWAITING_BILLING
        assert last_attempt(order).reason == "in_file"

    def test_it_is_compared_at_night(self, order: Order, app: Flask, travel: Travel) -> None:
        app.config["NIGHTLY_COMPARE_HOUR"] = 3
        for hour in (3, 4):
            travel(jst(2026, 12, 19, hour, 1))
            daily.run()
        transaction = fresh(order).transaction
        assert transaction is not None
        assert transaction.next_look_at is not None

    @pytest.mark.parametrize("driver", list(BillingDriver))
    def test_unpaid_after_its_results_it_is_billed_under_the_next_number(
        self,
        order: Order,
        shop: World,
        travel: Travel,
        monkeypatch: pytest.MonkeyPatch,
        driver: BillingDriver,
    ) -> None:
        unpaid = shop.gateway.search_trade(f"{order.order_no}-1")
        with (
            writing() as session
        ):  # the line was refused, and a person asked why no result tells it
            session.execute(sa.update(Billing).values(retry_at=None))
            session.execute(sa.update(BillingFile).values(results_due_at=None))
            said = {"read_at": THE_18TH, "not_charged": [], "is_closed": True}
            session.add(MonthlyResults(window=date(2026, 12, 1), **said))
        look = shop.gateway.search_trade
        monkeypatch.setattr(
            shop.gateway,
            "search_trade",
            lambda number: unpaid if number == f"{order.order_no}-1" else look(number),
        )
        open_shop(billing_driver=driver.value)
        for hour in (7, 9, 12):
            travel(jst(2027, 1, 10, hour))
            go_on(order)
        assert the_billing(order).gateway_order_id == f"{order.order_no}-2"
        assert fresh(order).payment_status is S.BILLING_REPORTED


class TestResultsOfOthers:
    def test_a_cancelled_order_whose_round_was_given_anew_holds_up_nobody(
        self, shop: World, travel: Travel
    ) -> None:
        the_round = {"subscription_id": "T-77", "subscription_round": 3}
        cancelled = delivered(shop, **the_round)
        other = delivered(shop)
        travel(THE_10TH)
        billing.resume()
        with writing() as session:  # as an earlier version may have left it
            session.execute(
                sa.update(Order).where(Order.id == cancelled.id).values(payment_status=S.CANCELLED)
            )
        intake.place(subscription(shop, **the_round), SHOP_FRONT)
        travel(THE_18TH)
        billing.resume()
        assert the_billing(other).state is B.PAID
        assert fresh(cancelled).payment_status is S.BILLING_REPORTED
        assert alerts(cancelled) == [AlertKind.NOT_REFUNDED]

    def test_a_line_that_breaks_off_holds_up_nobody_and_is_told_later(
        self, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken, other = delivered(shop), delivered(shop)
        travel(THE_10TH)
        billing.resume()
        lock = acting.lock_order

        def refuse(session: Any, order_id: int) -> Order:
            if order_id == broken.id:
                raise ValueError("about this order alone")
            return lock(session, order_id)

        travel(THE_18TH)
        with monkeypatch.context() as patched:
            patched.setattr(acting, "lock_order", refuse)
            billing.resume()
        assert the_billing(other).state is B.PAID
        assert the_billing(broken).state is B.REGISTERED
        travel(jst(2026, 12, 18, 9))
        billing.resume()
        assert the_billing(broken).state is B.PAID

    @pytest.mark.postgresql
    def test_a_sale_under_a_number_that_counts_no_more_counts_where_the_present_one_holds_nothing(
        self, shop: World, travel: Travel
    ) -> None:
        order = delivered(shop)
        travel(THE_10TH)
        billing.resume()
        with writing() as session:
            transaction_numbers.take_next_number(acting.lock_order(session, order.id))
        travel(THE_18TH)
        billing.resume()
        billing_row = the_billing(order)
        assert billing_row.state is B.PAID
        current = fresh(order).transaction
        assert current is not None
        assert current.gateway_order_id == billing_row.gateway_order_id
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert alerts(order) == []


@pytest.mark.postgresql
def test_what_another_worker_put_into_a_file_is_not_put_off(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = delivered(shop)
    for_later, is_first = stored_cards.for_later, True

    def slow(*args: Any) -> Any:
        """The other worker makes the file while this one gets no connection."""
        nonlocal is_first
        if not is_first:
            return for_later(*args)
        is_first = False
        assert preparing.prepare(shop.gateway)
        assert files.make() == 1
        raise GatewayUnreachable("connection_refused")

    monkeypatch.setattr(stored_cards, "for_later", slow)
    travel(THE_10TH)
    billing.resume()
    assert the_billing(order).state is B.REGISTERED
    assert fresh(order).payment_status is S.BILLING_REPORTED


def test_a_parcel_without_its_day_keeps_its_month_when_it_is_put_off(
    shop: World, travel: Travel
) -> None:
    order = delivered(shop)
    with writing() as session:
        session.execute(sa.update(Delivery).values(delivered_at=None))
    shop.fault("error:E01030002", "Batch")
    travel(THE_10TH)
    billing.resume()
    travel(jst(2026, 12, 10, 9))
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
