"""A payment that is just being made under `<order number>-n`: nobody charges the order beside it (P1)."""

# ruff: noqa: F401, F811 - fixtures of the other files are used by their names
from __future__ import annotations

import pytest
import sqlalchemy as sa

from sgpshop.domain.errors import NotPossible, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Card, Job, ThreeDs, TradeAccess
from sgpshop.models import CardTransaction, Operation, Order, utc_now
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.payments import (
    past_us,
    transaction_lookup,
    transaction_numbers,
    unknown_numbers,
)
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import tell
from tests.services.acting import TANAKA, last_attempt, press
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_charged_all_the_same import told
from tests.services.subscriptions.test_lines_of_lost_books import overrides, travel

pytestmark = pytest.mark.long

S = PaymentStatus


def _ledger(shop: World) -> list[tuple[str, str]]:
    return [(one["order_id"], one["status"]) for one in shop.ledger()]


def _asked(order: Order) -> list[tuple[Answer, ...]]:
    return [
        unknown_numbers.answers_to(order.kind, one) for one in unknown_numbers.open_of(order.id)
    ]


def _hold(shop: World) -> tuple[Order, TradeAccess]:
    """仮売上; SMBC-GP tells that the buyer has entered `-1` at the cart."""
    open_shop()
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002"))
    looked_up("7002")
    access = shop.gateway.enter("7002-1", Job.CAPTURE, 2500)
    tell("7002-1", Status="UNPROCESSED", JobCd="CAPTURE")
    return looked_up("7002"), access


def _preorder(shop: World, *, amount: int, at_bank: bool) -> tuple[Order, TradeAccess]:
    """予約 with a checked card; its buyer is paying `-1` at the cart, perhaps at 3-D Secure."""
    open_shop()
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    looked_up("7001")
    three_ds = ThreeDs("店") if at_bank else None
    access = shop.gateway.enter("7001-1", Job.CAPTURE, amount, three_ds=three_ds)
    if at_bank:
        card, back = Card(token=shop.token()), "https://cart.example/"
        shop.gateway.execute(access, card, job=Job.CAPTURE, return_to=back)
    return looked_up("7001"), access


def test_a_hold_is_not_captured_beside_it(shop: World, travel: Travel) -> None:
    order, access = _hold(shop)
    assert _asked(order) == [(Answer.OTHERS,)]
    [question] = unknown_numbers.open_of(order.id)
    with pytest.raises(NotPossible):
        unknown_numbers.answer("7002", question.id, TANAKA, Answer.OURS)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    with pytest.raises(ShopError):
        press(fresh(order), Operation.CAPTURE)
    assert _ledger(shop) == [("7002", "AUTH"), ("7002-1", "CAPTURE")]
    order = looked_up("7002")  # what was paid is somebody's
    assert _asked(order) == [(Answer.OURS, Answer.OTHERS)]


@pytest.mark.postgresql
def test_who_left_without_paying_is_asked_about_no_more(shop: World, travel: Travel) -> None:
    order, _access = _hold(shop)
    travel(jst(2026, 11, 12, 13))
    transaction = fresh(order).transaction
    assert transaction is not None
    assert transaction.next_look_at is not None
    order = looked_up("7002")
    assert _asked(order) == []
    assert told(order) == []
    press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURED


@pytest.mark.parametrize(("amount", "at_bank"), [(2500, True), (2400, False)])
def test_a_preorder_is_not_charged_under_the_next_number_beside_it(
    shop: World, travel: Travel, amount: int, *, at_bank: bool
) -> None:
    order, _access = _preorder(shop, amount=amount, at_bank=at_bank)
    assert _asked(order) == [(Answer.OTHERS,)]
    assert say_ours() == 0
    press(order, Operation.CAPTURE)
    assert last_attempt(order).reason == unknown_numbers.UNKNOWN_NUMBER
    assert "7001-2" not in dict(_ledger(shop))


def _behind(shop: World, *, is_known: bool) -> Order:
    """仮売上 under `-2`; before it stands a number that nobody used, in our books as such or not."""
    open_shop()
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002"))
    order = looked_up("7002")
    first = shop.gateway.search_trade("7002")
    assert first is not None
    shop.gateway.cancel(first.access, Cancellation.VOID)
    shop.authorize("7002-2", 2500)
    with writing() as session:
        here = lock_order(session, order.id)
        if is_known:
            transaction_numbers.keep_strange(session, here, 1, f"{here.order_no}-1")
        transaction_numbers.return_to(here, "7002-2").entry_sent_at = utc_now()  # by us
    look_at_all(order)
    assert fresh(order).payment_status is S.AUTHORIZED
    return fresh(order)


def look_at_all(order: Order) -> None:
    transaction_lookup.look_soon(order.id)
    for (one,) in db.session.execute(
        sa.select(CardTransaction.id).where(CardTransaction.order_id == order.id)
    ).all():
        transaction_lookup.look_up(one)
    db.session.rollback()


@pytest.mark.postgresql
@pytest.mark.parametrize("is_known", [True, False])
def test_a_number_before_the_one_that_counts_is_asked_about_too(
    shop: World, travel: Travel, *, is_known: bool
) -> None:
    order = _behind(shop, is_known=is_known)
    access = shop.gateway.enter("7002-1", Job.CAPTURE, 2500)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    tell("7002-1", Status="CAPTURE", JobCd="CAPTURE")
    press(order, Operation.CAPTURE)
    assert last_attempt(order).reason == unknown_numbers.UNKNOWN_NUMBER
    assert dict(_ledger(shop))["7002-2"] == "AUTH"


def test_who_left_without_paying_before_it_is_asked_about_no_more(
    shop: World, travel: Travel
) -> None:
    order = _behind(shop, is_known=True)
    shop.gateway.enter("7002-1", Job.CAPTURE, 2500)
    tell("7002-1", Status="UNPROCESSED", JobCd="CAPTURE")
    look_at_all(order)
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    now = fresh(order).transaction
    assert now is not None
    assert now.next_look_at is not None  # a look is to come that ends it
    travel(jst(2026, 11, 12, 13))
    transaction_lookup.look_up(now.id)
    assert told(order) == []
    press(fresh(order), Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURED


def test_what_is_anothers_is_not_asked_about_any_more(shop: World, travel: Travel) -> None:
    order, access = _hold(shop)
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    assert past_us.named(db.session(), [order.id])[order.id] == {f"{order.order_no}-1": 1}
    say_ours(is_ours=False)
    assert past_us.named(db.session(), [order.id])[order.id] == {}
    press(fresh(order), Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURED
