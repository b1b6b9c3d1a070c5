"""The same order handed in many times at once, with lost answers and crashes: one order, one hold.

P1, P2, P27.  Each guard is taken away once, to show that the test would notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services import intake, settings
from sgpshop.services.intake import placing, writing_down
from sgpshop.services.intake.new_order import CardSource, NewOrder
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, transaction_numbers
from tests import own_worker
from tests.faults.judging import settle
from tests.faults.test_races import all_at_once
from tests.gateway_world import Killed, World
from tests.seeds import dice_of, each_once
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders
from tests.waiting import background_ended, watched_background

TIMES = 20
FAULTS = ("drop_before", "drop_after", "garbage", "error_after:E91019999", "error:E92000001")


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 0.3, "CONGESTION_TRIES": 3}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World) -> Iterator[None]:
    open_shop()
    with watched_background(app):
        yield


def holds(shop: World, order_no: str) -> int:
    """How many authorizations SMBC-GP holds for this order, under all its numbers."""
    ledger = shop.simulator.test_client().get("/_control/ledger").get_json()
    return sum(
        trade["status"] == "AUTH"
        for trade in ledger
        if trade["order_id"] == order_no or trade["order_id"].startswith(f"{order_no}-")
    )


@pytest.mark.parametrize(("api", "fault"), each_once(["ExecTran", "EntryTran"], ["", *FAULTS]))
def test_twenty_at_once_make_one_order_and_one_authorization(
    app: Flask, shop: World, api: str, fault: str
) -> None:
    new = new_order(shop)
    if fault:
        shop.fault(fault, api)
    results = all_at_once(app, lambda _n: intake.place(new, SHOP_FRONT), TIMES)
    assert not [result for result in results if isinstance(result, BaseException)]
    assert sum(result.is_new for result in results) == 1
    [order] = orders()
    background_ended()
    settle(order.id)
    assert orders()[0].payment_status is PaymentStatus.AUTHORIZED
    assert holds(shop, new.order_no) == 1
    assert [problem.what for problem in Verification().problems()] == []


@pytest.mark.parametrize("when", ["EntryTran", "ExecTran"])
def test_a_crash_in_between_and_the_same_again(app: Flask, shop: World, when: str) -> None:
    new = new_order(shop)
    shop.wire.die_at(when)
    with suppress(Killed), own_worker.working_by(app, "at once"):
        intake.place(new, SHOP_FRONT)
    db.session.remove()
    with suppress(ShopError):
        intake.place(new, SHOP_FRONT)
    [order] = orders()
    settle(order.id)
    assert orders()[0].payment_status is PaymentStatus.AUTHORIZED
    assert holds(shop, new.order_no) == 1


def test_chains_of_faults_and_repetitions(app: Flask, shop: World) -> None:
    dice = dice_of("ARRIVALS_SEED")
    for _ in range(3):
        new = new_order(shop)
        for _ in range(dice.randrange(1, 4)):
            api = dice.choice(["EntryTran", "ExecTran", "SearchTrade"])
            shop.fault(dice.choice(FAULTS), api, order_id=new.order_no)
        for _ in range(3):
            with suppress(ShopError):
                intake.place(new, SHOP_FRONT)
        shop.behave()
        intake.place(new, SHOP_FRONT)
        [order] = [order for order in orders() if order.order_no == new.order_no]
        background_ended()
        settle(order.id)
        assert fresh_status(order) is PaymentStatus.AUTHORIZED
        assert holds(shop, new.order_no) == 1
    assert [problem.what for problem in Verification().problems()] == []


def fresh_status(order: Order) -> PaymentStatus | None:
    db.session.rollback()
    return db.session.scalar(sa.select(Order.payment_status).where(Order.id == order.id))


def test_were_every_check_of_ours_gone_the_database_would_refuse_a_second_payment(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without «tried before», «nothing is open» and «nothing is held» there is still the database."""
    new = new_order(shop)
    intake.place(new, SHOP_FRONT)
    monkeypatch.setattr(writing_down, "card_token", lambda _new: "another card")
    monkeypatch.setattr(placing, "card_token", lambda _new: "")
    monkeypatch.setattr(transaction_numbers, "LIVE_STATES", frozenset())
    second = writing_down._operation
    monkeypatch.setattr(writing_down, "_second_payment", lambda _o, n, s: second(n, s))
    monkeypatch.setitem(
        acts._MAY_BEGIN_IN, second(new, settings.load()), (PaymentStatus.AUTHORIZED,)
    )
    with pytest.raises(ShopError):
        intake.place(new_with_card(shop, new), SHOP_FRONT)
    assert holds(shop, new.order_no) == 1
    shop.authorize(f"{new.order_no}-1", new.total)
    assert holds(shop, new.order_no) == 2  # what the tests above would see


def new_with_card(shop: World, new: NewOrder) -> NewOrder:
    """The same order, paid with another card."""
    return replace(new, payment=CardSource(token=shop.token()))
