"""One order by its number, with all that a screen or an act asks of it."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import set_committed_value

from sgpshop.domain.errors import OrderNotFound
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks


@cache  # making it takes as long as asking it
def _with_payment() -> sa.Select[Order]:
    return (
        sa.select(Order)
        .where(Order.order_no == sa.bindparam("number"))
        .options(joinedload(Order.transaction), joinedload(Order.open_attempt))
        .execution_options(populate_existing=True)
    )


@cache
def _parts(model: type[OrderLine] | type[Delivery], place: Any) -> sa.Select[Any]:
    its_own = model.order_id == sa.bindparam("order")
    return sa.select(model).where(its_own).order_by(place).execution_options(populate_existing=True)


def get_order(order_no: str) -> Order:
    """The order with that number, ready for the screen.  Raises NotFound."""
    found = db.session.scalars(_with_payment(), {"number": order_no})
    order: Order | None = found.one_or_none()
    if order is None:
        raise OrderNotFound
    # By statements made once: what SQLAlchemy loads beside an order it asks for anew each time.
    for name, model, place in (
        ("lines", OrderLine, OrderLine.position),
        ("deliveries", Delivery, Delivery.number),
    ):
        rows = db.session.scalars(_parts(model, place), {"order": order.id})
        set_committed_value(order, name, rows.all())
    return order


def called_off_among(order_ids: Collection[int]) -> dict[int, str]:
    """Those of them that a file called off, and nobody took note yet (R143): id -> order number."""
    found: dict[int, str] = {}
    for some in chunks(list(order_ids)):
        wanted = sa.select(Order.id, Order.order_no).where(
            among(Order.id, some), Order.is_called_off
        )
        found |= {row.id: row.order_no for row in db.session.execute(wanted)}
    return found


def get_order_anew(order_no: str) -> Order:
    """The same as another thread has left it just now.  Raises NotFound."""
    db.session.commit()  # ends the reading transaction, which would still see what was before
    return get_order(order_no)
