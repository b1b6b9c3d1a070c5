"""Money that came under another number of the order, past us: seen before a charge, never doubled (P1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Card, Job, TradeAccess, TradeState, TradeStatus
from sgpshop.models import Alert, Billing, BillingState, CardTransaction, Operation, Order
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, OnDecline
from sgpshop.services.order_detail import answers as order_answers
from sgpshop.services.order_detail.unfinished import Unfinished
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.subscriptions import billing
from tests import own_worker
from tests.factories import authorized_order, fresh, make_order
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, World
from tests.seeds import each_once
from tests.services.acting import TANAKA, cancel, last_attempt, press, seen
from tests.services.answering import say_ours
from tests.services.arriving import SHOP_FRONT, SHORT_OF_MONEY, new_order, open_shop, orders
from tests.services.order_csv import row
from tests.services.order_files.test_order_import import take_in
from tests.services.payments.test_preorders import preorder
from tests.services.payments.test_repaying import failed, number_of, travel  # noqa: F401
from tests.services.payments.test_three_ds import CHALLENGE, OURS, THANKS, at_bank, back
from tests.services.subscribing import Travel, jst

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("says_ours")]

S = PaymentStatus
THE_10TH = jst(2026, 12, 10, 6, 1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "GATEWAY_TRIES": 1, "PUBLIC_URL": OURS}


@pytest.fixture(params=list(BillingDriver))
def driver(request: pytest.FixtureRequest) -> BillingDriver:
    return BillingDriver(request.param)


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World, travel: Travel) -> Iterator[None]:  # noqa: F811
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's
    yield
    own_worker.finish(app)


def pay(shop: World, number: str, job: Job = Job.CAPTURE) -> None:
    """The shop front, or whoever else may, has that number paid past us."""
    shop.gateway.execute(shop.gateway.enter(number, job, 2500), GOOD_CARD, job=job)


def live(shop: World) -> dict[str, str]:
    """What is reserved or taken at SMBC-GP: number -> state."""
    entries = {entry["order_id"]: entry["status"] for entry in shop.ledger()}
    return {no: state for no, state in entries.items() if state in ("AUTH", "CAPTURE", "SALES")}


def told(order: Order) -> list[AlertKind]:
    db.session.rollback()
    is_open = (Alert.order_id == order.id, Alert.acknowledged_at.is_(None))
    return list(db.session.scalars(sa.select(Alert.kind).where(*is_open)))


def explained() -> list[str]:
    return [problem.what for problem in Verification().problems()]


def the_billing(order: Order) -> Billing:
    db.session.rollback()
    wanted = sa.select(Billing).where(Billing.order_id == order.id)
    return db.session.scalars(wanted.execution_options(populate_existing=True)).one()


def reauthorize(shop: World, access: TradeAccess) -> None:
    """Somebody has what was voided reserved once more (再オーソリ)."""
    keys = {"ShopID": "tshop00000001", "ShopPass": "shoppass01", "JobCd": "AUTH"}
    keys |= {"AccessID": access.access_id, "AccessPass": access.access_pass, "Amount": "2500"}
    answer = shop.simulator.test_client().post("/payment/AlterTran.idPass", data=keys)
    assert "ErrCode" not in answer.text, answer.text


def fresh_numbers(order: Order) -> list[CardTransaction]:
    """Every number of the order that our books know."""
    db.session.rollback()
    of_order = sa.select(CardTransaction).where(CardTransaction.order_id == order.id)
    return list(db.session.scalars(of_order.execution_options(populate_existing=True)))


def from_file() -> Order:
    """A subscription from a file, shipped; SMBC-GP does not know its number yet."""
    take_in(row(定期購入ID="T-7", 定期回数="1", 決済方法ステータス="決済待ち"))
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return fresh(order)


def go_on(order: Order) -> None:
    """What the worker does at this moment."""
    billing.resume()
    settle(order.id)


class TestTheMonthlyRegistration:
    @pytest.mark.postgresql
    @pytest.mark.parametrize("job", [Job.CAPTURE, Job.AUTH])
    def test_sees_the_order_paid_under_its_own_number(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
        driver: BillingDriver,
        job: Job,
    ) -> None:
        open_shop(billing_driver=driver.value)
        order = from_file()
        pay(shop, order.order_no, job)
        for when in (THE_10TH, jst(2026, 12, 12, 7), jst(2026, 12, 19, 7), jst(2027, 1, 10, 7)):
            travel(when)
            go_on(order)
            assert live(shop) == {order.order_no: job.value}
        order = fresh(order)
        assert order.payment_status is S.AWAITING_BILLING
        assert told(order) == [AlertKind.UNEXPECTED_CHARGE]
        assert number_of(order) == order.order_no
        assert the_billing(order).state is BillingState.POSTPONED
        assert last_attempt(order).reason == "others_live"
        assert explained() == []

    def test_is_put_off_where_a_small_authorization_stands(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
        driver: BillingDriver,
    ) -> None:
        """簡易オーソリ (protocol.md §3.1): no status of ours says it, and nothing ends in a fault."""
        open_shop(billing_driver=driver.value)
        order = from_file()
        pay(shop, order.order_no, Job.SAUTH)
        travel(THE_10TH)
        go_on(order)
        order = fresh(order)
        assert (order.payment_status, order.open_attempt) == (S.AWAITING_BILLING, None)
        assert last_attempt(order).reason == "unknown_state"
        assert the_billing(order).state is BillingState.POSTPONED
        assert [entry["status"] for entry in shop.ledger()] == ["SAUTH"]

    def test_what_was_paid_can_be_given_back_by_cancelling(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
        driver: BillingDriver,
    ) -> None:
        open_shop(billing_driver=driver.value)
        order = from_file()
        pay(shop, order.order_no)
        travel(THE_10TH)
        go_on(order)
        parcels.change_statuses(order.id, seen(order), TANAKA, {0: DeliveryStatus.UNPROCESSED})
        assert cancel(order).payment_status is S.CANCELLED
        assert live(shop) == {}

    def test_is_not_made_beside_one_that_our_books_forgot(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
        driver: BillingDriver,
    ) -> None:  # P36: charged under a later number after a backup was made
        open_shop(billing_driver=driver.value)
        order = from_file()
        shop.gateway.check_card(order.order_no, GOOD_CARD)
        pay(shop, f"{order.order_no}-2")
        travel(THE_10TH)
        go_on(order)
        say_ours()  # a file is not made in a call of its own
        assert live(shop) == {f"{order.order_no}-2": "CAPTURE"}
        order = fresh(order)
        assert order.payment_status is S.BILLING_REPORTED
        assert number_of(order) == f"{order.order_no}-2"
        assert the_billing(order).state is BillingState.PAID
        assert the_billing(order).gateway_order_id == f"{order.order_no}-2"
        assert explained() == []

    def test_sees_it_paid_at_the_very_moment_of_sending(
        self,
        shop: World,
        travel: Travel,  # noqa: F811
        driver: BillingDriver,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Paid after we looked; a notification of it came before the charge was sent."""
        open_shop(billing_driver=driver.value)
        order = from_file()
        number = order.order_no
        shop.gateway.save_member("buyer")
        shop.gateway.check_card("seed", GOOD_CARD)
        kept = shop.gateway.store_traded_card("seed", "buyer")
        access = shop.gateway.enter(number, Job.AUTH, 2500)
        card = Card(member_id="buyer", card_seq=kept.seq)
        shop.gateway.execute(access, card, job=Job.AUTH)
        shop.gateway.cancel(access, Cancellation.VOID)
        search_cards, is_first = shop.gateway.search_cards, True

        def meanwhile(*args: Any) -> Any:
            nonlocal is_first
            if is_first:
                is_first = False
                reauthorize(shop, access)
                [first] = [one for one in fresh_numbers(order) if one.gateway_order_id == number]
                transaction_lookup.look_soon(order.id)
                transaction_lookup.look_up(first.id)
            return search_cards(*args)

        monkeypatch.setattr(shop.gateway, "search_cards", meanwhile)
        for minute in (1, 2, 3):
            travel(jst(2026, 12, 10, 6, minute))
            go_on(order)
            assert live(shop) == {number: "AUTH"}
        assert not is_first
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert number_of(order) == number
        assert AlertKind.UNEXPECTED_CHARGE in told(order)
        assert explained() == []


class TestThePreorder:
    @pytest.mark.parametrize("job", [Job.CAPTURE, Job.AUTH])
    def test_is_not_charged_beside_one_that_our_books_forgot(self, shop: World, job: Job) -> None:
        order = preorder(shop, total=2500)
        pay(shop, f"{order.order_no}-2", job)
        order = press(order, Operation.CAPTURE)
        assert live(shop) == {f"{order.order_no}-2": job.value}
        assert number_of(order) == f"{order.order_no}-2"
        is_taken = job is Job.CAPTURE
        # refused, so it failed; what is reserved may be captured from there
        assert order.payment_status is (S.CAPTURED if is_taken else S.CAPTURE_FAILED)
        assert told(order) == []  # a person has just said it
        assert explained() == []


def test_another_card_is_not_charged_beside_a_word_nobody_knows(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Status of the future under the number of the card that was declined (protocol.md §3.1)."""
    new = new_order(shop, card=SHORT_OF_MONEY, on_decline=OnDecline.KEEP)
    intake.place(new, SHOP_FRONT)
    search = shop.gateway.search_trade

    def says_a_new_word(number: str) -> TradeStatus | None:
        trade = search(number)
        assert trade is not None
        return replace(trade, state=TradeState.UNKNOWN, raw_status="PENDING")

    monkeypatch.setattr(shop.gateway, "search_trade", says_a_new_word)
    again = replace(new, payment=CardSource(token=shop.token()))
    intake.place(again, SHOP_FRONT)
    [order] = orders()
    settle(order.id)
    assert live(shop) == {}
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    # The buyer is not told that nothing was charged (P3).
    assert order_answers.one(order.order_no).unfinished is Unfinished.UNCONFIRMED


@pytest.mark.long
class TestPayingAgain:
    """売上失敗 by our own charge, which SMBC-GP carries out after all before the buyer pays again."""

    def charged_late(self, shop: World, number: str) -> None:
        trade = shop.gateway.search_trade(number)
        assert trade is not None
        shop.gateway.execute(trade.access, GOOD_CARD, job=Job.CAPTURE)

    @pytest.mark.parametrize("by_three_ds", [False, True])
    def test_is_not_charged_twice(
        self,
        app: Flask,
        shop: World,
        travel: Travel,  # noqa: F811
        by_three_ds: bool,
    ) -> None:
        open_shop(billing_driver=BillingDriver.API.value)
        new, order = failed(shop, travel)
        first = number_of(order)
        card = shop.token(CHALLENGE if by_three_ds else "4111111111111111")
        again = replace(
            new, payment=CardSource(token=card), return_url=THANKS, three_ds=by_three_ds
        )
        if not by_three_ds:
            self.charged_late(shop, first)
        placed = intake.place(again, SHOP_FRONT)
        if by_three_ds:
            assert placed.redirect_url
            second = number_of(order)
            access_id = at_bank(shop, placed.redirect_url)
            self.charged_late(shop, first)
            back(app, order, access_id, second)
        assert live(shop) == {first: "CAPTURE"}
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert number_of(order) == first
        assert the_billing(order).state is BillingState.PAID
        assert explained() == []


class TestCancelling:
    """Nothing is held under its own number: the others are asked before it counts as cancelled."""

    @pytest.mark.parametrize(
        ("kind", "job", "number"),
        each_once(["要確認", "予約"], [Job.CAPTURE, Job.AUTH], [1, 3], always=[Job.CAPTURE]),
    )
    def test_it_is_not_cancelled_beside_money(
        self, shop: World, kind: str, job: Job, number: int
    ) -> None:
        order = preorder(shop) if kind == "予約" else make_order(status=S.NEEDS_REVIEW, total=2500)
        pay(shop, f"{order.order_no}-{number}", job)
        order = cancel(order)
        assert order.payment_status is (S.AUTHORIZED if job is Job.AUTH else S.CAPTURED)
        assert number_of(order) == f"{order.order_no}-{number}"
        assert cancel(order).payment_status is S.CANCELLED
        assert live(shop) == {}

    def test_also_what_seems_cancelled_there(self, shop: World) -> None:
        order = authorized_order(shop, total=2500)
        trade = shop.gateway.search_trade(order.order_no)
        assert trade is not None
        shop.gateway.cancel(trade.access, Cancellation.VOID)
        pay(shop, f"{order.order_no}-1")
        assert cancel(order).payment_status is S.CAPTURED

    def test_without_an_answer_it_is_not_cancelled(self, shop: World) -> None:
        order = make_order(status=S.NEEDS_REVIEW)
        shop.fault("http:503", "SearchTrade", times=9, order_id=f"{order.order_no}-1")
        order = cancel(order)
        settle(order.id)
        assert fresh(order).payment_status is S.NEEDS_REVIEW
        assert last_attempt(order).reason == "look_failed"


def test_a_charge_that_comes_under_a_later_number_is_the_billing(
    shop: World,
    travel: Travel,  # noqa: F811
) -> None:
    """Handed in by file, without a card check: the file of the last system holds its `-1`."""
    take_in(row(決済方法ステータス="決済待ち", 定期購入ID="T-9", 定期回数="1"))
    [order] = orders()
    access = shop.gateway.enter(f"{order.order_no}-1", Job.CAPTURE, 2500)
    travel(jst(2026, 11, 12, 14))
    work_off(order.id)
    assert number_of(order) == order.order_no  # whose the other is can be said once it is paid
    assert fresh(order).payment_status is S.AWAITING_BILLING
    shop.gateway.execute(access, GOOD_CARD, job=Job.CAPTURE)
    travel(jst(2026, 11, 13, 14))
    work_off(order.id)
    assert number_of(order) == f"{order.order_no}-1"
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert told(order) == []
