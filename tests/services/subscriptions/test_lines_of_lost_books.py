"""A monthly file that our books have lost, or another system's (P36): each of its lines is charged once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask, current_app

from sgpshop.cli import commands
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import MonthlyLine, monthly_file
from sgpshop.models import (
    Attempt,
    BillingState,
    CardTransaction,
    FiledNumber,
    Operation,
    Order,
    utc_now,
)
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, NewOrder
from sgpshop.services.orders import parcels
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import again, billing
from sgpshop.storage.database import writing
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import Killed, World
from tests.seeds import each_once
from tests.services.acting import TANAKA, cancel, correct, last_attempt, press, seen
from tests.services.answering import say_left, say_ours
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription
from tests.services.payments.test_three_ds import OURS
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

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("says_ours")]

S, B = PaymentStatus, BillingState


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {
        "QUIET_PERIOD": 0.0,
        "GATEWAY_TRIES": 1,
        "CONGESTION_TRIES": 1,
        "CHECKOUT_WAIT": 10.0,
        "NIGHTLY_COMPARE_HOUR": 3,
        "PUBLIC_URL": OURS,
    }


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World, travel: Travel) -> Iterator[None]:
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's
    yield
    own_worker.finish(app)


def file_of_lost_books(shop: World, order: Order, *, yen: int = 2500, number: int = 1) -> None:
    """Sent before the books of the night before were put back."""
    own_worker.ended(current_app._get_current_object())  # type: ignore[attr-defined]  # keeps the card
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


def not_charged(shop: World, order: Order) -> None:
    """The card company will refuse the lines of that order on the day of results."""
    context = shop.simulator.extensions["endpoint"].context
    with context.ledger.transaction() as db:
        of_order = f"{order.order_no}-%"
        db.execute("UPDATE monthly_lines SET card_seq = '9' WHERE order_id LIKE ?", (of_order,))


def leave_out(shop: World, order: Order, *, is_left_out: bool) -> None:
    """The results have no word of the lines of that order; and what comes later has all of them."""
    context = shop.simulator.extensions["endpoint"].context
    with context.ledger.transaction() as db:
        refused = "lost" if is_left_out else ""
        of_order = f"{order.order_no}-%"
        db.execute(
            "UPDATE monthly_lines SET refused = ? WHERE order_id LIKE ?", (refused, of_order)
        )
        db.execute("UPDATE monthly_files SET is_settled = 0")


def troubled(shop: World, trouble: str) -> None:
    """The next payment meets it, after its number was entered or found."""
    if trouble == "unreachable":
        shop.wire.cut_off("ExecTran")
    elif trouble == "killed":
        shop.wire.die_at("ExecTran", "before")
    else:
        shop.fault("error:E92000001" if trouble == "congested" else "drop_before", "ExecTran")


def mended(shop: World) -> None:
    shop.wire.cut_off()
    shop.wire.die_at("")
    shop.behave()


#: of a day on which one thing follows from the other
ALL_DAY = (3, 4, 9, 12)


def nights(
    travel: Travel, order: Order, *days: tuple[int, int, int], hours: tuple[int, ...] = (3, 9)
) -> None:
    """The worker on these days: its comparison of the night, and in the morning."""
    for day in days:
        for hour in hours:
            travel(jst(*day, hour, 1))
            daily.run()
            work_off(order.id)
            go_on(order)


def sold(shop: World, order: Order) -> list[tuple[str, int]]:
    return [
        (one["order_id"], one["amount"])
        for one in shop.ledger()
        if one["status"] == "CAPTURE" and one["order_id"].startswith(order.order_no)
    ]


@pytest.mark.parametrize(
    ("driver", "line"),
    each_once(list(BillingDriver), [(2500, 1), (2400, 1), (2500, 2), (2400, 3)]),
)
def test_what_it_charges_is_charged_once(
    shop: World, travel: Travel, driver: BillingDriver, line: tuple[int, int]
) -> None:
    yen, number = line
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
    assert "記録にない月次ファイル" in content.sentence
    for day in (18, 19, 20, 21):
        travel(jst(2026, 12, day, 9))
        go_on(order)
    travel(jst(2027, 1, 10, 9))
    go_on(order)
    say_ours()  # a file is not made in a call of its own
    assert sold(shop, order) == [(f"{order.order_no}-{number}", yen)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


LATE = [(2026, 12, day) for day in (10, 18, 19, 20, 21, 22)]


@pytest.mark.postgresql
@pytest.mark.parametrize(("driver", "number"), each_once(list(BillingDriver), [1, 2]))
def test_results_that_come_late_are_waited_for(
    shop: World, travel: Travel, driver: BillingDriver, number: int
) -> None:
    open_shop(billing_driver=driver.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order, number=number)
    shop.set_result_day(28)
    nights(travel, order, *LATE)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    assert the_billing(order).state is B.POSTPONED
    assert sold(shop, order) == []
    nights(travel, order, (2026, 12, 28), (2026, 12, 29), (2027, 1, 10), (2027, 1, 18))
    assert sold(shop, order) == [(f"{order.order_no}-{number}", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


def test_results_that_do_not_name_it_are_asked_for_again(shop: World, travel: Travel) -> None:
    """On the 18th without its line; on the 22nd they say that it was not charged."""
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    not_charged(shop, order)
    leave_out(shop, order, is_left_out=True)
    nights(travel, order, (2026, 12, 10), (2026, 12, 18), (2026, 12, 21))
    assert the_billing(order).state is B.POSTPONED
    assert sold(shop, order) == []
    leave_out(shop, order, is_left_out=False)
    nights(travel, order, (2026, 12, 22), (2026, 12, 23))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


def test_results_that_never_come_are_waited_for_until_a_person_says_so(
    app: Flask, shop: World, travel: Travel
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    shop.fault("http:503", "Batch", times=1_000, job_cd="result")
    not_charged(shop, order)
    travel(THE_10TH)
    go_on(order)
    assert "まだ届く可能性があります" in close_results(app, exit_code=1)
    nights(travel, order, (2026, 12, 19), (2026, 12, 21), (2027, 1, 9), (2027, 3, 1))
    assert sold(shop, order) == []
    assert the_billing(order).state is B.POSTPONED
    assert "待たないことにしました" in close_results(app, exit_code=0)
    nights(travel, order, (2027, 3, 2))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED


def close_results(app: Flask, *, exit_code: int) -> str:
    db.session.commit()
    done = app.test_cli_runner().invoke(commands, ["close-results", "--month", "2026-12"])
    assert done.exit_code == exit_code
    return done.output


@pytest.mark.parametrize(("driver", "number"), each_once(list(BillingDriver), [1, 2]))
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


TROUBLES = ["unreachable", "killed", "lost", "congested"]


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("trouble", "then"), each_once(TROUBLES, ["cancelled", "by file", "another amount"])
)
def test_trouble_while_paying_makes_it_no_number_of_ours(
    shop: World, travel: Travel, trouble: str, then: str
) -> None:
    open_shop(billing_driver=BillingDriver.API.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    travel(THE_10TH)
    troubled(shop, trouble)
    with contextlib.suppress(Killed):
        go_on(order)
    mended(shop)
    settle(order.id)
    if then == "cancelled":
        order = cancel(not_delivered(fresh(order)))
        assert last_attempt(order).reason == "in_file"
    elif then == "by file":
        open_shop(billing_driver=BillingDriver.FILE.value)
    else:
        order = fresh(order)
        back = parcels.ParcelReturn([0], date(2026, 12, 10))
        parcels.take_back(order.id, seen(order), TANAKA, back)
        with pytest.raises(NotPossible, match="月次ファイル"):
            correct(order, 1500)
        parcels.waive_cancel(order.id, seen(order), TANAKA, "一部は受け取った")
    for hour in (8, 10, 20):
        travel(jst(2026, 12, 10, hour))
        go_on(order)
    assert sold(shop, order) == []
    nights(travel, order, (2026, 12, 18), (2026, 12, 19), (2026, 12, 21), (2027, 1, 10))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


class TestPayingAgain:
    """売上失敗, and the buyer pays again: with the number that is perhaps in an unknown file."""

    @pytest.fixture
    def new(self, shop: World, travel: Travel) -> NewOrder:
        open_shop(billing_driver=BillingDriver.API.value)
        new = subscription(shop)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        travel(THE_10TH)
        shop.fault("error:42G020000", "ExecTran")  # not enough money, that day
        go_on(order)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        return new

    @pytest.fixture
    def order(self, new: NewOrder) -> Order:
        [order] = orders()
        return order

    def again(self, shop: World, new: NewOrder, **more: Any) -> PaymentStatus | None:
        """The buyer pays with a new card."""
        paying = replace(new, payment=CardSource(token=shop.token()), **more)
        with contextlib.suppress(Killed):
            intake.place(paying, SHOP_FRONT)
        mended(shop)
        [order] = orders()
        settle(order.id)
        return fresh(order).payment_status

    @pytest.mark.parametrize("trouble", TROUBLES)
    def test_trouble_while_paying_takes_no_other_number(
        self, shop: World, travel: Travel, new: NewOrder, order: Order, trouble: str
    ) -> None:
        file_of_lost_books(shop, order, number=2)
        for hour in (8, 9):
            travel(jst(2026, 12, 10, hour))
            troubled(shop, trouble)
            assert self.again(shop, new) is S.CAPTURE_FAILED
        assert last_attempt(order).reason == "may_be_filed"
        nights(travel, order, (2026, 12, 19))
        assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert explained() == []

    def test_a_line_that_was_not_charged_is_given_up_after_its_results(
        self, shop: World, travel: Travel, new: NewOrder, order: Order
    ) -> None:
        file_of_lost_books(shop, order, number=2)
        not_charged(shop, order)
        assert self.again(shop, new) is S.CAPTURE_FAILED
        travel(jst(2026, 12, 19, 9))
        assert self.again(shop, new) is S.CAPTURE_FAILED
        nights(travel, order, (2026, 12, 21))
        assert self.again(shop, new) is S.BILLING_REPORTED
        assert sold(shop, order) == [(f"{order.order_no}-3", 2500)]
        assert explained() == []

    @pytest.fixture
    def entered(self, shop: World, new: NewOrder, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call of ours entered `-2`, its answer was lost, and no look-up was answered either."""
        enter = shop.gateway.enter

        def lost(*args: Any, **more: Any) -> Any:
            shop.wire.cut_off("SearchTrade")
            return enter(*args, **more)

        shop.fault("drop_after", "EntryTran")
        with monkeypatch.context() as patched:
            patched.setattr(shop.gateway, "enter", lost)
            assert self.again(shop, new) is S.CAPTURE_FAILED

    @pytest.mark.usefixtures("entered")
    def test_a_lost_answer_to_a_call_of_ours_holds_up_no_buyer(
        self, shop: World, travel: Travel, new: NewOrder, order: Order
    ) -> None:
        travel(jst(2026, 12, 10, 8))
        assert self.again(shop, new) is S.BILLING_REPORTED
        assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]

    @pytest.mark.usefixtures("entered")
    def test_nor_one_who_goes_to_the_bank(
        self, shop: World, travel: Travel, new: NewOrder, order: Order
    ) -> None:
        travel(jst(2026, 12, 10, 8))
        self.again(shop, new, return_url="https://shop.example/thanks", three_ds=True)
        assert last_attempt(order).gateway_order_id == f"{order.order_no}-3"
        assert last_attempt(order).reason != "may_be_filed"

    @pytest.mark.usefixtures("entered")
    def test_nor_a_registration_by_file(self, shop: World, travel: Travel, order: Order) -> None:
        open_shop(billing_driver=BillingDriver.FILE.value)
        travel(jst(2026, 12, 10, 8))
        assert again.take_again([order.order_no], "a token of a form", TANAKA)
        for minute in (1, 20, 40):
            travel(jst(2026, 12, 10, 8, minute))
            go_on(order)
        assert the_billing(order).gateway_order_id == f"{order.order_no}-3"
        # What the call entered would pass for the line of a file whose answer is lost.
        filed = db.session.scalars(sa.select(FiledNumber.gateway_order_id)).all()
        assert filed == [f"{order.order_no}-3"]
        nights(travel, order, (2026, 12, 18), (2026, 12, 19))
        assert sold(shop, order) == [(f"{order.order_no}-3", 2500)]
        assert explained() == []

    @pytest.mark.usefixtures("entered")
    def test_a_line_from_before_that_call_is_not_taken_for_it(
        self, shop: World, travel: Travel, new: NewOrder, order: Order
    ) -> None:
        """It was refused as one that exists, and that answer was lost."""
        with writing() as session:
            session.execute(
                sa.update(CardTransaction)
                .where(CardTransaction.gateway_order_id == f"{order.order_no}-2")
                .values(entry_sent_at=utc_now() + timedelta(hours=1))
            )
        travel(jst(2026, 12, 10, 8))
        assert self.again(shop, new) is S.CAPTURE_FAILED
        assert last_attempt(order).reason == "may_be_filed"


@pytest.mark.parametrize(("driver", "before"), each_once(list(BillingDriver), [False, True]))
def test_a_line_that_was_not_charged_is_given_up_after_its_results(
    shop: World, travel: Travel, driver: BillingDriver, before: bool
) -> None:
    """`before`: an earlier version had it refused by SMBC-GP, as the line of a file."""
    open_shop(billing_driver=driver.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    not_charged(shop, order)
    travel(THE_10TH)
    go_on(order)
    if before:
        with writing() as session:
            session.execute(sa.update(Attempt).values(error_codes="E01410010", sent_at=utc_now()))
    nights(
        travel,
        order,
        *((2026, 12, day) for day in (18, 21)),
        *((2027, 1, day) for day in (9, 10, 19)),
        hours=ALL_DAY,
    )
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert the_billing(order).state is B.PAID
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


@pytest.mark.parametrize(
    ("driver", "number", "back"),
    each_once(list(BillingDriver), [1, 2], ["taken back", "returned"]),
)
def test_what_is_charged_after_a_refused_cancel_is_found(
    shop: World, travel: Travel, driver: BillingDriver, number: int, back: str
) -> None:
    open_shop(billing_driver=driver.value)
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order, number=number)
    travel(THE_10TH)
    go_on(order)
    if back == "taken back":
        order = not_delivered(order)
    else:
        returned = parcels.ParcelReturn([0], date(2026, 12, 10))
        parcels.take_back(order.id, seen(order), TANAKA, returned)
    order = cancel(order)
    assert last_attempt(order).reason == "in_file"
    nights(travel, order, (2026, 12, 11), (2026, 12, 19))
    assert sold(shop, order) == [(f"{order.order_no}-{number}", 2500)]
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert the_billing(order).state is B.PAID
    assert explained() == []


def test_what_results_refused_is_charged_by_call_as_soon_as_a_person_wants_it(
    shop: World, travel: Travel
) -> None:
    """Registered by file on the 10th, NG on the 18th; then the shop charges by API."""
    open_shop(billing_driver=BillingDriver.FILE.value)
    order = delivered(shop)
    travel(THE_10TH)
    go_on(order)
    not_charged(shop, order)
    travel(THE_18TH)
    go_on(order)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    open_shop(billing_driver=BillingDriver.API.value)
    assert again.take_again([order.order_no], "again", TANAKA) == 1
    go_on(order)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    nights(travel, order, (2026, 12, 19), (2026, 12, 21))
    assert sold(shop, order) == [(f"{order.order_no}-2", 2500)]
    assert explained() == []


def test_its_total_stays_while_such_a_line_may_charge_what_it_was(
    shop: World, travel: Travel
) -> None:
    """R103: on the screen and by a file, until a person says that the buyer left, or its results are here."""
    order = not_delivered(delivered(shop))
    travel(jst(2026, 12, 10, 5))
    file_of_lost_books(shop, order)
    transaction_lookup.look_soon(order.id)
    work_off(order.id)
    with pytest.raises(NotPossible, match="結果が届くまで、金額は変更できません"):
        correct(order, 1500)
    assert fresh(order).total == 2500
    travel(jst(2026, 12, 10, 6))
    say_left(order.order_no)
    assert correct(order, 1500).total == 1500
