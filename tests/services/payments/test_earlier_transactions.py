"""Only the transaction that counts now speaks for its order; what arrives for another is kept,
checked and ends (R106, R112, R141)."""

from __future__ import annotations

import io
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job
from sgpshop.models import (
    CardTransaction,
    HistoryEntry,
    NotificationState,
    Operation,
    Order,
    OrderKind,
    Role,
    utc_now,
)
from sgpshop.services.orders import alerts
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.payments.journal import RunResult
from sgpshop.services.reconciliation import console_file, daily, ledgers
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, days_ago, fresh, make_order, order_number
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import tell
from tests.services.acting import TANAKA, cancel, press
from tests.services.arriving import open_shop
from tests.signing_in import signed_in

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("says_ours")]

S = PaymentStatus
LIMITS = Limits(max_bytes=5_242_880, max_lines=20_000, max_cell=1_000)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


def preorder(shop: World) -> Order:
    """予約, 仮売上: its card was found valid."""
    number = order_number()
    access = shop.gateway.check_card(number, GOOD_CARD).access
    return make_order(
        access=access,
        kind=OrderKind.PREORDER,
        gateway_state="CHECK",
        order_no=number,
        gateway_amount=None,
        told=True,
    )


def paid_with_another_card(shop: World) -> Order:
    """The first card was declined; the buyer paid with another, under the number with -1."""
    number = order_number()
    first = shop.enter(number, 3000)
    order = make_order(
        order_no=number, access=first, status=S.NEEDS_REVIEW, gateway_state="UNPROCESSED", told=True
    )
    shop.authorize(f"{number}-1", 3000)
    make_due(number)
    transaction_lookup.look_up(transaction_of(number).id)
    assert fresh(order).payment_status is S.AUTHORIZED
    return fresh(order)


def transaction_of(number: str) -> CardTransaction:
    db.session.rollback()
    return db.session.scalars(
        sa.select(CardTransaction)
        .where(CardTransaction.gateway_order_id == number)
        .execution_options(populate_existing=True)
    ).one()


def make_due(number: str) -> None:
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.gateway_order_id == number)
            .values(next_look_at=utc_now())
        )


def told(order: Order) -> list[AlertKind]:
    db.session.rollback()
    return [alert.kind for alert in alerts.open_of(order.id)]


def pay_first_number_after_all(shop: World, order: Order) -> None:
    """In the console the first try of the declined card is charged after all."""
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.execute(trade.access, GOOD_CARD, job=Job.AUTH)


def work(app: Flask) -> None:
    Worker(app).run(until_idle=True)


@pytest.mark.postgresql
def test_a_preorder_captured_soon_after_the_notice_of_its_check(app: Flask, shop: World) -> None:
    order = preorder(shop)
    assert tell(order.order_no, Status="CHECK", JobCd="CHECK") is NotificationState.WAITING
    order = press(order, Operation.CAPTURE)
    assert order.payment_status is S.CAPTURED
    make_due(order.order_no)  # the look-up that the notice led to comes last
    assert transaction_lookup.look_up(transaction_of(order.order_no).id) is RunResult.ENDED
    work(app)
    assert fresh(order).payment_status is S.CAPTURED
    assert transaction_of(order.order_no).next_look_at is None  # it ends
    assert told(order) == []


def test_a_comparison_that_was_on_its_way_while_the_capture_ran(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = preorder(shop)
    make_due(order.order_no)
    ask = shop.gateway.search_trade

    def slow(number: str) -> Any:
        seen_before = ask(number)
        monkeypatch.setattr(shop.gateway, "search_trade", ask)
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        return seen_before

    monkeypatch.setattr(shop.gateway, "search_trade", slow)
    check = transaction_of(order.order_no)
    assert transaction_lookup.look_up(check.id) is RunResult.ENDED
    assert transaction_lookup.look_up(check.id) is RunResult.NOT_OURS  # nothing is left of it
    assert fresh(order).payment_status is S.CAPTURED
    assert transaction_of(order.order_no).gateway_state == "CHECK"


def test_what_is_seen_of_an_earlier_number_never_becomes_the_orders_status(shop: World) -> None:
    order = paid_with_another_card(shop)
    order = press(order, Operation.CAPTURE)
    make_due(order.order_no)
    assert transaction_lookup.look_up(transaction_of(order.order_no).id) is RunResult.ENDED
    assert fresh(order).payment_status is S.CAPTURED  # and not 要確認, as the first try says
    assert transaction_of(order.order_no).next_look_at is None


def test_a_hold_left_under_an_earlier_number_is_told_once(shop: World) -> None:
    order = press(paid_with_another_card(shop), Operation.CAPTURE)
    pay_first_number_after_all(shop, order)
    for _ in range(2):
        make_due(order.order_no)
        transaction_lookup.look_up(transaction_of(order.order_no).id)
        assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    order = fresh(order)
    assert order.payment_status is S.CAPTURED
    [alert] = alerts.open_of(order.id)
    assert f"{order.order_no} 仮売上 3,000円" in alert.facts
    assert "取り消してください" in alert.kind.next_step
    events = sa.select(HistoryEntry.event).where(HistoryEntry.order_id == order.id)
    assert list(db.session.scalars(events)).count("earlier_is_live") == 1
    alerts.acknowledge(order.order_no, alert.id, TANAKA, "")
    make_due(order.order_no)
    transaction_lookup.look_up(transaction_of(order.order_no).id)
    assert told(order) == []  # acknowledged is acknowledged


def test_a_hold_that_the_next_payment_of_the_buyer_leaves_behind_is_told(shop: World) -> None:
    order = authorized_order(shop, status=S.CAPTURE_FAILED)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.VOID)  # else it stays what pays the order
    shop.authorize(f"{order.order_no}-1", 3000)
    shop.authorize(f"{order.order_no}-2", 3000)
    make_due(order.order_no)
    transaction_lookup.look_up(transaction_of(order.order_no).id)
    order = fresh(order)
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == f"{order.order_no}-2"
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    assert transaction_of(f"{order.order_no}-1").gateway_state == "AUTH"  # it is in our books


def test_a_notice_about_an_earlier_number_leads_to_a_look(app: Flask, shop: World) -> None:
    order = press(paid_with_another_card(shop), Operation.CAPTURE)
    pay_first_number_after_all(shop, order)
    with writing() as session:  # long after the capture
        session.execute(sa.text("UPDATE attempts SET finished_at = NULL"))
        session.execute(sa.text("UPDATE card_transactions SET looked_up_at = NULL"))
    assert tell(order.order_no, Status="AUTH", JobCd="AUTH") is NotificationState.WAITING
    work(app)
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    assert fresh(order).payment_status is S.CAPTURED


class TestComparisons:
    """Every number an order ever used takes part; a live one that does not count is a difference."""

    def test_the_consoles_list(self, shop: World) -> None:
        order = press(paid_with_another_card(shop), Operation.CAPTURE)
        listed = f"オーダーID,状態,金額\r\n{order.order_no},実売上,3000\r\n".encode("cp932")
        result = console_file.compare(io.BytesIO(listed), LIMITS)
        assert result.agreeing == 0
        [found] = result.differences
        assert "別の取引が残っています" in found.why
        assert result.planned == 1
        assert transaction_of(order.order_no).next_look_at is not None  # that one is looked at

    def test_the_ledgers(self, shop: World) -> None:
        order = press(paid_with_another_card(shop), Operation.CAPTURE)
        [before] = ledgers.compare([order.order_no])
        assert before.verdict is ledgers.Verdict.AGREES
        pay_first_number_after_all(shop, order)
        [after] = ledgers.compare([order.order_no])
        assert after.verdict is ledgers.Verdict.DIFFERENCE
        assert f"別の取引が残っています({order.order_no} 仮売上 3,000円)" in after.as_line()
        assert after.as_json()["left"] == [
            {"order_id": order.order_no, "status": "AUTH", "amount": 3000}
        ]

    def test_the_night(self, shop: World) -> None:
        order = press(paid_with_another_card(shop), Operation.CAPTURE)
        charged = press(preorder(shop), Operation.CAPTURE)
        ids = set(db.session.scalars(daily._candidates(0, utc_now())))
        assert transaction_of(order.order_no).id in ids
        assert transaction_of(f"{order.order_no}-1").id in ids
        assert transaction_of(charged.order_no).id not in ids  # a card check holds nothing

    def test_a_person_who_asks_for_a_look(self, app: Flask, shop: World) -> None:
        order = press(paid_with_another_card(shop), Operation.CAPTURE)
        pay_first_number_after_all(shop, order)
        transaction_lookup.look_soon(order.id)
        work(app)
        assert told(order) == [AlertKind.EARLIER_IS_LIVE]


class TestCancellingACapturedPreorder:
    """What SMBC-GP does not find is not cancelled without a refund and without a word."""

    def test_another_shop_id_in_the_settings(
        self, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = press(preorder(shop), Operation.CAPTURE)
        with monkeypatch.context() as other_shop:
            other_shop.setattr(shop.gateway, "search_trade", lambda _number: None)
            order = cancel(order)
            assert order.payment_status is S.NEEDS_REVIEW
            assert told(order) == [AlertKind.UNCOLLECTED]
            age(order)
            order = cancel(order)  # and pressed again
            assert order.payment_status is S.NEEDS_REVIEW
        assert order.transaction is not None
        transaction_lookup.look_soon(order.id)
        transaction_lookup.look_up(order.transaction.id)
        assert fresh(order).payment_status is S.CAPTURED
        assert shop.trade(f"{order.order_no}-1")["status"] == "CAPTURE"

    @pytest.mark.parametrize("before", [S.AUTHORIZED, S.CAPTURE_FAILED])
    def test_one_that_was_never_charged_needs_no_refund(self, shop: World, before: S) -> None:
        order = preorder(shop)
        with writing() as session:
            session.get_one(Order, order.id).payment_status = before
        assert cancel(order).payment_status is S.CANCELLED


def age(order: Order) -> None:
    """So old that the buyer cannot be paying any more (R96)."""
    with writing() as session:
        session.get_one(Order, order.id).ordered_at = days_ago(1)


def test_a_cancelled_subscription_that_was_charged_is_told(shop: World) -> None:
    number = order_number()
    access = shop.gateway.authorize(f"{number}-1", 3000, GOOD_CARD, job=Job.CAPTURE).access
    order = make_order(
        order_no=number,
        kind=OrderKind.SUBSCRIPTION,
        status=S.CANCELLED,
        access=access,
        gateway_state="CHECK",
        told=True,
    )
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order.id)
            .values(
                gateway_order_id=f"{number}-1", is_charge=True, sequence=1, next_look_at=utc_now()
            )
        )
    transaction_lookup.look_up(transaction_of(f"{number}-1").id)
    assert told(order) == [AlertKind.NOT_REFUNDED]
    assert fresh(order).payment_status is S.BILLING_REPORTED


def test_cancelling_names_what_is_left_under_another_number_though_it_was_acknowledged(
    app: Flask, shop: World
) -> None:
    order = paid_with_another_card(shop)
    pay_first_number_after_all(shop, order)
    make_due(order.order_no)
    transaction_lookup.look_up(transaction_of(order.order_no).id)
    [alert] = alerts.open_of(order.id)
    alerts.acknowledge(order.order_no, alert.id, TANAKA, "")
    assert told(order) == []
    open_shop()
    with app.app_context():  # a page of its own
        page = signed_in(app, Role.OPERATOR).get(f"/orders/{order.order_no}/cancel").text
    assert f"ほかの番号の取引が残っています({order.order_no} 仮売上 3,000円)" in page
    assert cancel(order).payment_status is S.CANCELLED
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    [alert] = alerts.open_of(order.id)
    assert f"{order.order_no} 仮売上 3,000円" in alert.facts


def test_after_a_cancel_found_at_smbc_gp_what_is_left_is_the_orders(shop: World) -> None:
    order = paid_with_another_card(shop)
    pay_first_number_after_all(shop, order)
    make_due(order.order_no)
    transaction_lookup.look_up(transaction_of(order.order_no).id)
    [alert] = alerts.open_of(order.id)
    alerts.acknowledge(order.order_no, alert.id, TANAKA, "")
    number = f"{order.order_no}-1"
    trade = shop.gateway.search_trade(number)
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.VOID)
    make_due(number)
    transaction_lookup.look_up(transaction_of(number).id)
    transaction_lookup.look_up(transaction_of(order.order_no).id)  # it is due now
    order = fresh(order)
    assert order.payment_status is S.AUTHORIZED
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == order.order_no
    assert told(order) == []
