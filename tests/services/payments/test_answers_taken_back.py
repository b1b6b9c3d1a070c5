"""«この注文の決済です» was wrong: books, payment and status are put back while nothing was built on it (R141)."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.bounds import FIRST_DAY, LAST_DAY
from sgpshop.domain.errors import NotFound, NotPossible
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job
from sgpshop.models import (
    Billing,
    BillingState,
    CardTransaction,
    MoneyMovement,
    Operation,
    Order,
    UnknownNumber,
    utc_now,
)
from sgpshop.services.journals.layouts import layout
from sgpshop.services.journals.movements import movements, sums_of
from sgpshop.services.journals.sales import month
from sgpshop.services.order_search import search
from sgpshop.services.order_search.criteria import DateField, SearchCriteria
from sgpshop.services.order_search.search import PageRequest
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import answers_taken_back, transaction_lookup, unknown_numbers
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import tell
from tests.services.acting import TANAKA, cancel, last_attempt, press
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import counts, messages, take_in
from tests.services.order_csv import row
from tests.services.payments.test_earlier_transactions import make_due, told, transaction_of
from tests.services.payments.test_numbers_of_others import looked_up

pytestmark = pytest.mark.long

S = PaymentStatus
OWN, LATER = "7002", "7002-1"


def held(shop: World) -> Order:
    """仮売上 of 2,500 yen; somebody pays as much under the number with -1, of which we are told."""
    open_shop()
    shop.authorize(OWN, 2500)
    take_in(row(注文番号=OWN))
    looked_up(OWN)
    shop.gateway.authorize(LATER, 2500, GOOD_CARD, job=Job.CAPTURE)
    tell(LATER, Status="CAPTURE", JobCd="CAPTURE")
    order = looked_up(OWN)
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    return order


def left_unpaid(shop: World) -> Order:
    """要確認: nothing was paid under its number; somebody's hold stands under the one with -1."""
    open_shop()
    shop.authorize(LATER, 2500)
    shop.gateway.enter(OWN, Job.AUTH, 2500)
    take_in(row(注文番号=OWN))
    return looked_up(OWN)


def preorder(shop: World, **said: str) -> Order:
    """予約 whose card was checked; somebody pays under the number with -1."""
    open_shop()
    shop.gateway.check_card(OWN, GOOD_CARD)
    take_in(row(注文番号=OWN, 予約フラグ="1", **said))
    order = looked_up(OWN)
    shop.gateway.authorize(LATER, 2500, GOOD_CARD, job=Job.CAPTURE)
    tell(LATER, Status="CAPTURE", JobCd="CAPTURE")
    return looked_up(order.order_no)


def question() -> UnknownNumber:
    db.session.rollback()
    return db.session.scalars(
        sa.select(UnknownNumber).execution_options(populate_existing=True)
    ).one()


def take_back() -> None:
    answers_taken_back.ask_again(OWN, question().id, TANAKA)


def answer(said: Answer) -> None:
    unknown_numbers.answer(OWN, question().id, TANAKA, said)


def booked() -> list[int]:
    """Yen of every movement of the journal files, in the order in which they were learned."""
    rows = db.session.scalars(sa.select(MoneyMovement).order_by(MoneyMovement.id))
    return [moved.kept_after - moved.kept_before for moved in rows]


def counted(order: Order) -> str:
    transaction = fresh(order).transaction
    assert transaction is not None
    return transaction.gateway_order_id


def problems() -> list[str]:
    return [problem.what for problem in Verification().problems()]


def test_a_hold_counts_again_and_what_was_booked_is_balanced(shop: World) -> None:
    order = held(shop)
    say_ours()
    assert (fresh(order).payment_status, counted(order)) == (S.CAPTURED, LATER)
    assert (told(order), booked()) == ([AlertKind.EARLIER_IS_LIVE], [2500])
    take_back()
    for _ in range(2):  # at once, and after SMBC-GP was asked
        assert (fresh(order).payment_status, counted(order)) == (S.AUTHORIZED, OWN)
        assert (told(order), booked()) == ([AlertKind.UNKNOWN_NUMBER], [2500, -2500])
        looked_up(OWN)
    assert problems() == []
    today = jst_day(utc_now())
    for sums in (sums_of(today, today), sums_of(FIRST_DAY, LAST_DAY)):
        assert (sums.sales, sums.sold, sums.refunds, sums.given_back) == (0, 0, 0, 0)
        assert (sums.at_8, sums.at_0) == (0, 0)
    whole = month.read(today.replace(day=1), utc_now()).whole
    assert (whole.sales, whole.sold, whole.refunds, whole.given_back) == (0, 0, 0, 0)
    sold = SearchCriteria(date_field=DateField.CAPTURED_AT, day_from=today, day_to=today)
    assert search.search_ids(sold, PageRequest()).rows == []
    words = [layout.summary(movement) for movement in movements(FIRST_DAY, LAST_DAY)]
    assert words == [f"注文 {OWN}", f"注文 {OWN} 記帳の取消"]


@pytest.mark.postgresql
def test_then_it_is_another_orders_which_gets_its_payment(shop: World) -> None:
    """Each yen stands in the books of its own order, once; ours is captured under its own number."""
    order = held(shop)
    say_ours()
    take_back()
    with pytest.raises(NotPossible):
        press(order, Operation.CAPTURE)  # not beside a question
    answer(Answer.OTHERS)
    press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURED
    run = take_in(row(注文番号=LATER))
    assert counts(run) == {"added": 1}, messages(run)
    other = looked_up(LATER)
    assert other.payment_status is S.CAPTURED
    rows = db.session.execute(
        sa.select(Order.order_no, sa.func.sum(MoneyMovement.kept_after - MoneyMovement.kept_before))
        .join(Order, Order.id == MoneyMovement.order_id)
        .group_by(Order.order_no)
    )
    assert dict(map(tuple, rows)) == {OWN: 2500, LATER: 2500}
    assert [(one["order_id"], one["status"]) for one in shop.ledger()] == [
        (OWN, "SALES"),
        (LATER, "CAPTURE"),
    ]
    assert (told(order), told(other), problems()) == ([], [], [])


def test_it_is_said_and_taken_back_again(shop: World) -> None:
    order = held(shop)
    for said in (1, 2):
        say_ours()
        assert (fresh(order).payment_status, sum(booked())) == (S.CAPTURED, 2500)
        if said == 1:
            take_back()
            take_back()  # a second click
            assert (fresh(order).payment_status, sum(booked())) == (S.AUTHORIZED, 0)
    take_back()
    assert booked() == [2500, -2500, 2500, -2500]
    assert (counted(order), problems()) == (OWN, [])


def test_a_look_up_that_was_under_way_says_nothing_any_more(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked when the payment was the order's, and comes back after the answer was taken back."""
    order = held(shop)
    say_ours()
    is_ours = unknown_numbers.is_ours

    def and_then_taken_back(session: Session, transaction_id: int) -> bool:
        found = is_ours(session, transaction_id)
        session.commit()
        monkeypatch.setattr(unknown_numbers, "is_ours", is_ours)
        take_back()
        return found

    monkeypatch.setattr(unknown_numbers, "is_ours", and_then_taken_back)
    make_due(LATER)
    transaction_lookup.look_up(transaction_of(LATER).id)
    assert (fresh(order).payment_status, counted(order)) == (S.AUTHORIZED, OWN)
    assert (booked(), question().is_ours) == ([2500, -2500], None)
    assert transaction_of(LATER).gateway_state is None


def test_what_was_given_back_since_is_balanced_too(shop: World) -> None:
    order = held(shop)
    say_ours()
    trade = shop.gateway.search_trade(LATER)
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.VOID)
    make_due(LATER)
    transaction_lookup.look_up(transaction_of(LATER).id)
    assert booked() == [2500, -2500]
    take_back()
    today = jst_day(utc_now())
    sums = sums_of(today, today)
    assert (sums.sales, sums.sold, sums.refunds, sums.given_back) == (0, 0, 0, 0)
    order = looked_up(OWN)
    assert (order.payment_status, counted(order), problems()) == (S.AUTHORIZED, OWN, [])


def test_not_once_an_act_was_built_on_it(shop: World) -> None:
    order = left_unpaid(shop)
    say_ours()
    press(order, Operation.CAPTURE)
    assert (fresh(order).payment_status, counted(order)) == (S.CAPTURED, LATER)
    with pytest.raises(NotPossible, match="処理"):
        take_back()
    assert (fresh(order).payment_status, booked(), question().is_ours) == (S.CAPTURED, [2500], True)


def test_nor_once_the_order_was_cancelled_with_it(shop: World) -> None:
    """SMBC-GP had given it back already, so nothing was sent; but the parcels are cancelled."""
    order = left_unpaid(shop)
    say_ours()
    trade = shop.gateway.search_trade(LATER)
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.VOID)
    cancel(order)
    assert fresh(order).payment_status is S.CANCELLED
    with pytest.raises(NotPossible, match="処理"):
        take_back()
    assert fresh(order).payment_status is S.CANCELLED


def test_nor_an_answer_of_an_earlier_version(shop: World) -> None:
    """Nobody kept how the order stood before it."""
    order = held(shop)
    say_ours()
    with writing() as session:
        session.execute(sa.update(UnknownNumber).values(taken_over=None))
    with pytest.raises(NotPossible, match="以前の版"):
        take_back()
    assert (fresh(order).payment_status, booked()) == (S.CAPTURED, [2500])


def test_nor_the_result_of_a_monthly_registration(shop: World) -> None:
    some = last_attempt(press(authorized_order(shop), Operation.CAPTURE))
    order = held(shop)
    say_ours()
    with writing() as session:
        session.add(
            Billing(
                order_id=order.id,
                month=date(2026, 11, 1),
                amount=2500,
                gateway_order_id=LATER,
                state=BillingState.PAID,
                attempt_id=some.id,
                by_file=False,
            )
        )
    with pytest.raises(NotPossible, match="売上報告"):
        take_back()


def test_a_preorder_is_charged_again_once_it_is_anothers(shop: World) -> None:
    order = preorder(shop)
    say_ours()
    assert fresh(order).payment_status is S.CAPTURED
    take_back()
    assert (looked_up(OWN).payment_status, counted(order)) == (S.AUTHORIZED, OWN)
    answer(Answer.OTHERS)
    press(order, Operation.CAPTURE)
    assert (fresh(order).payment_status, sum(booked())) == (S.CAPTURED, 2500)
    assert [one["order_id"] for one in shop.ledger() if one["status"] == "CAPTURE"] == [
        LATER,
        counted(order),
    ]
    assert problems() == []


def test_a_files_word_that_it_is_paid_is_put_back(shop: World) -> None:
    """It was forgotten once a payment was found; nobody may charge the order beside that word (P3)."""
    order = preorder(shop, 決済方法ステータス="決済完了")
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    before = set(told(order))
    say_ours()
    assert (fresh(order).payment_status, fresh(order).claimed_status) == (S.CAPTURED, None)
    take_back()
    assert fresh(order).claimed_status is S.CAPTURED
    answer(Answer.OTHERS)
    assert looked_up(OWN).payment_status is S.NEEDS_REVIEW
    assert set(told(order)) == before - {AlertKind.UNKNOWN_NUMBER}
    assert AlertKind.CLAIM_UNPROVED in before
    with pytest.raises(NotPossible):
        press(order, Operation.CAPTURE)


def test_the_number_meant_for_the_next_charge_is_that_again(shop: World) -> None:
    """The first charge was declined, so -1 is spent and -2 meant; there somebody else has paid."""
    open_shop()
    shop.gateway.check_card(OWN, GOOD_CARD)
    take_in(row(注文番号=OWN, 予約フラグ="1"))
    order = looked_up(OWN)
    shop.fault("error:42G020000", "ExecTran", order_id=LATER)
    press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    shop.gateway.authorize("7002-2", 2500, GOOD_CARD, job=Job.CAPTURE)
    tell("7002-2", Status="CAPTURE", JobCd="CAPTURE")
    make_due(LATER)
    transaction_lookup.look_up(transaction_of(LATER).id)
    say_ours()
    assert (fresh(order).payment_status, counted(order)) == (S.CAPTURED, "7002-2")
    take_back()
    assert (fresh(order).payment_status, counted(order)) == (S.CAPTURE_FAILED, LATER)
    answer(Answer.OTHERS)
    press(order, Operation.CAPTURE)
    assert (fresh(order).payment_status, sum(booked())) == (S.CAPTURED, 2500)
    taken = [one["order_id"] for one in shop.ledger() if one["status"] == "CAPTURE"]
    assert len(taken) == len(set(taken)) == 2
    assert problems() == []
    kept = set(db.session.scalars(sa.select(CardTransaction.gateway_order_id)))
    assert "7002-2" not in kept  # it is free for the order whose it is


def of(number: str) -> int:
    db.session.rollback()
    return db.session.scalars(
        sa.select(UnknownNumber.id).where(UnknownNumber.gateway_order_id == number)
    ).one()


def look_at_all(order: Order) -> None:
    """Whatever counts meanwhile is looked up as well, until nothing is news any more."""
    for _ in range(3):
        for one in db.session.scalars(
            sa.select(CardTransaction).filter_by(order_id=order.id)
        ).all():
            make_due(one.gateway_order_id)
            transaction_lookup.look_up(one.id)


def test_of_two_answers_that_are_taken_back_neither_counts_any_more(shop: World) -> None:
    """The second was given while the first one's payment counted, which is nobody's by then."""
    order, third = held(shop), "7002-2"
    shop.gateway.authorize(third, 2500, GOOD_CARD, job=Job.CAPTURE)
    tell(third, Status="CAPTURE", JobCd="CAPTURE")
    looked_up(OWN)
    for number in (LATER, third):
        unknown_numbers.answer(OWN, of(number), TANAKA, Answer.OURS)
        look_at_all(order)
        assert (fresh(order).payment_status, counted(order)) == (S.CAPTURED, LATER)
    for number, stands in ((LATER, (S.CAPTURED, third)), (third, (S.AUTHORIZED, OWN))):
        answers_taken_back.ask_again(OWN, of(number), TANAKA)
        look_at_all(order)
        assert (fresh(order).payment_status, counted(order)) == stands
    assert (sum(booked()), problems()) == (0, [])


def test_an_answer_is_about_the_payment_that_was_asked_about(shop: World) -> None:
    """The page was open while that turned out to be another order's, and one more payment came in."""
    order = held(shop)
    asked = question().id
    take_in(row(注文番号=LATER))
    assert told(order) == []
    shop.gateway.authorize("7002-2", 2500, GOOD_CARD, job=Job.CAPTURE)
    tell("7002-2", Status="CAPTURE", JobCd="CAPTURE")
    looked_up(OWN)
    assert question().gateway_order_id == "7002-2"
    with pytest.raises(NotFound):
        unknown_numbers.answer(OWN, asked, TANAKA, Answer.OURS)
    assert booked() == []


def test_a_round_that_another_order_has_by_now_is_told(shop: World) -> None:  # P29
    """Cancelled by what was given back, its round came in again; both would be billed."""
    round_of_both = {"定期購入ID": "T-9", "定期回数": "3"}
    open_shop()
    shop.gateway.enter(OWN, Job.CHECK)
    access = shop.authorize(LATER, 2500)
    shop.gateway.cancel(access, Cancellation.VOID)
    take_in(row(注文番号=OWN, **round_of_both))
    order = looked_up(OWN)
    say_ours()
    assert looked_up(OWN).payment_status is S.CANCELLED
    assert counts(take_in(row(注文番号="7003", **round_of_both))) == {"added": 1}
    take_back()
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    assert AlertKind.DUPLICATE_ROUND in told(order)
