"""再決済 of a subscription that could not be billed: by 3-D Secure, by a renewed card, in doubt (T23)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.models import Operation, Order, OrderKind
from sgpshop.services import intake, subscriptions
from sgpshop.services.intake.new_order import CardSource, NewOrder
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import attempt_lookup, runner, transaction_lookup
from sgpshop.services.subscriptions import billing
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import World
from tests.services.acting import TANAKA, last_attempt, press, seen
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders, subscription
from tests.services.payments.test_later_cards import BUYER, replace_kept, site
from tests.services.payments.test_three_ds import CHALLENGE, OURS, THANKS, at_bank, back, told
from tests.services.subscribing import Travel, jst

pytestmark = pytest.mark.long

S = PaymentStatus
SLOT = CardSource(member_id=BUYER, card_seq=0)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "GATEWAY_TRIES": 1, "PUBLIC_URL": OURS}


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


def failed(shop: World, travel: Travel, **more: Any) -> tuple[NewOrder, Order]:
    """A subscription of November that its card did not pay for in December: 売上失敗."""
    more = {"payment": CardSource(token=shop.token(expire="2611"))} | more
    new = subscription(shop, **more)
    intake.place(new, SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    for when in (jst(2026, 12, 10, 6, 1), jst(2026, 12, 18, 7)):
        travel(when)
        billing.resume()
        settle(order.id)
    order = fresh(order)
    assert order.payment_status is S.CAPTURE_FAILED
    return new, order


def number_of(order: Order) -> str:
    """The order's number at SMBC-GP that counts now."""
    transaction = fresh(order).transaction
    assert transaction is not None
    return transaction.gateway_order_id


def explained() -> list[str]:
    return [problem.what for problem in Verification().problems()]


@contextmanager
def nobody_waits(app: Flask) -> Iterator[None]:
    """Within the block nobody waits for what cannot come to an end just now."""
    with own_worker.working_by(app, "at once"), patch.dict(app.config, CHECKOUT_WAIT=0.0):
        yield


class TestByThreeDs:
    """The shop front repeats its request with a new card and where the buyer goes afterwards."""

    def begun(self, shop: World, new: NewOrder) -> str:
        paying = CardSource(token=shop.token(CHALLENGE))
        again = replace(new, payment=paying, return_url=THANKS, three_ds=True)
        placed = intake.place(again, SHOP_FRONT)
        assert placed.redirect_url is not None
        assert intake.place(again, SHOP_FRONT).redirect_url == placed.redirect_url  # P27
        return placed.redirect_url

    @pytest.mark.postgresql
    @pytest.mark.parametrize("driver", list(BillingDriver))
    def test_the_buyer_passes_and_it_is_paid(
        self, app: Flask, shop: World, travel: Travel, driver: BillingDriver
    ) -> None:
        open_shop(billing_driver=driver.value)
        new, order = failed(shop, travel)
        url = self.begun(shop, new)
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        number = number_of(order)
        access_id = at_bank(shop, url)
        assert [told(back(app, order, access_id, number)) for _ in range(2)] == ["paid", "paid"]
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert shop.trade(number)["status"] == "CAPTURE"
        assert len(shop.requests(number, "SecureTran2")) == 1
        assert explained() == []

    def test_a_buyer_whose_payment_is_not_made_is_not_told_that_it_was(
        self, app: Flask, shop: World, travel: Travel
    ) -> None:
        """The shop takes the old card once more while the buyer is at the bank."""
        new, order = failed(shop, travel)
        access_id = at_bank(shop, self.begun(shop, new))
        number = number_of(order)
        assert subscriptions.take_again([order.order_no], "form", TANAKA) == 1
        assert fresh(order).payment_status is S.AWAITING_BILLING
        assert told(back(app, order, access_id, number)) == "pending"
        assert shop.requests(number, "SecureTran2") == []
        travel(jst(2027, 1, 10, 6, 1))
        billing.resume()  # the old card's line is at SMBC-GP by now, and nothing is taken yet
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert told(back(app, order, access_id, number)) == "pending"

    def entered_and_not_paid(
        self, app: Flask, shop: World, new: NewOrder, order: Order, **more: Any
    ) -> str:
        """再決済 whose card was never sent: the number is entered at SMBC-GP, for that way."""
        shop.wire.cut_off("ExecTran")
        with nobody_waits(app):
            intake.place(replace(new, payment=CardSource(token=shop.token()), **more), SHOP_FRONT)
        settle(order.id)
        shop.wire.cut_off()
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        number = number_of(order)
        assert shop.trade(number)["status"] == "UNPROCESSED"
        return number

    @pytest.mark.parametrize("is_refused_once", [False, True])
    def test_never_under_a_number_entered_without_it(
        self, app: Flask, shop: World, travel: Travel, is_refused_once: bool
    ) -> None:
        new, order = failed(shop, travel)
        entered = self.entered_and_not_paid(app, shop, new, order)
        if is_refused_once:  # the second buyer's try does not get as far as the number
            shop.wire.cut_off("SearchTrade")
            again = replace(
                new, payment=CardSource(token=shop.token()), return_url=THANKS, three_ds=True
            )
            with nobody_waits(app):
                intake.place(again, SHOP_FRONT)
            settle(order.id)
            shop.wire.cut_off()
            assert fresh(order).payment_status is S.CAPTURE_FAILED
        paying = CardSource(token=shop.token(CHALLENGE))
        again = replace(new, payment=paying, return_url=THANKS, three_ds=True)
        with nobody_waits(app):
            intake.place(again, SHOP_FRONT)
        settle(order.id)
        placed = intake.place(again, SHOP_FRONT)
        assert placed.redirect_url is not None
        access_id = at_bank(shop, placed.redirect_url)
        number = number_of(order)
        assert told(back(app, order, access_id, number)) == "paid"
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert number != entered
        assert shop.trade(entered)["status"] == "UNPROCESSED"
        assert explained() == []

    def test_a_billing_never_goes_there(self, app: Flask, shop: World, travel: Travel) -> None:
        """Nobody is at the bank's page when the worker bills."""
        open_shop(billing_driver=BillingDriver.API.value)
        new = subscription(shop)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        shop.fault("error:42G550000", "ExecTran")  # no money in the account, this once
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
        settle(order.id)
        entered = self.entered_and_not_paid(app, shop, new, order, return_url=THANKS, three_ds=True)
        subscriptions.take_again([order.order_no], "form", TANAKA)
        billing.resume()
        settle(order.id)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert shop.trade(entered)["status"] == "UNPROCESSED"
        assert shop.trade(number_of(order))["status"] == "CAPTURE"
        assert explained() == []

    def test_also_under_the_number_of_the_billing(
        self, app: Flask, shop: World, travel: Travel
    ) -> None:
        """Another card was in its place, so that the billing by API sent nothing under its number."""
        open_shop(billing_driver=BillingDriver.API.value)
        new = subscription(shop)
        intake.place(new, SHOP_FRONT)
        [order] = orders()
        parcels.deliver(order.id, seen(order), TANAKA, [0])
        replace_kept(shop, order)
        travel(jst(2026, 12, 10, 6, 1))
        billing.resume()
        settle(order.id)
        access_id = at_bank(shop, self.begun(shop, new))
        number = number_of(order)
        assert told(back(app, order, access_id, number)) == "paid"
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert shop.trade(number)["status"] == "CAPTURE"

    def test_one_who_does_not_pass_can_try_again(
        self, app: Flask, shop: World, travel: Travel
    ) -> None:
        new, order = failed(shop, travel)
        access_id = at_bank(shop, self.begun(shop, new), "no")
        assert told(back(app, order, access_id, number_of(order))) == "failed"
        assert fresh(order).payment_status is S.CAPTURE_FAILED
        access_id = at_bank(shop, self.begun(shop, new))
        assert told(back(app, order, access_id, number_of(order))) == "paid"
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert explained() == []


@pytest.mark.parametrize("driver", list(BillingDriver))
def test_another_card_is_not_dropped_while_the_old_one_is_taken_again(
    shop: World, travel: Travel, driver: BillingDriver
) -> None:
    """The buyer would believe to have paid with it."""
    open_shop(billing_driver=driver.value)
    new, order = failed(shop, travel)
    assert subscriptions.take_again([order.order_no], "form", TANAKA) == 1
    other = replace(new, payment=CardSource(token=shop.token()))
    with pytest.raises(intake.BeingBilled, match="登録済みのカード"):
        intake.place(other, SHOP_FRONT)
    assert intake.place(new, SHOP_FRONT).order_no == order.order_no  # the same again is no new card
    for when in (jst(2027, 1, 10, 6, 1), jst(2027, 1, 18, 7)):  # it fails once more
        travel(when)
        billing.resume()
        settle(order.id)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert explained() == []


class TestByTheSameStoredCard:
    @pytest.fixture(autouse=True)
    def _buyer(self, shop: World) -> None:
        shop.gateway.save_member(BUYER)
        site(shop, "SaveCard", CardNo="5555555555554444", Expire="2611")

    def test_renewed_it_pays(self, shop: World, travel: Travel) -> None:
        new, order = failed(shop, travel, payment=SLOT)
        intake.place(new, SHOP_FRONT)  # not renewed yet: tried, and refused again
        assert last_attempt(order).error_codes == "42G830000"
        site(shop, "SaveCard", CardSeq="0", CardNo="5555555555554444", Expire="3112")
        intake.place(new, SHOP_FRONT)
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert shop.trade(number_of(order))["status"] == "CAPTURE"
        assert explained() == []

    def test_paid_it_is_not_paid_again(self, shop: World, travel: Travel) -> None:  # P1, P27
        new, order = failed(shop, travel, payment=SLOT)
        site(shop, "SaveCard", CardSeq="0", CardNo="5555555555554444", Expire="3112")
        for _ in range(3):
            intake.place(new, SHOP_FRONT)
        number = number_of(order)
        assert len(shop.requests(number, "ExecTran")) == 1
        assert fresh(order).payment_status is S.BILLING_REPORTED


@pytest.mark.parametrize("driver", list(BillingDriver))
def test_ended_by_hand_it_has_failed_as_before(
    shop: World, travel: Travel, driver: BillingDriver
) -> None:
    """P15: nobody knew whether it was paid, a person ended the doubt; it was not, and stays so."""
    open_shop(billing_driver=driver.value)
    new, order = failed(shop, travel)
    shop.fault("drop_before", "ExecTran")
    shop.fault("http:503", "SearchTrade", times=50, order_id=f"{order.order_no}-2")
    intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    travel(jst(2026, 12, 18, 7) + timedelta(hours=2))
    attempt_lookup.close_by_hand(last_attempt(order).id, "電話で確認しました", TANAKA)
    shop.behave()
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_soon(transaction.order_id)
    transaction_lookup.look_up(transaction.id)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    travel(jst(2027, 1, 10, 6, 1))
    billing.resume()
    assert fresh(order).open_attempt is None
    assert not billing.is_due()
    assert last_attempt(order).operation == "repay"
    assert explained() == []


def test_a_registration_under_its_number_is_one_of_the_month_again(
    shop: World, travel: Travel
) -> None:
    """再決済 was never sent; もう一度登録する took its number, and a person ended the doubt of that."""
    open_shop(billing_driver=BillingDriver.API.value)
    new, order = failed(shop, travel)
    shop.wire.cut_off("EntryTran")
    intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)
    shop.wire.cut_off()
    assert subscriptions.take_again([order.order_no], "a token of a form", TANAKA)
    shop.fault("drop_before", "ExecTran")
    billing.resume()
    runner.run_operation(last_attempt(order).id)
    assert last_attempt(order).gateway_order_id == f"{order.order_no}-2"
    shop.wire.cut_off("SearchTrade")
    travel(jst(2026, 12, 18, 10))
    attempt_lookup.close_by_hand(last_attempt(order).id, "電話で確認しました", TANAKA)
    shop.wire.cut_off()
    transaction_lookup.look_soon(order.id)
    settle(order.id)
    work_off(order.id)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    assert subscriptions.failed_months() != []


def test_another_card_is_not_dropped_for_what_is_charged_later(shop: World) -> None:
    """The card that was checked would be charged, and the buyer believe that it was the other (R106)."""
    open_shop()
    for new in (new_order(shop, kind=OrderKind.PREORDER), subscription(shop)):
        intake.place(new, SHOP_FRONT)
        order = orders()[-1]
        settle(order.id)
        other = replace(new, payment=CardSource(token=shop.token()))
        with pytest.raises(intake.BeingBilled, match="新しい注文番号"):
            intake.place(other, SHOP_FRONT)
        # the same card again is no new one
        assert intake.place(new, SHOP_FRONT).order_no == order.order_no


def test_nor_is_it_while_the_first_is_still_asked_about(shop: World) -> None:
    open_shop()
    new = new_order(shop, kind=OrderKind.PREORDER)
    shop.fault("drop_after", "ExecTran")
    intake.place(new, SHOP_FRONT)
    [order] = orders()
    assert order.payment_status is S.NEEDS_REVIEW
    with pytest.raises(intake.BeingBilled, match="結果が出てから"):
        intake.place(replace(new, payment=CardSource(token=shop.token())), SHOP_FRONT)


def test_another_card_is_not_dropped_for_a_preorder_whose_charge_failed(shop: World) -> None:
    """The card that was checked would be charged, and the buyer believe that it was the other."""
    open_shop()
    new = new_order(shop, kind=OrderKind.PREORDER)
    intake.place(new, SHOP_FRONT)
    [order] = orders()
    settle(order.id)
    shop.fault("error:42G550000", "ExecTran")
    assert press(fresh(order), Operation.CAPTURE).payment_status is S.CAPTURE_FAILED
    other = replace(new, payment=CardSource(token=shop.token()))
    with pytest.raises(intake.BeingBilled, match="新しい注文番号"):
        intake.place(other, SHOP_FRONT)
    assert intake.place(new, SHOP_FRONT).order_no == order.order_no  # the same again is no new card
