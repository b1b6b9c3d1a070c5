"""Orders `1001` and `1001-1`: numbers with hyphens are the shop's own, and no order takes another's (P1)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.errors import NotPossible, OrderBusy
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job
from sgpshop.models import CardTransaction, HistoryEntry, Operation, Order, utc_now
from sgpshop.services import intake
from sgpshop.services.order_files import card_order
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, transaction_lookup, unknown_numbers
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.services.reconciliation import ledgers
from sgpshop.storage.database import writing
from tests.factories import make_order
from tests.faults.judging import settle
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import TANAKA, cancel, last_attempt, press, seen
from tests.services.answering import say_ours
from tests.services.arriving import SHOP_FRONT, new_order, open_shop
from tests.services.order_csv import row
from tests.services.order_files.test_order_import import take_in
from tests.services.payments.test_earlier_transactions import make_due, told, transaction_of

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture(autouse=True)
def _open(shop: World) -> None:
    open_shop()


def order_of(number: str) -> Order:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(sa.select(Order).where(Order.order_no == number)).one()


def looked_up(number: str) -> Order:
    make_due(number)
    transaction_lookup.look_up(transaction_of(number).id)
    return order_of(number)


def amounts() -> dict[str, int | None]:
    rows = db.session.execute(
        sa.select(CardTransaction.gateway_order_id, CardTransaction.gateway_amount)
    )
    return {row.gateway_order_id: row.gateway_amount for row in rows}


@pytest.mark.postgresql
def test_both_in_the_books_each_has_its_own_payment(shop: World) -> None:
    shop.authorize("1001", 2500)
    shop.authorize("1001-1", 2500)
    take_in(row(注文番号="1001"), row(注文番号="1001-1"))
    for number in ("1001", "1001-1"):
        assert looked_up(number).payment_status is S.AUTHORIZED
    assert amounts() == {"1001": 2500, "1001-1": 2500}
    assert told(order_of("1001")) == []
    assert {found.verdict for found in ledgers.compare()} == {ledgers.Verdict.AGREES}


def test_not_paid_yet_beside_another_that_is(shop: World) -> None:
    shop.enter("1001", 2500)
    shop.authorize("1001-1", 2500)
    take_in(row(注文番号="1001"), row(注文番号="1001-1"))
    assert looked_up("1001").payment_status is S.NEEDS_REVIEW
    assert looked_up("1001-1").payment_status is S.AUTHORIZED
    [found] = ledgers.compare(["1001"])
    assert found.left == ()


def test_a_subscription_beside_another_waits_for_its_billing(shop: World) -> None:
    shop.gateway.check_card("1001", GOOD_CARD)
    shop.authorize("1001-1", 2500)
    take_in(
        row(注文番号="1001", 定期購入ID="T-7", 定期回数="1", 決済方法ステータス="決済待ち"),
        row(注文番号="1001-1"),
    )
    assert looked_up("1001").payment_status is S.AWAITING_BILLING
    assert looked_up("1001-1").payment_status is S.AUTHORIZED
    assert told(order_of("1001")) == []


class TestANumberOurBooksDoNotKnow:
    """It may be an order that no file brought yet."""

    @pytest.fixture
    def order(self, shop: World) -> Order:
        shop.authorize("5001", 2500)
        shop.authorize("5001-1", 9000)
        take_in(row(注文番号="5001"))
        return looked_up("5001")

    def test_is_told_and_the_own_payment_stays(self, order: Order) -> None:
        assert order.payment_status is S.AUTHORIZED
        assert amounts() == {"5001": 2500}
        [alert] = alerts.open_of(order.id)
        assert alert.kind is AlertKind.UNKNOWN_NUMBER
        assert "5001-1 仮売上 9,000円" in alert.facts

    def test_as_this_orders_it_is_one_too_many(self, order: Order) -> None:
        assert say_ours() == 1
        assert order_of("5001").payment_status is S.AUTHORIZED
        assert amounts() == {"5001": 2500, "5001-1": 9000}
        assert told(order) == [AlertKind.EARLIER_IS_LIVE]

    def test_cancelling_voids_the_own_payment_only(self, shop: World, order: Order) -> None:
        assert cancel(order).payment_status is S.AUTHORIZED  # perhaps it is paid under the other
        say_ours(is_ours=False)
        assert cancel(order).payment_status is S.CANCELLED
        assert shop.trade("5001")["status"] == "VOID"
        assert shop.trade("5001-1")["status"] == "AUTH"

    def test_capturing_takes_the_own_payment_only(self, shop: World, order: Order) -> None:
        with pytest.raises(NotPossible, match="どの注文の決済か"):
            press(order, Operation.CAPTURE)
        say_ours(is_ours=False)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert shop.trade("5001")["status"] == "SALES"
        assert shop.trade("5001-1")["status"] == "AUTH"

    def test_its_order_may_come_with_the_next_file(self, order: Order) -> None:
        take_in(row(注文番号="5001-1", 合計金額="9000", 単価="4250"))
        assert told(order) == []  # it settles it by itself
        assert looked_up("5001-1").payment_status is S.AUTHORIZED
        assert amounts() == {"5001": 2500, "5001-1": 9000}


def numbers_of(order_no: str) -> list[str]:
    order_id = order_of(order_no).id
    numbers = sa.select(CardTransaction.gateway_order_id).where(
        CardTransaction.order_id == order_id
    )
    return sorted(db.session.scalars(numbers))


def question(order: Order) -> str:
    """What the screen asks; "" for nothing."""
    db.session.rollback()
    return "、".join(unknown_numbers.describe(row) for row in unknown_numbers.open_of(order.id))


@pytest.mark.postgresql
class TestWhereTheOwnNumberIsNotPaid:
    """Nothing is guessed: neither that it is this order's payment nor that it is not."""

    @pytest.fixture
    def order(self, shop: World) -> Order:
        shop.enter("6001", 2500)
        shop.authorize("6001-1", 2500)
        take_in(row(注文番号="6001"))
        return looked_up("6001")

    def test_it_is_asked(self, order: Order) -> None:
        assert order.payment_status is S.NEEDS_REVIEW
        assert amounts() == {"6001": None}
        assert question(order) == "6001-1 仮売上 2,500円"
        looked_up("6001")
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]
        asked = sa.select(sa.func.count()).where(HistoryEntry.event == "unknown_number")
        assert db.session.scalar(asked) == 1

    def test_it_is_not_cancelled_as_if_there_were_no_payment(
        self, shop: World, order: Order
    ) -> None:
        assert cancel(order).payment_status is S.NEEDS_REVIEW
        assert last_attempt(order).reason == "unknown_number"
        assert shop.trade("6001-1")["status"] == "AUTH"

    def test_this_orders_is_followed(self, shop: World, order: Order) -> None:
        [asked] = unknown_numbers.open_of(order.id)
        unknown_numbers.answer("6001", asked.id, TANAKA, Answer.OURS)
        unknown_numbers.answer("6001", asked.id, TANAKA, Answer.OTHERS)  # too late
        transaction_lookup.look_up(transaction_of("6001-1").id)
        order = order_of("6001")
        assert order.payment_status is S.AUTHORIZED
        assert told(order) == []
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert shop.trade("6001-1")["status"] == "SALES"
        told_by = sa.select(HistoryEntry.actor).where(HistoryEntry.event == "number_is_ours")
        assert list(db.session.scalars(told_by)) == [TANAKA.name]

    def test_anothers_is_never_asked_about_again(self, shop: World, order: Order) -> None:
        assert say_ours(is_ours=False) == 1
        assert looked_up("6001").payment_status is S.NEEDS_REVIEW
        assert question(order) == ""
        assert told(order) == []
        assert cancel(order).payment_status is S.CANCELLED
        assert shop.trade("6001-1")["status"] == "AUTH"

    def test_the_file_that_brings_its_order_settles_it(self, order: Order) -> None:
        take_in(row(注文番号="6001-1"))
        assert question(order) == ""
        assert told(order) == []
        assert looked_up("6001").payment_status is S.NEEDS_REVIEW
        assert looked_up("6001-1").payment_status is S.AUTHORIZED

    def test_so_does_the_shop_that_gives_it_back(self, shop: World, order: Order) -> None:
        trade = shop.gateway.search_trade("6001-1")
        assert trade is not None
        shop.gateway.cancel(trade.access, Cancellation.VOID)
        looked_up("6001")
        assert question(order) == "6001-1 取消 2,500円"  # of whom it was is still a question
        assert cancel(order).payment_status is S.CANCELLED

    def test_while_a_capture_runs_nobody_answers(self, order: Order) -> None:
        [asked] = unknown_numbers.open_of(order.id)
        how = OperationRequest(Operation.CANCEL)
        acts.open_attempt(order.id, how, seen(order), TANAKA)
        with pytest.raises(OrderBusy):
            unknown_numbers.answer("6001", asked.id, TANAKA, Answer.OURS)


@pytest.mark.postgresql
class TestAPreorder:
    """Its charge takes the next number, under which another's payment may stand."""

    @pytest.fixture
    def order(self, shop: World) -> Order:
        shop.gateway.check_card("7001", GOOD_CARD)
        take_in(row(注文番号="7001", 予約フラグ="1"))
        assert looked_up("7001").payment_status is S.AUTHORIZED
        shop.authorize("7001-1", 2500)  # the order 7001-1, which comes with the next file
        return order_of("7001")

    def test_is_not_charged_beside_it(self, shop: World, order: Order) -> None:
        order = press(order, Operation.CAPTURE)
        assert order.payment_status is S.CAPTURE_FAILED
        assert last_attempt(order).reason == "unknown_number"
        assert question(order) == "7001-1 仮売上 2,500円"
        assert [one["order_id"] for one in shop.ledger() if one["status"] == "CAPTURE"] == []

    @pytest.mark.parametrize("there", ["as much", "more", "sold", "given back"])
    def test_cancelling_it_does_nothing_to_the_other(
        self, shop: World, order: Order, there: str
    ) -> None:
        """Its own number is that other one's, meant for a charge that was refused for it."""
        other = shop.gateway.search_trade("7001-1")
        assert other is not None
        press(order, Operation.CAPTURE)
        if there == "more":
            shop.gateway.change_amount(other.access, 9900, job="AUTH")
        elif there == "sold":
            shop.gateway.capture(other.access, 2500)
        elif there == "given back":
            shop.gateway.cancel(other.access, Cancellation.VOID)
        before = shop.trade("7001-1")
        order = cancel(order_of("7001"))
        assert shop.trade("7001-1") == before
        is_free = there == "given back"
        assert order.payment_status is (S.CANCELLED if is_free else S.CAPTURE_FAILED)
        assert order.transaction is not None
        assert order.transaction.access_id is None
        if not is_free:
            assert last_attempt(order).reason == "unknown_number"

    @pytest.mark.parametrize("by_file", [False, True])
    def test_is_charged_under_the_number_after_it(
        self, shop: World, order: Order, by_file: bool
    ) -> None:
        press(order, Operation.CAPTURE)
        if by_file:
            take_in(row(注文番号="7001-1"))
        else:
            say_ours(is_ours=False)
        assert press(order_of("7001"), Operation.CAPTURE).payment_status is S.CAPTURED
        assert shop.trade("7001-1")["status"] == "AUTH"
        assert shop.trade("7001-2")["status"] == "CAPTURE"


@pytest.mark.postgresql
class TestWhoHasOnlyMeantToUseANumber:
    """The order of that number may still come in, by whatever entrance."""

    @pytest.fixture
    def order(self, shop: World) -> Order:
        """A preorder whose charge ended before anything was entered."""
        shop.gateway.check_card("7001", GOOD_CARD)
        take_in(row(注文番号="7001", 予約フラグ="1"))
        looked_up("7001")
        shop.fault("error:E01390002", "TradedCard")
        assert press(order_of("7001"), Operation.CAPTURE).payment_status is S.CAPTURE_FAILED
        assert transaction_of("7001-1").order_id == order_of("7001").id
        return order_of("7001")

    def test_a_file_with_both_goes_in(self, shop: World, order: Order) -> None:
        shop.authorize("7001-1", 2500)
        take_in(row(注文番号="7001-1"), row(注文番号="7001", 予約フラグ="1"))
        assert looked_up("7001-1").payment_status is S.AUTHORIZED
        self.is_charged_under_the_next(shop)

    def test_the_shop_front_hands_it_in(self, shop: World, order: Order) -> None:
        intake.place(new_order(shop, order_no="7001-1"), SHOP_FRONT)
        assert order_of("7001-1").payment_status is S.AUTHORIZED
        self.is_charged_under_the_next(shop)

    def test_one_of_another_method_is_made_a_card_order(self, shop: World, order: Order) -> None:
        """Which came in while that charge was under way, so that nothing gave way to it."""
        shop.authorize("7001-1", 2500)
        press(order, Operation.CAPTURE)
        assert question(order) == "7001-1 仮売上 2,500円"
        make_order(order_no="7001-1", method="代金引換", status=None)
        card_order.make("7001-1", TANAKA)
        assert order_of("7001-1").payment_status is S.AUTHORIZED
        assert alerts.open_of(order.id) == []
        self.is_charged_under_the_next(shop)

    def is_charged_under_the_next(self, shop: World) -> None:
        assert press(order_of("7001"), Operation.CAPTURE).payment_status is S.CAPTURED
        assert shop.trade("7001-1")["status"] == "AUTH"
        assert shop.trade("7001-2")["status"] == "CAPTURE"

    def test_while_it_is_asked_whose_it_is_no_card_is_taken_for_it(
        self, shop: World, order: Order
    ) -> None:
        shop.authorize("7001-1", 2500)
        press(order, Operation.CAPTURE)
        assert question(order) == "7001-1 仮売上 2,500円"
        with pytest.raises(intake.NumberInQuestion, match="確認中"):
            intake.place(new_order(shop, order_no="7001-1"), SHOP_FRONT)
        assert question(order) == "7001-1 仮売上 2,500円"


@pytest.mark.postgresql
@pytest.mark.parametrize("way", ["shop front", "file"])
def test_an_order_comes_in_under_a_number_that_a_charge_under_way_passed_over(
    shop: World, way: str
) -> None:
    """The cart entered `7001-1`, and nobody paid: 7001 is charged as `-2`, whose answer is lost."""
    with time_machine.travel(utc_now() - timedelta(days=1)):
        shop.gateway.check_card("7001", GOOD_CARD)
        shop.gateway.enter("7001-1", Job.CAPTURE, 2500)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    shop.fault("drop_after", "ExecTran")
    press(order, Operation.CAPTURE)
    assert last_attempt(order).is_open
    assert transaction_of("7001-1").order_id == order.id
    if way == "file":
        take_in(row(注文番号="7001-1"))
        assert transaction_of("7001-1").order_id == order_of("7001-1").id
    else:
        intake.place(new_order(shop, order_no="7001-1"), SHOP_FRONT)
        settle(order_of("7001-1").id)
        assert order_of("7001-1").payment_status is S.AUTHORIZED
    settle(order.id)
    assert order_of("7001").payment_status is S.CAPTURED
    assert shop.trade("7001-2")["status"] == "CAPTURE"
    assert [entry["status"] for entry in shop.ledger()].count("CAPTURE") == 1
    assert list(Verification().problems()) == []


def test_an_order_with_the_mark_of_its_cart_has_its_number_too(shop: World) -> None:
    """`#7001-1`, of another method of payment, beside `7001`: neither asked about, nor used (R142)."""
    shop.authorize("7001-1", 2500)
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="#7001-1", 決済方法="代金引換"), row(注文番号="7001", 予約フラグ="1"))
    assert looked_up("7001").payment_status is S.AUTHORIZED
    assert alerts.open_of(order_of("7001").id) == []
    assert press(order_of("7001"), Operation.CAPTURE).payment_status is S.CAPTURED
    assert shop.trade("7001-2")["status"] == "CAPTURE"


def test_a_buyer_who_left_the_page_leaves_no_question(shop: World) -> None:
    """The cart had entered `7003-1` for them when the charge was wanted; half an hour later nobody pays."""
    shop.gateway.check_card("7003", GOOD_CARD)
    take_in(row(注文番号="7003", 予約フラグ="1"))
    looked_up("7003")
    shop.enter("7003-1", 2500)
    settle(press(order_of("7003"), Operation.CAPTURE).id)
    assert question(order_of("7003")) == "7003-1 未決済 2,500円"
    with time_machine.travel(utc_now() + timedelta(hours=1)):
        make_due("7003-1")
        transaction_lookup.look_up(transaction_of("7003-1").id)
        assert question(order_of("7003")) == ""
        assert alerts.open_of(order_of("7003").id) == []


def test_what_is_another_s_under_a_number_not_meant_any_more_frees_it(shop: World) -> None:
    """A buyer left `7002-1` unpaid, `-2` was charged; then `-1` is paid, and is another order's."""
    shop.gateway.check_card("7002", GOOD_CARD)
    take_in(row(注文番号="7002", 予約フラグ="1"))
    looked_up("7002")
    access = shop.enter("7002-1", 2500)
    with time_machine.travel(utc_now() + timedelta(hours=1)):
        settle(press(order_of("7002"), Operation.CAPTURE).id)
        assert order_of("7002").payment_status is S.CAPTURED
        assert numbers_of("7002") == ["7002", "7002-1", "7002-2"]
        shop.gateway.execute(access, GOOD_CARD, job="AUTH")
        make_due("7002-1")
        transaction_lookup.look_up(transaction_of("7002-1").id)
        assert question(order_of("7002")) == "7002-1 仮売上 2,500円"
        say_ours(is_ours=False)
    assert numbers_of("7002") == ["7002", "7002-2"]
    assert list(Verification().problems()) == []


@pytest.mark.parametrize("when", ["asked", "answered"])
def test_an_answer_while_its_number_is_looked_up_stands(
    shop: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The number is given back, or said to be another's, before what SMBC-GP showed is written down."""
    shop.gateway.check_card("7002", GOOD_CARD)
    take_in(row(注文番号="7002", 予約フラグ="1"))
    looked_up("7002")
    access = shop.enter("7002-1", 2500)
    with time_machine.travel(utc_now() + timedelta(hours=1)):
        settle(press(order_of("7002"), Operation.CAPTURE).id)
        shop.gateway.execute(access, GOOD_CARD, job="AUTH")
        make_due("7002-1")
        transaction_lookup.look_up(transaction_of("7002-1").id)
        [row_] = unknown_numbers.open_of(order_of("7002").id)
        question_id, trade = row_.id, shop.gateway.search_trade("7002-1")
        assert trade is not None
        answer = partial(unknown_numbers.answer, "7002", question_id, TANAKA)
        if when == "asked":
            make_due("7002-1")
            monkeypatch.setattr(
                shop.gateway, "search_trade", lambda _number: answer(Answer.OTHERS) or trade
            )
            transaction_lookup.look_up(transaction_of("7002-1").id)
        else:
            answer(Answer.OTHERS)
            with writing() as session:
                unknown_numbers.ask(session, order_of("7002"), [(1, trade)])
    assert numbers_of("7002") == ["7002", "7002-2"]
    assert question(order_of("7002")) == ""


def test_the_transaction_a_file_names_is_the_orders(shop: World) -> None:
    shop.enter("8001", 2500)
    access = shop.authorize("8001-1", 2500)
    take_in(row(注文番号="8001", 取引ID=access.access_id, 取引パスワード=access.access_pass))
    assert looked_up("8001").payment_status is S.AUTHORIZED
    assert amounts()["8001-1"] == 2500
    assert told(order_of("8001")) == []
