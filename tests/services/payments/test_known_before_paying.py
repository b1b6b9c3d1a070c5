"""What our books were told of holds a payment back, also the buyer's own first one (P1, R141)."""

# ruff: noqa: F401 - fixtures of the other file are used by their names
from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import SalesMode
from sgpshop.models import NotificationState, Operation, Order
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, OnDecline
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import tell
from tests.services.acting import press
from tests.services.answering import say_ours
from tests.services.arriving import SHOP_FRONT, new_order, open_shop, orders
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_earlier_transactions import told as alerts_of
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.payments.test_three_ds import _open, at_bank, back, begun, overrides, told
from tests.services.subscriptions.test_charged_all_the_same import pay

pytestmark = pytest.mark.long

S = PaymentStatus


def pay_past_us(shop: World, number: str) -> None:
    """The buyer pays under that number at the cart; SMBC-GP notifies of it."""
    pay(shop, number)
    tell(number, Status="CAPTURE", JobCd="CAPTURE", Amount="2500")


def taken(shop: World) -> list[str]:
    return [t["order_id"] for t in shop.ledger() if t["status"] in ("AUTH", "SALES", "CAPTURE")]


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", [SalesMode.IMMEDIATE, SalesMode.AUTH_THEN_CAPTURE])
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_buyer_who_comes_back_from_the_bank_is_not_charged_beside_it(
    app: Flask, shop: World, is_asked: bool, mode: SalesMode
) -> None:
    open_shop(sales_mode=mode.value)
    order, url = begun(shop)
    access = at_bank(shop, url)
    pay_past_us(shop, f"{order.order_no}-1")
    if is_asked:
        looked_up(order.order_no)
    assert told(back(app, order, access)) == "pending"
    assert taken(shop) == [f"{order.order_no}-1"]
    assert fresh(order).payment_status is S.NEEDS_REVIEW
    assert alerts_of(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert fresh(order).payment_status is S.CAPTURED


def test_another_card_is_not_charged_beside_it(shop: World) -> None:
    new = new_order(shop, on_decline=OnDecline.KEEP)
    shop.wire.cut_off("EntryTran")
    intake.place(new, SHOP_FRONT)
    [order] = orders()
    settle(order.id)
    shop.wire.cut_off()
    pay_past_us(shop, f"{order.order_no}-1")
    intake.place(replace(new, payment=CardSource(token=shop.token(GOOD_CARD.number))), SHOP_FRONT)
    assert taken(shop) == [f"{order.order_no}-1"]
    assert alerts_of(order) == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.postgresql
@pytest.mark.parametrize("by", ["file", "api"])
def test_what_was_told_before_the_order_came_in_is_heard(shop: World, by: str) -> None:
    new = new_order(shop, order_no="7002")
    tell("4711")  # another system's, of digits alone
    pay(shop, "7002-1")
    said = tell("7002-1", Status="CAPTURE", JobCd="CAPTURE", Amount="2500")
    assert said is NotificationState.UNMATCHED
    if by == "api":
        intake.place(new, SHOP_FRONT)
        settle(orders()[0].id)
    else:
        shop.authorize("7002", 2500)
        take_in(row(注文番号="7002", 決済方法ステータス="仮売上"))
        with pytest.raises(NotPossible):
            press(looked_up("7002"), Operation.CAPTURE)
    [order] = orders()
    assert alerts_of(order) == [AlertKind.UNKNOWN_NUMBER]
    assert [t["order_id"] for t in shop.ledger() if t["status"] in ("SALES", "CAPTURE")] == [
        "7002-1"
    ]


@pytest.mark.parametrize(
    "claim", [{"決済方法ステータス": "決済完了"}, {"取引ID": "b" * 32, "取引パスワード": "c" * 32}]
)
def test_what_a_row_that_cannot_be_taken_in_says_is_heard_all_the_same(
    shop: World, claim: dict[str, str]
) -> None:
    """The file says that its buyer paid in another way; a cell beside it is wrong."""
    open_shop()
    shop.authorize("7002", 2500)
    take_in(row(注文番号="7002", 決済方法ステータス="仮売上"))
    order = looked_up("7002")
    pay(shop, "7002-1")
    run = take_in(row(注文番号="7002", 数量="二", **claim))
    assert run.left_out == 1
    press(order, Operation.CAPTURE)
    assert alerts_of(order) == [AlertKind.UNKNOWN_NUMBER]
    assert [t["order_id"] for t in shop.ledger() if t["status"] in ("SALES", "CAPTURE")] == [
        "7002-1"
    ]
