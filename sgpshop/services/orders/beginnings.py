"""The chain of the orders' beginnings: what shows that an order, or its history, was removed (P5).

Each order is noted when it is written down and when its history begins, in the transaction that
does it (storage/chain.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.extensions import db
from sgpshop.models import Beginning, BeginningsEnd, BeginningStep, Order, table_of
from sgpshop.storage.chain import Chain

_end = table_of(BeginningsEnd)
CHAIN = Chain(table_of(Beginning), _end, "beginnings", "注文の受付の記録")
_LAST = sa.select(_end.c.last).where(_end.c.id == 1).scalar_subquery()
_later = aliased(Beginning)


def note(connection: sa.Connection, what: BeginningStep, orders: Sequence[tuple[int, str]]) -> None:
    """Add that these orders, by id and number, got so far, within an open write transaction."""
    if orders:
        steps = [{"order_id": number, "order_no": no, "what": what} for number, no in orders]
        CHAIN.add(connection, steps)


def of_order() -> sa.ScalarSelect[Any]:
    """How far the order of the enclosing query got; NULL: its beginning was never noted.

    Rows outside the chain say nothing: they can be written without the key.
    """
    return (
        sa.select(Beginning.what)
        .where(
            Beginning.order_no == Order.order_no,
            Beginning.order_id == Order.id,
            Beginning.id.between(1, _LAST),
        )
        .order_by(Beginning.id.desc())
        .limit(1)
        .correlate(Order)
        .scalar_subquery()
    )


def vanished() -> Iterator[str]:
    """Numbers of orders that began, were not taken back, and are not there."""
    return iter(
        db.session.scalars(
            sa.select(Beginning.order_no)
            .where(
                Beginning.what != BeginningStep.TAKEN_BACK,
                Beginning.id.between(1, _LAST),
                ~sa.exists().where(
                    _later.order_no == Beginning.order_no,
                    _later.id > Beginning.id,
                    _later.id <= _LAST,
                ),
                ~sa.exists().where(
                    Order.id == Beginning.order_id, Order.order_no == Beginning.order_no
                ),
            )
            .order_by(Beginning.id)
        ).all()
    )
