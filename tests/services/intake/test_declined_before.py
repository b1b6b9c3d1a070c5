"""A number under which a card was declined and nothing was kept: what SMBC-GP knows of it is not forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.order_number import LONGEST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import RefusedCheckout, UnknownNumber, utc_now
from sgpshop.models.base import Base
from sgpshop.services import intake
from sgpshop.services.intake.new_order import CardSource, NewOrder, OnDecline
from sgpshop.services.payments import checkouts, journal, runner
from sgpshop.storage.database import writing
from tests.gateway_world import World
from tests.services.arriving import GOOD, SHOP_FRONT, SHORT_OF_MONEY, new_order, open_shop, orders
from tests.waiting import background_ended, watched_background

S = PaymentStatus
CHALLENGE = "4100000000005000"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "PUBLIC_URL": "http://127.0.0.1:5000"}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    open_shop()
    wait = journal.wait_for_end

    def goes_on_meanwhile(attempt_id: int, seconds: float) -> None:
        """Whoever waits for it waits for the next tries as well, which a worker makes."""
        background_ended()
        for _ in range(4):
            runner.run_operation(attempt_id)
        wait(attempt_id, seconds)

    monkeypatch.setattr(journal, "wait_for_end", goes_on_meanwhile)
    with watched_background(app):
        yield


def declined(new: NewOrder, shop: World) -> None:
    """The buyer tries a card that is declined; nothing is kept."""
    with pytest.raises(intake.Declined):
        intake.place(paid_with(new, shop, SHORT_OF_MONEY), SHOP_FRONT)
    assert orders() == []


def paid_with(new: NewOrder, shop: World, card: str) -> NewOrder:
    return replace(new, payment=CardSource(token=shop.token(card)))


@pytest.mark.postgresql
def test_of_the_longest_number_there_is(shop: World) -> None:  # R142
    number = "A" * LONGEST
    declined(new_order(shop, order_no=number), shop)
    kept = db.session.scalars(sa.select(RefusedCheckout.order_no)).all()
    assert kept == [number]
    assert len(shop.requests(number, "ExecTran")) == 1


def test_an_order_number_fits_wherever_one_is_kept() -> None:
    columns = [
        column
        for table in Base.metadata.sorted_tables
        for column in table.c
        if column.name == "order_no"
    ]
    assert len(columns) >= 5
    short = [str(column) for column in columns if column.type.length <= LONGEST]  # type: ignore[attr-defined]
    assert short == [], "`#` and the longest number"


@pytest.mark.parametrize("was_wanted", [False, True])
def test_the_next_card_passes_three_d_secure_as_that_request_says(
    shop: World, was_wanted: bool
) -> None:
    """The number stays entered as the first request wanted it: it would be paid without, or not at all."""
    new = new_order(shop, three_ds=was_wanted)
    if was_wanted:  # refused before the buyer is sent to the bank
        shop.fault("error:42G020000", "ExecTran")
        with pytest.raises(intake.Declined):
            intake.place(new, SHOP_FRONT)
    else:
        declined(new, shop)
    again = replace(paid_with(new, shop, CHALLENGE), three_ds=not was_wanted)
    placed = intake.place(again, SHOP_FRONT)
    assert shop.trade(new.order_no)["status"] == "UNPROCESSED"
    [order] = orders()
    if was_wanted:
        assert order.payment_status is S.AUTHORIZED
    else:
        assert placed.redirect_url is not None
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == f"{new.order_no}-1"


def forget_declined() -> None:
    """As it is when its card was declined more than a month ago."""
    with writing() as session:
        session.execute(sa.delete(RefusedCheckout))


def test_it_does_a_month_later_too(shop: World) -> None:
    """What was declined is forgotten by us then, and not by SMBC-GP."""
    new = new_order(shop)
    declined(new, shop)
    with writing() as session:
        session.execute(sa.update(RefusedCheckout).values(at=utc_now() - timedelta(days=31)))
    checkouts.tidy()
    assert db.session.scalars(sa.select(RefusedCheckout)).all() == []
    placed = intake.place(replace(paid_with(new, shop, CHALLENGE), three_ds=True), SHOP_FRONT)
    assert placed.redirect_url is not None
    assert shop.trade(new.order_no)["status"] == "UNPROCESSED"


def test_it_does_where_the_first_try_did_not_get_through(shop: World) -> None:
    """A try that entered nothing says nothing about how the number was entered."""
    new = new_order(shop)
    declined(new, shop)
    forget_declined()
    shop.fault("error:E92000001", "EntryTran")
    placed = intake.place(replace(paid_with(new, shop, CHALLENGE), three_ds=True), SHOP_FRONT)
    assert placed.redirect_url is not None
    assert shop.trade(new.order_no)["status"] == "UNPROCESSED"


def test_it_does_where_nobody_was_there_for_the_first_card(shop: World) -> None:
    new = replace(new_order(shop), three_ds=True, on_decline=OnDecline.KEEP)
    declined(replace(new, three_ds=False, on_decline=OnDecline.REFUSE), shop)
    forget_declined()
    shop.wire.cut_off("EntryTran")
    with suppress(intake.PaymentUnavailable):
        intake.place(paid_with(new, shop, CHALLENGE), SHOP_FRONT)
    assert orders() != []
    shop.wire.cut_off()
    placed = intake.place(paid_with(new, shop, CHALLENGE), SHOP_FRONT)
    assert placed.redirect_url is not None
    assert shop.trade(new.order_no)["status"] == "UNPROCESSED"


def test_it_does_where_another_orders_declined_card_had_that_number(shop: World) -> None:  # R141
    new = new_order(shop)
    declined(new, shop)
    declined(replace(new, shipping_fee=0, total=2000), shop)  # under the next number
    other = new_order(shop, order_no=f"{new.order_no}-1", shipping_fee=0, total=2000, three_ds=True)
    placed = intake.place(paid_with(other, shop, CHALLENGE), SHOP_FRONT)
    assert placed.redirect_url is not None
    assert shop.trade(other.order_no)["status"] == "UNPROCESSED"


def test_what_declined_cards_left_is_no_question_to_anybody(shop: World) -> None:  # R141
    """Another amount took the next number: the card after that takes the one after, at once."""
    new = new_order(shop)
    declined(new, shop)
    changed = replace(new, shipping_fee=0, total=2000)
    declined(changed, shop)
    intake.place(paid_with(changed, shop, GOOD), SHOP_FRONT)
    [order] = orders()
    assert order.payment_status is S.AUTHORIZED
    assert db.session.scalars(sa.select(UnknownNumber)).all() == []
    assert {
        number: shop.trade(number)["status"]
        for number in (new.order_no, f"{new.order_no}-1", f"{new.order_no}-2")
    } == {
        new.order_no: "UNPROCESSED",
        f"{new.order_no}-1": "UNPROCESSED",
        f"{new.order_no}-2": "AUTH",
    }


def test_a_stored_card_is_asked_again_for_another_sum(shop: World) -> None:  # P27
    shop.gateway.save_member("buyer-1")
    new = new_order(shop, payment=CardSource(member_id="buyer-1", card_seq=0))
    for total in (2500, 2000):
        shop.fault("error:42G020000", "ExecTran")
        with pytest.raises(intake.Declined):
            intake.place(replace(new, shipping_fee=total - 2000, total=total), SHOP_FRONT)
        shop.behave()
    asked = shop.requests(new.order_no, "ExecTran") + shop.requests(f"{new.order_no}-1", "ExecTran")
    assert len(asked) == 2
