"""Builders of what tests start from; amounts in yen, times aware."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import search_key
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import (
    SGP_METHOD,
    ActorKind,
    CardTransaction,
    Delivery,
    Order,
    OrderKind,
    OrderLine,
    utc_now,
)
from sgpshop.services.orders import history
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing
from sgpshop.storage.vault import seal_access_pass
from tests.gateway_world import World

_numbers = itertools.count(1)


def order_number() -> str:
    """`P` and 18 digits, new each time (R142)."""
    return f"P{next(_numbers):018d}"


def make_order(
    *,
    total: int = 3000,
    status: PaymentStatus | None = PaymentStatus.AUTHORIZED,
    access: TradeAccess | None = None,
    gateway_amount: int | None = None,
    gateway_state: str | None = "AUTH",
    kind: OrderKind = OrderKind.NORMAL,
    method: str = SGP_METHOD,
    order_no: str | None = None,
    buyer: str = "佐藤 花子",
    ordered_at: datetime | None = None,
    authorized_at: datetime | None = None,
    told: bool = False,
    **more: Any,
) -> Order:
    """An order with one line and one delivery, and its transaction if it is paid by SGP card.

    `told`: its history begins as that of a real order does, so that it can be verified.
    """
    order_no = order_no or (access.order_id if access else order_number())
    ordered_at = ordered_at or utc_now() - timedelta(hours=2)
    with writing() as session:
        order = Order(
            order_no=order_no,
            ordered_at=ordered_at,
            kind=kind,
            method=method,
            payment_status=status if method == SGP_METHOD else None,
            buyer_name=buyer,
            buyer_search=search_key(buyer),
            total=total,
            lines=[
                OrderLine(
                    position=1,
                    name="煎茶",
                    unit_price=total,
                    quantity=1,
                    tax_rate=8,
                    item_search=search_key("煎茶"),
                )
            ],
            deliveries=[Delivery(number=0, name=buyer, name_search=search_key(buyer))],
            **more,
        )
        session.add(order)
        session.flush()
        if method == SGP_METHOD:
            start = authorized_at or ordered_at
            session.add(
                CardTransaction(
                    order_id=order.id,
                    gateway_order_id=at_gateway(order_no),
                    access_id=access.access_id if access else None,
                    access_pass_sealed=(
                        seal_access_pass(access.access_pass, at_gateway(order_no))
                        if access
                        else None
                    ),
                    gateway_state=gateway_state if access else None,
                    gateway_amount=gateway_amount or (total if access else None),
                    authorized_at=start if access else None,
                    auth_expires_at=start + timedelta(days=60) if access else None,
                )
            )
        if told:
            history.record(
                order.id,
                "imported",
                Actor(ActorKind.IMPORT, "注文ファイル"),
                before=None,
                after=order.payment_status,
                total=total,
                version=order.version,
                line=2,
            )
    return order


def authorized_order(world: World, *, total: int = 3000, **more: Any) -> Order:
    """An order in 仮売上 here and AUTH at the simulator."""
    return make_order(total=total, access=world.authorize(order_number(), total), **more)


def fresh(order: Order) -> Order:
    """The order as the database has it now."""
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Order, order.id)


def days_ago(days: float) -> datetime:
    """A moment that many days before now."""
    return datetime.now(UTC) - timedelta(days=days)
