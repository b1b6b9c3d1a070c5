"""The last number of an order is `-99` (R141): behind it nobody pays, and everybody is told so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_rules import MOST_NUMBERS
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.models import Billing, CardTransaction, Operation, Order, utc_now
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, OnDecline
from sgpshop.services.orders import parcels
from sgpshop.services.payments import transaction_lookup, transaction_numbers, unknown_numbers
from sgpshop.services.subscriptions import billing
from sgpshop.services.subscriptions.searching import search
from sgpshop.services.subscriptions.stages import SubscriptionCriteria, SubscriptionTab
from sgpshop.storage.database import writing
from tests import own_worker
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.seeds import each_once
from tests.services.acting import TANAKA, last_attempt, press, seen
from tests.services.arriving import (
    SHOP_FRONT,
    SHORT_OF_MONEY,
    new_order,
    open_shop,
    orders,
    subscription,
)
from tests.services.payments.test_preorders import preorder
from tests.services.payments.test_repaying import travel  # noqa: F401
from tests.services.subscribing import Travel, jst

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "GATEWAY_TRIES": 1}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World, travel: Travel) -> Iterator[None]:  # noqa: F811
    open_shop()
    billing.resume()  # the first registration of a new installation is nobody's
    yield
    own_worker.finish(app)


def at_number(order: Order, sequence: int) -> Order:
    """As if all numbers before were used."""
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order.id, CardTransaction.is_current)
            .values(sequence=sequence)
        )
    return fresh(order)


@pytest.mark.postgresql
def test_the_buyer_s_next_card_is_refused_in_words(shop: World) -> None:
    new = new_order(shop, order_no="Q" * 24, card=SHORT_OF_MONEY, on_decline=OnDecline.KEEP)
    intake.place(new, SHOP_FRONT)
    [order] = orders()
    at_number(order, MOST_NUMBERS - 1)
    again = replace(new, payment=CardSource(token=shop.token(SHORT_OF_MONEY)))
    intake.place(again, SHOP_FRONT)  # the last one
    assert last_attempt(order).gateway_order_id == f"{order.order_no}-99"
    good = replace(new, payment=CardSource(token=shop.token()))
    with pytest.raises(NotPossible, match="これ以上決済できません"):
        intake.place(good, SHOP_FRONT)
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    assert {entry["status"] for entry in shop.ledger()} == {"UNPROCESSED"}


def test_a_preorder_is_not_captured(shop: World) -> None:
    order = at_number(preorder(shop), MOST_NUMBERS)
    with pytest.raises(NotPossible, match="これ以上決済できません"):
        press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is S.AUTHORIZED


def test_a_number_that_turns_out_taken_ends_the_payment(shop: World) -> None:
    """The last number was entered past us for something else: there is no other to go on with."""
    order = at_number(preorder(shop), MOST_NUMBERS - 1)
    shop.enter(f"{order.order_no}-99", 10)
    with time_machine.travel(utc_now() + timedelta(hours=1)):  # who entered it has gone
        order = press(order, Operation.CAPTURE)
        settle(order.id)
    assert fresh(order).payment_status is S.CAPTURE_FAILED
    assert last_attempt(order).reason == "numbers_used_up"


@pytest.mark.parametrize(
    ("driver", "used"), each_once(list(BillingDriver), [MOST_NUMBERS, MOST_NUMBERS - 1])
)
def test_a_subscription_stays_unregistered(
    shop: World,
    travel: Travel,  # noqa: F811
    driver: BillingDriver,
    used: int,
) -> None:
    open_shop(billing_driver=driver.value)
    intake.place(subscription(shop), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    at_number(order, used)
    if used < MOST_NUMBERS:  # SMBC-GP named the last one, which is nobody's
        with writing() as session:
            number = f"{order.order_no}-{MOST_NUMBERS}"
            transaction_numbers.keep_strange(session, fresh(order), MOST_NUMBERS, number)
    travel(jst(2026, 12, 10, 6, 1))
    billing.resume()
    settle(order.id)
    assert fresh(order).payment_status is S.AWAITING_BILLING
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Billing)) == 0
    assert not billing.is_due()
    page = search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION))
    [row] = page.rows
    assert "これ以上決済できません" in row.why
    assert row.registers_at is None


@pytest.mark.parametrize("driver", list(BillingDriver))
def test_a_number_that_smbc_gp_only_named_uses_none_up(
    shop: World,
    travel: Travel,  # noqa: F811
    driver: BillingDriver,
) -> None:
    """A list of SMBC-GP has `-20` and `-99`, which are nobody's: they are asked for, and not there."""
    open_shop(billing_driver=driver.value)
    intake.place(subscription(shop), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    for named in (20, 99):  # behind a gap no look-up would find ours after a restore (P36)
        number = f"{order.order_no}-{named}"
        transaction_lookup.look_soon_at(unknown_numbers.keep_named(number))
    settle(order.id)
    travel(jst(2026, 12, 10, 6, 1))
    billing.resume()
    settle(order.id)
    assert fresh(order).payment_status is S.BILLING_REPORTED
    assert shop.trade(f"{order.order_no}-1")["amount"] == order.total
