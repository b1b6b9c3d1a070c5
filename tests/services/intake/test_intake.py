"""An order is handed in with a card: authorized, captured or checked, once, by kind and setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import SalesMode
from sgpshop.extensions import db
from sgpshop.models import AttemptState, Operation, Order, OrderKind, RefusedCheckout
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, DeliveryItem, Item, OnDecline, ShipTo
from sgpshop.services.orders import history
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import journal
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.arriving import (
    GOOD,
    SHOP_FRONT,
    SHORT_OF_MONEY,
    attempts_of,
    new_order,
    open_shop,
    orders,
    subscription,
)
from tests.waiting import background_ended, wait_until, watched_background

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World) -> Iterator[None]:
    open_shop()
    with watched_background(app):
        yield


def soon(app: Flask) -> None:
    """Nobody waits for the worker, who takes it up again."""
    app.config["CHECKOUT_WAIT"] = 0.2


def settled(order: Order) -> None:
    """The thread that carried the call out has ended, and what it left is worked off."""
    background_ended()
    settle(order.id)


def explained() -> list[str]:
    return [problem.what for problem in Verification().problems()]


def kept_card() -> tuple[str, int | None]:
    """Member and number of the only order's card, once it is kept at SMBC-GP."""

    wait_until(lambda: orders()[0].transaction.member_id)  # type: ignore[union-attr]
    transaction = orders()[0].transaction
    assert transaction is not None
    return transaction.member_id, transaction.card_seq


class TestByKindAndSalesMode:
    @pytest.mark.postgresql
    def test_a_normal_order_is_authorized(self, shop: World) -> None:  # T1, R8
        new = new_order(shop)
        placed = intake.place(new, SHOP_FRONT)
        assert (placed.order_no, placed.is_new, placed.redirect_url) == (new.order_no, True, None)
        [order] = orders()
        assert order.payment_status is S.AUTHORIZED
        assert order.transaction is not None
        assert order.transaction.gateway_amount == 2500
        assert order.transaction.auth_expires_at is not None
        assert shop.trade(new.order_no)["status"] == "AUTH"
        assert attempts_of(order)[0].card_sealed is None  # S10
        assert explained() == []

    @pytest.mark.postgresql
    def test_it_is_captured_at_once_with_immediate_sales(self, shop: World) -> None:  # T2, R13
        open_shop(sales_mode=SalesMode.IMMEDIATE.value)
        intake.place(new_order(shop), SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is S.CAPTURED
        assert order.transaction is not None
        assert order.transaction.captured_amount == 2500
        assert shop.trade(order.order_no)["status"] == "CAPTURE"
        assert explained() == []

    @pytest.mark.parametrize("mode", list(SalesMode))
    def test_of_a_preorder_only_the_card_is_checked(
        self, shop: World, mode: SalesMode
    ) -> None:  # T3, R110, R111
        open_shop(sales_mode=mode.value)
        intake.place(new_order(shop, kind=OrderKind.PREORDER), SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is S.AUTHORIZED
        assert order.transaction is not None
        assert order.transaction.gateway_amount is None
        assert shop.trade(order.order_no)["status"] == "CHECK"
        assert kept_card() == (f"sgpshop.tshop00000001.{order.order_no}", 0)

    def test_a_subscription_waits_for_its_month(self, shop: World) -> None:  # T4, R21
        intake.place(subscription(shop, subscription_round=1), SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is S.AWAITING_BILLING
        assert (order.subscription_id, order.subscription_round) == ("T-1", 1)
        assert kept_card() == (f"sgpshop.tshop00000001.{order.order_no}", 0)  # for the billing
        assert explained() == []

    def test_a_stored_card_can_pay(self, shop: World) -> None:
        first = new_order(shop, kind=OrderKind.PREORDER)
        intake.place(first, SHOP_FRONT)
        shop.gateway.save_member("buyer-1")  # the shop front's own; ours are not taken
        stored = shop.gateway.store_traded_card(first.order_no, "buyer-1")
        card = CardSource(member_id=stored.member_id, card_seq=stored.seq)
        intake.place(new_order(shop, payment=card), SHOP_FRONT)
        assert orders()[1].payment_status is S.AUTHORIZED

    def test_several_parcels_hold_their_own_items(self, shop: World) -> None:
        tea = Item(name="煎茶", code="A-1", unit_price=1000, quantity=3, tax_rate=8)
        parcels = (
            ShipTo(name="佐藤 花子", items=(DeliveryItem("A-1", 1),)),
            ShipTo(name="鈴木 一郎", items=(DeliveryItem("A-1", 2),)),
        )
        new = new_order(shop, items=(tea,), deliveries=parcels, total=3500)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        assert [delivery.name for delivery in order.deliveries] == ["佐藤 花子", "鈴木 一郎"]
        assert [(line.delivery_number, line.quantity) for line in order.lines] == [(1, 1), (2, 2)]


class TestDeclined:
    def test_nothing_is_kept_by_default(self, shop: World) -> None:  # interfaces.md §5
        new = new_order(shop, card=SHORT_OF_MONEY)
        with pytest.raises(intake.Declined) as refused:
            intake.place(new, SHOP_FRONT)
        assert refused.value.codes == ("42G020000",)
        assert orders() == []
        assert db.session.scalars(sa.select(RefusedCheckout.order_no)).all() == [new.order_no]

    def test_the_same_card_again_gets_the_same_answer_without_a_call(
        self, shop: World
    ) -> None:  # P27
        new = new_order(shop, card=SHORT_OF_MONEY)
        for _ in range(2):
            with pytest.raises(intake.Declined):
                intake.place(new, SHOP_FRONT)
        assert len(shop.requests(new.order_no, "ExecTran")) == 1

    def test_the_next_order_answers_for_itself_alone(
        self, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # P2
        """It comes in between the card company's no and the answer to the shop front."""
        new, following = new_order(shop, card=SHORT_OF_MONEY), new_order(shop)
        wait, came = journal.wait_for_end, []

        def waits(attempt_id: int, seconds: float) -> None:
            wait(attempt_id, seconds)
            if not came:
                came.append(following.order_no)
                intake.place(following, SHOP_FRONT)

        monkeypatch.setattr(journal, "wait_for_end", waits)
        with pytest.raises(intake.Declined):
            intake.place(new, SHOP_FRONT)
        assert [order.order_no for order in orders()] == [following.order_no]

    def test_another_card_pays_for_the_same_number(self, shop: World) -> None:
        new = new_order(shop, card=SHORT_OF_MONEY)
        with pytest.raises(intake.Declined):
            intake.place(new, SHOP_FRONT)
        intake.place(replace(new, payment=CardSource(token=shop.token(GOOD))), SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is S.AUTHORIZED
        assert shop.trade(new.order_no)["status"] == "AUTH"  # the entered one, used again

    def test_with_another_amount_it_takes_the_next_number(
        self, app: Flask, shop: World
    ) -> None:  # R141
        new = new_order(shop, card=SHORT_OF_MONEY)
        with pytest.raises(intake.Declined):
            intake.place(new, SHOP_FRONT)
        changed = replace(
            new, shipping_fee=0, total=2000, payment=CardSource(token=shop.token(GOOD))
        )
        soon(app)
        intake.place(changed, SHOP_FRONT)
        [order] = orders()
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert shop.trade(f"{new.order_no}-1")["amount"] == 2000

    def test_it_is_kept_by_choice(self, shop: World) -> None:  # T5, R18
        new = new_order(shop, card=SHORT_OF_MONEY, on_decline=OnDecline.KEEP)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is S.NEEDS_REVIEW
        assert attempts_of(order)[0].error_codes == "42G020000"
        assert explained() == []

    def test_the_buyer_pays_a_kept_one_with_another_card(self, shop: World) -> None:  # R106
        new = new_order(shop, card=SHORT_OF_MONEY, on_decline=OnDecline.KEEP)
        intake.place(new, SHOP_FRONT)
        again = intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)
        assert not again.is_new
        [order] = orders()
        assert order.payment_status is S.AUTHORIZED
        assert order.order_no == new.order_no
        assert shop.trade(f"{new.order_no}-1")["status"] == "AUTH"
        assert explained() == []


class TestAgain:
    def test_the_same_order_again_is_the_first_answer(self, shop: World) -> None:  # P27
        new = new_order(shop)
        intake.place(new, SHOP_FRONT)
        again = intake.place(new, SHOP_FRONT)
        assert (again.order_no, again.is_new) == (new.order_no, False)
        assert len(shop.requests(new.order_no, "ExecTran")) == 1

    def test_also_with_another_card(self, shop: World) -> None:  # P1
        new = new_order(shop)
        intake.place(new, SHOP_FRONT)
        intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)
        assert len(orders()) == 1
        assert len(shop.requests(new.order_no, "ExecTran")) == 1

    def test_other_content_under_the_same_number_is_refused(self, shop: World) -> None:
        new = new_order(shop)
        intake.place(new, SHOP_FRONT)
        with pytest.raises(intake.OrderNumberTaken):
            intake.place(replace(new, total=2600, shipping_fee=600), SHOP_FRONT)
        assert [order.total for order in orders()] == [2500]


class TestLostAnswers:
    def test_a_lost_entry_is_found_and_gone_on_with(
        self, app: Flask, shop: World
    ) -> None:  # protocol.md §9
        soon(app)
        new = new_order(shop)
        shop.fault("drop_after", "EntryTran")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert len(shop.requests(new.order_no, "EntryTran")) == 1

    def test_an_entry_that_never_arrived_is_sent_again(self, app: Flask, shop: World) -> None:
        soon(app)
        new = new_order(shop)
        shop.fault("drop_before", "EntryTran")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED

    def test_a_lost_authorization_is_found(self, shop: World) -> None:  # P14
        new = new_order(shop)
        shop.fault("drop_after", "ExecTran")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        assert order.payment_status is S.NEEDS_REVIEW
        assert order.open_attempt is not None
        assert order.open_attempt.state is AttemptState.UNKNOWN
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert len(shop.requests(new.order_no, "ExecTran")) == 1
        assert explained() == []

    def test_one_that_was_not_carried_out_is_sent_again_with_the_same_token(
        self, shop: World
    ) -> None:  # P2, P10
        new = new_order(shop)
        shop.fault("drop_before", "ExecTran")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert [attempt.operation for attempt in attempts_of(order)] == [Operation.AUTHORIZE] * 2
        carried_out = [r["fault"] is None for r in shop.requests(new.order_no, "ExecTran")]
        assert carried_out == [False, True]
        assert explained() == []

    def test_once_it_was_in_doubt_a_declined_order_stays(self, shop: World) -> None:  # P2
        new = new_order(shop, card=SHORT_OF_MONEY)
        shop.fault("drop_before", "ExecTran")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        settled(order)
        assert fresh(order).payment_status is S.NEEDS_REVIEW
        assert explained() == []

    def test_a_number_in_use_is_asked_for_until_smbc_gp_says_for_what(self, shop: World) -> None:
        new = new_order(shop)
        shop.enter(new.order_no, 1000)  # by somebody else, and never paid
        shop.fault("http:503", "SearchTrade")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        assert order.open_attempt is not None
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert shop.trade(f"{new.order_no}-1")["status"] == "AUTH"

    def test_a_number_that_turns_out_paid_is_the_orders_and_nothing_is_sent(
        self, shop: World
    ) -> None:  # P18, P36
        new = new_order(shop)
        shop.authorize(new.order_no, 2500)
        paid = len(shop.requests(new.order_no, "ExecTran"))
        shop.fault("http:503", "SearchTrade")
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        settled(order)
        assert fresh(order).payment_status is S.AUTHORIZED
        assert len(shop.requests(new.order_no, "ExecTran")) == paid
        assert [row["order_id"] for row in shop.ledger()] == [new.order_no]

    def test_a_renewed_password_keeps_nothing(self, app: Flask, shop: World) -> None:
        shop.fault("error:E01030002", "EntryTran", times=9)
        with pytest.raises(intake.PaymentRefused):
            intake.place(new_order(shop), SHOP_FRONT)
        assert orders() == []


class TestNotTaken:
    def test_a_shop_that_takes_no_orders(self, shop: World) -> None:  # R87
        open_shop(enabled=False)
        with pytest.raises(intake.IntakeClosed):
            intake.place(new_order(shop), SHOP_FRONT)

    def test_subscriptions_where_there_are_none(self, shop: World) -> None:  # R26
        open_shop(subscription_enabled=False)
        with pytest.raises(intake.IntakeClosed):
            intake.place(subscription(shop), SHOP_FRONT)

    def test_the_history_tells_who_handed_it_in(self, shop: World) -> None:  # P5
        intake.place(new_order(shop), SHOP_FRONT)
        [order] = orders()
        told = history.entries(order.id)
        assert [entry.event for entry in told] == ["authorize_done", "received"]
        assert {entry.actor for entry in told} == {"ショップ"}
