"""Which card is charged later: the one that was checked, whatever the buyer does with theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.gateway import Card
from sgpshop.models import CardTransaction, Operation, Order, OrderKind
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.orders import parcels
from sgpshop.services.payments import attempt_lookup, stored_cards, transaction_lookup
from sgpshop.services.payments.card_notes import NOT_KEPT
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.subscriptions import billing
from sgpshop.storage.database import writing
from tests.factories import fresh, make_order, order_number
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.seeds import each_once
from tests.services.acting import TANAKA, last_attempt, press, seen
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders, subscription
from tests.services.subscribing import Travel, jst
from tests.waiting import background_ended, wait_until, watched_background

pytestmark = pytest.mark.long

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
def _buyer(app: Flask, shop: World) -> Iterator[None]:
    """A shop, and a buyer with three cards stored."""
    open_shop()
    shop.gateway.save_member(BUYER)
    for number in CARDS:
        site(shop, "SaveCard", CardNo=number, Expire="4912")
    with watched_background(app):
        yield


def site(shop: World, api: str, member: str = BUYER, **more: str) -> None:
    """What the buyer does with their cards in the shop front, or a person in the console."""
    login = {"SiteID": "tsite00000001", "SitePass": "sitepass01", "MemberID": member}
    answer = shop.simulator.test_client().post(f"/payment/{api}.idPass", data=login | more)
    assert "ErrCode" not in answer.text


def ours(gateway_order_id: str) -> str:
    """The member of ours that keeps the card of that transaction."""
    return f"sgpshop.tshop00000001.{gateway_order_id}"


def delete_first(shop: World) -> None:
    """The buyer deletes their first card: the numbers of the others move up."""
    site(shop, "DeleteCard", CardSeq="0")


def replace_kept(shop: World, order: Order) -> None:
    """Somebody puts another card in the place of the one that is kept for the order."""
    member = ours(order.order_no)
    wait_until(lambda: fresh(order).transaction.member_id == member)  # type: ignore[union-attr]
    site(shop, "SaveCard", member, CardSeq="0", CardNo=CARDS[2], Expire="4912")


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
    transaction_lookup.look_soon(order.id)
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


@pytest.mark.postgresql
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


@pytest.mark.parametrize(
    ("driver", "is_replaced"), each_once([BillingDriver.FILE, BillingDriver.API], [False, True])
)
def test_so_is_a_subscription_by_either_way(
    shop: World, travel: Travel, driver: BillingDriver, is_replaced: bool
) -> None:
    billing.resume()
    open_shop(billing_driver=driver.value)
    intake.place(subscription(shop, payment=CHECKED), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    delete_first(shop)
    if is_replaced:
        replace_kept(shop, order)
    for when in (jst(2026, 12, 10, 6, 1), jst(2026, 12, 18, 7)):
        travel(when)
        billing.resume()
        settle(order.id)
    order = fresh(order)
    if is_replaced:
        assert order.payment_status is S.CAPTURE_FAILED
        assert "カードと異なるため、請求していません" in words(order)
    else:
        assert order.payment_status is S.BILLING_REPORTED
        assert charged(shop, order) == "4444"


def subscribed(shop: World, order_no: str, token: str = "") -> Order:
    """A delivered subscription paid with a new card, to be billed through the API."""
    open_shop(billing_driver=BillingDriver.API.value)
    new = subscription(shop, order_no=order_no)
    intake.place(replace(new, payment=CardSource(token=token or shop.token())), SHOP_FRONT)
    [order] = orders()
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return order


def billed(order: Order, travel: Travel) -> Order:
    """The order after its registration."""
    travel(jst(2026, 12, 10, 6, 1))
    billing.resume()
    settle(order.id)
    return fresh(order)


class TestAStrangersMember:
    """The shop front has a member whose id is the number of the order."""

    NUMBER = "1000777"

    def put(self, shop: World, *cards: str) -> None:
        """That member, with these cards."""
        shop.gateway.save_member(self.NUMBER)
        for card in cards:
            site(shop, "SaveCard", self.NUMBER, CardNo=card, Expire="4911")

    @pytest.mark.parametrize(
        "cards", [("5105105105101111",), ("5555555555550000",), ()], ids=["alike", "other", "none"]
    )
    def test_is_neither_charged_nor_given_the_buyer_s_card(
        self, shop: World, travel: Travel, cards: tuple[str, ...]
    ) -> None:
        billing.resume()
        self.put(shop, *cards)
        order = billed(subscribed(shop, self.NUMBER), travel)
        assert order.payment_status is S.BILLING_REPORTED
        assert paid_with(shop, order) == ("1111", ours(self.NUMBER))
        assert len(shop.gateway.search_cards(self.NUMBER)) == len(cards)

    def test_is_not_charged_where_a_former_version_took_it_for_ours(
        self, shop: World, travel: Travel
    ) -> None:
        billing.resume()
        self.put(shop, "5105105105101111")
        order = subscribed(shop, self.NUMBER)
        as_before(order, member=self.NUMBER)
        order = billed(order, travel)
        assert order.payment_status is S.BILLING_REPORTED
        assert paid_with(shop, order) == ("1111", ours(self.NUMBER))


def as_before(order: Order, member: str) -> None:
    """The order's rows as a former version left them: a card under that member."""
    wait_until(lambda: fresh(order).transaction.member_id == ours(order.order_no))  # type: ignore[union-attr]
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(member_id=member, card_seq=0))


def paid_with(shop: World, order: Order) -> tuple[str | None, str]:
    """Digits and member of the card that the first charge of the order used."""
    number = f"{order.order_no}-1"
    return shop.cards_of([number])[number]


@pytest.mark.parametrize("put_there", [False, True])
def test_a_card_found_where_ours_belongs_is_taken_only_if_it_is_that_card(
    shop: World, put_there: bool
) -> None:
    """The answer to keeping it was lost; or somebody else's card was put there meanwhile."""
    shop.fault("drop_after", "TradedCard")
    order = preorder(shop)
    wait_until(lambda: shop.requests(order.order_no, "TradedCard"))
    background_ended()
    if put_there:
        site(shop, "SaveCard", ours(order.order_no), CardSeq="0", CardNo=CARDS[2], Expire="4912")
    order = press(order, Operation.CAPTURE)
    assert order.payment_status is S.CAPTURED
    assert charged(shop, order) == "4444"
    assert len(shop.requests(order.order_no, "TradedCard")) == (2 if put_there else 1)


@pytest.mark.parametrize("is_kept_in_time", [True, False])
def test_the_card_of_the_newest_check_is_charged(shop: World, is_kept_in_time: bool) -> None:
    """The order is in 要確認 though its card is kept, and the buyer gives another card."""
    new = new_order(shop, kind=OrderKind.PREORDER)
    intake.place(new, SHOP_FRONT)
    [order] = orders()
    wait_until(lambda: fresh(order).transaction.member_id == ours(order.order_no))  # type: ignore[union-attr]
    background_ended()
    with writing() as session:
        session.execute(sa.update(Order).values(payment_status=S.NEEDS_REVIEW))
    if not is_kept_in_time:
        shop.fault("drop_before", "TradedCard")
    other = CardSource(token=shop.token("5555555555554444"))
    intake.place(replace(new, payment=other), SHOP_FRONT)
    background_ended()
    order = fresh(order)
    assert order.payment_status is S.AUTHORIZED
    assert order.transaction is not None
    assert (order.transaction.member_id == ours(f"{order.order_no}-1")) is is_kept_in_time
    order = press(order, Operation.CAPTURE)
    assert order.payment_status is S.CAPTURED
    number = f"{order.order_no}-2"
    assert shop.cards_of([number])[number] == ("4444", ours(f"{order.order_no}-1"))


class TestToldUntilItIsKept:
    def test_a_check_that_a_look_up_ends_keeps_its_card_too(self, shop: World) -> None:
        shop.fault("drop_after", "ExecTran")
        intake.place(new_order(shop, kind=OrderKind.PREORDER, payment=CHECKED), SHOP_FRONT)
        [order] = orders()
        background_ended()
        attempt_lookup.look_up(last_attempt(order).id)
        now = fresh(order)
        assert now.payment_status is S.AUTHORIZED
        assert now.transaction is not None
        assert now.transaction.member_id == ours(order.order_no)

    def test_a_look_up_between_takes_nothing_back(self, shop: World) -> None:
        shop.fault("error:E01210002", "SaveMember")
        order = preorder(shop)
        background_ended()
        for _ in range(2):
            assert fresh(order).transaction.look_problem == NOT_KEPT  # type: ignore[union-attr]
            transaction_lookup.look_soon(order.id)
            transaction_lookup.look_up(fresh(order).transaction.id)  # type: ignore[union-attr]
        stored_cards.keep_soon(shop.gateway, order.id)
        assert fresh(order).transaction.look_problem == ""  # type: ignore[union-attr]
