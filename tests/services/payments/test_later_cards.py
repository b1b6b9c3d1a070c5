"""Which card is charged later: the one that was checked, whatever the buyer does with theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Card
from sgpshop.models import CardTransaction, Operation, Order, OrderKind
from sgpshop.services import intake
from sgpshop.services.deliveries import parcels
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing
from tests.factories import fresh, make_order, order_number
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.acting import TANAKA, last_attempt, press, seen
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders, subscription
from tests.services.subscribing import Travel, jst
from tests.waiting import wait_until

S = PaymentStatus
BUYER = "buyer-1"
#: The buyer's cards by their number today; the order is paid with the second.
CARDS = ("5555555555551111", "5555555555554444", "5555555555550000")
CHECKED = CardSource(member_id=BUYER, card_seq=1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _buyer(shop: World) -> None:
    """A shop, and a buyer with three cards stored."""
    open_shop()
    shop.gateway.save_member(BUYER)
    for number in CARDS:
        site(shop, "SaveCard", CardNo=number, Expire="4912")


def site(shop: World, api: str, member: str = BUYER, **more: str) -> None:
    """What the buyer does with their cards in the shop front, or a person in the console."""
    login = {"SiteID": "tsite00000001", "SitePass": "sitepass01", "MemberID": member}
    answer = shop.simulator.test_client().post(f"/payment/{api}.idPass", data=login | more)
    assert "ErrCode" not in answer.text


def delete_first(shop: World) -> None:
    """The buyer deletes their first card: the numbers of the others move up."""
    site(shop, "DeleteCard", CardSeq="0")


def replace_kept(shop: World, order: Order) -> None:
    """Somebody puts another card in the place of the one that is kept for the order."""
    wait_until(lambda: fresh(order).transaction.member_id == order.order_no)  # type: ignore[union-attr]
    site(shop, "SaveCard", order.order_no, CardSeq="0", CardNo=CARDS[2], Expire="4912")


def preorder(shop: World) -> Order:
    """A preorder by API, its card the buyer's second."""
    intake.place(new_order(shop, kind=OrderKind.PREORDER, payment=CHECKED), SHOP_FRONT)
    return orders()[-1]


def imported(shop: World) -> Order:
    """A preorder that the shop front had checked itself, and that came by file."""
    number = order_number()
    receipt = shop.gateway.check_card(number, Card(member_id=BUYER, card_seq=1))
    order = make_order(
        access=receipt.access,
        kind=OrderKind.PREORDER,
        gateway_state=None,
        order_no=number,
        gateway_amount=None,
    )
    assert order.transaction is not None
    transaction_lookup.look_soon(order.transaction.id)
    transaction_lookup.look_up(order.transaction.id)
    return fresh(order)


def charged(shop: World, order: Order) -> str:
    """The last digits of the card that the first charge of the order used."""
    trade = shop.gateway.search_trade(f"{order.order_no}-1")
    assert trade is not None
    return trade.card_last4


def words(order: Order) -> str:
    """What the order says about why it was not charged."""
    content = error_content(last_attempt(order))
    assert content is not None
    return content.sentence


@pytest.mark.parametrize("how", ["by api", "by file", "not kept in time"])
def test_a_preorder_is_charged_to_the_card_that_was_checked(shop: World, how: str) -> None:
    if how == "not kept in time":
        shop.fault("drop_before", "TradedCard")
    order = imported(shop) if how == "by file" else preorder(shop)
    if how == "not kept in time":  # keeping goes on after the answer: that try is over
        wait_until(lambda: shop.requests(order.order_no, "TradedCard"))
    delete_first(shop)
    order = press(order, Operation.CAPTURE)
    assert order.payment_status is S.CAPTURED
    assert charged(shop, order) == "4444"


def test_also_when_the_buyer_s_own_number_was_noted_before(shop: World) -> None:
    """Rows of a former version name the buyer's member and a number that has moved since."""
    order = imported(shop)
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(member_id=BUYER, card_seq=1))
    delete_first(shop)
    assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
    assert charged(shop, order) == "4444"


def test_another_card_is_not_charged(shop: World) -> None:
    order = preorder(shop)
    replace_kept(shop, order)
    order = press(order, Operation.CAPTURE)
    assert order.payment_status is S.CAPTURE_FAILED
    assert "カードと異なるため、請求していません" in words(order)
    assert shop.simulator.test_client().get("/_control/ledger").get_json()[-1]["order_id"] != (
        f"{order.order_no}-1"
    )


@pytest.mark.parametrize("driver", [BillingDriver.FILE, BillingDriver.API])
@pytest.mark.parametrize("is_replaced", [False, True])
def test_so_is_a_subscription_by_either_way(
    shop: World, travel: Travel, driver: BillingDriver, is_replaced: bool
) -> None:
    billing.carry_on()
    open_shop(billing_driver=driver.value)
    intake.place(subscription(shop, payment=CHECKED), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    delete_first(shop)
    if is_replaced:
        replace_kept(shop, order)
    for when in (jst(2026, 12, 10, 6, 1), jst(2026, 12, 18, 7)):
        travel(when)
        billing.carry_on()
        settle(order.id)
    order = fresh(order)
    if is_replaced:
        assert order.payment_status is S.CAPTURE_FAILED
        assert "カードと異なるため、請求していません" in words(order)
    else:
        assert order.payment_status is S.BILLING_REPORTED
        assert charged(shop, order) == "4444"
