"""Orders as a shop front hands them in, for tests of what becomes of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.models import ActorKind, Attempt, Order, OrderKind
from sgpshop.services import settings
from sgpshop.services.intake.new_order import Buyer, CardSource, Item, NewOrder
from sgpshop.services.orders.history import Actor
from tests.factories import order_number
from tests.gateway_world import World

GOOD, SHORT_OF_MONEY = "4111111111111111", "4999000000000002"
SHOP_FRONT = Actor(ActorKind.API_KEY, "ショップ")


def open_shop(**more: Any) -> None:
    """The shop takes orders."""
    values = {"site_id": "tsite00000001", "shop_id": "tshop00000001", "enabled": True}
    settings.save("test", **(values | {"subscription_enabled": True} | more))


def new_order(world: World, *, card: str = GOOD, **more: Any) -> NewOrder:
    """An order of 2,500 yen whose buyer has just typed in a card."""
    made = NewOrder(
        order_no=order_number(),
        ordered_at=datetime(2026, 11, 23, 10, 15, tzinfo=JST),
        kind=OrderKind.NORMAL,
        buyer=Buyer(name="佐藤 花子", prefecture="東京都", address="千代田区1-1"),
        items=(Item(name="煎茶", code="A-1", unit_price=1000, quantity=2, tax_rate=8),),
        shipping_fee=500,
        total=2500,
        payment=CardSource(token=world.token(card)),
        three_ds=bool(more.get("return_url")),
    )
    return replace(made, **more)


_rounds = itertools.count(1)


def subscription(world: World, **more: Any) -> NewOrder:
    """The next round of a subscription."""
    more = {"subscription_id": "T-1", "subscription_round": next(_rounds)} | more
    return new_order(world, kind=OrderKind.SUBSCRIPTION, **more)


def orders() -> list[Order]:
    """All orders, as the database has them now."""
    db.session.rollback()
    wanted = sa.select(Order).order_by(Order.id)
    return list(db.session.scalars(wanted.execution_options(populate_existing=True)))


def attempts_of(order: Order) -> list[Attempt]:
    """The attempts of an order, oldest first."""
    return list(
        db.session.scalars(
            sa.select(Attempt).where(Attempt.order_id == order.id).order_by(Attempt.id)
        )
    )
