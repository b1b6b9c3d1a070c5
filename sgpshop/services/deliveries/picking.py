"""ピッキングリスト: what is to be taken from the shelves for some orders, product by product (R145a)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sgpshop.domain.delivery_status import OPEN_STATUSES, DeliveryStatus
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.orders.reading import called_off_among
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks


@dataclass(frozen=True, order=True)
class Product:
    """What is told apart on the shelves."""

    code: str
    name: str
    option: str
    jan: str


@dataclass(frozen=True)
class PickedProduct:
    """One row: how many of a product, and for which orders."""

    product: Product
    quantity: int
    #: order number -> how many of them are its
    orders: dict[str, int]


@dataclass(frozen=True)
class PickingList:
    """All of it, by product; `left_out` of the chosen orders have nothing to go out."""

    products: list[PickedProduct]
    orders: list[str]
    left_out: int
    #: left out besides: numbers of those that a file called off, and nobody took note yet
    called_off: list[str]

    @property
    def quantity(self) -> int:
        """How many pieces in all."""
        return sum(row.quantity for row in self.products)


def of_orders(order_ids: Sequence[int]) -> PickingList:
    """What the parcels of these orders that have not left hold; three queries for 1,000 orders.

    Raises ShopError when there is nothing.
    """
    wanted: dict[Product, Counter[str]] = defaultdict(Counter)
    numbers: dict[str, None] = {}
    called_off = called_off_among(order_ids)
    for some in chunks([order_id for order_id in order_ids if order_id not in called_off]):
        parcels: dict[int, dict[int, DeliveryStatus]] = defaultdict(dict)
        for row in db.session.execute(
            sa.select(Delivery.order_id, Delivery.number, Delivery.status).where(
                among(Delivery.order_id, some)
            )
        ):
            parcels[row.order_id][row.number] = row.status
        for line in db.session.execute(_LINES.where(among(Order.id, some))):
            statuses = parcels[line.id]
            # An order with one parcel has all its lines in it, whatever their number says.
            in_parcel = {line.delivery_number} if len(statuses) > 1 else set(statuses)
            if any(statuses.get(number) in OPEN_STATUSES for number in in_parcel):
                product = Product(line.code, line.name, line.option, line.jan)
                wanted[product][line.order_no] += line.quantity
                numbers[line.order_no] = None
    if not wanted:
        raise ShopError(
            "これから発送する商品がありません"
            "(発送済み、キャンセル済みと、注文ファイルで注文キャンセルになった注文は除きます)。"
        )
    products = [
        PickedProduct(product, sum(orders.values()), dict(orders))
        for product, orders in sorted(wanted.items(), key=lambda one: one[0])
    ]
    left_out = len(set(order_ids)) - len(numbers) - len(called_off)
    return PickingList(products, list(numbers), left_out, sorted(called_off.values()))


_LINES = (
    sa.select(
        Order.id,
        Order.order_no,
        OrderLine.delivery_number,
        OrderLine.code,
        OrderLine.name,
        OrderLine.option,
        OrderLine.jan,
        OrderLine.quantity,
    )
    .join(OrderLine, OrderLine.order_id == Order.id)
    .where(sa.or_(Order.payment_status.is_(None), Order.payment_status != PaymentStatus.CANCELLED))
    .order_by(Order.ordered_at, Order.id, OrderLine.position)
)
