"""Orders as they are in the database, loaded for many numbers with a handful of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Attempt, CardTransaction, Delivery, Order, OrderLine
from sgpshop.services.order_import.content import (
    DELIVERY_DEFAULTS,
    LINE_DEFAULTS,
    ORDER_DEFAULTS,
    Content,
    Values,
)


@dataclass(frozen=True)
class StoredTransaction:
    """The transaction that counts, as far as an import asks."""

    id: int
    access_id: str | None
    gateway_state: str | None
    looks: int
    look_problem: str
    next_look_at: datetime | None

    @property
    def is_established(self) -> bool:
        """Whether the gateway, or access data given earlier, already speak for this payment."""
        answered = self.looks > 0 and self.look_problem != "unanswered"
        return bool(self.access_id or self.gateway_state or answered)


@dataclass(frozen=True)
class StoredOrder:
    """One order with everything an import compares."""

    id: int
    version: int
    status: PaymentStatus | None
    content: Content
    transaction: StoredTransaction | None
    is_busy: bool
    #: a person has corrected its amount or content (R66)
    is_edited: bool


def load(session: Session, order_nos: Iterable[str]) -> dict[str, StoredOrder]:
    """The orders with these numbers, by number, kept from other writers until the end."""
    orders = session.execute(
        sa.select(
            Order.id,
            Order.order_no,
            Order.version,
            Order.kind,
            Order.payment_status,
            Order.edited_at,
            *(getattr(Order, name) for name in ORDER_DEFAULTS),
        )
        .where(Order.order_no.in_(list(order_nos)))
        .order_by(Order.id)
        .with_for_update()
    ).all()
    if not orders:
        return {}
    ids = [row.id for row in orders]
    deliveries = _children(session, Delivery, DELIVERY_DEFAULTS, Delivery.number, ids)
    lines = _children(session, OrderLine, LINE_DEFAULTS, OrderLine.position, ids)
    transactions = _transactions(session, ids)
    busy = set(
        session.scalars(
            sa.select(Attempt.order_id).where(Attempt.order_id.in_(ids), Attempt.is_open)
        )
    )
    return {
        row.order_no: StoredOrder(
            id=row.id,
            version=row.version,
            status=row.payment_status,
            content=Content(
                kind=row.kind,
                values={name: getattr(row, name) for name in ORDER_DEFAULTS},
                deliveries=deliveries[row.id],
                lines=lines[row.id],
            ),
            transaction=transactions.get(row.id),
            is_busy=row.id in busy,
            is_edited=row.edited_at is not None,
        )
        for row in orders
    }


def _children(
    session: Session,
    model: type[Delivery] | type[OrderLine],
    names: Iterable[str],
    order_by: Any,
    ids: Sequence[int],
) -> dict[int, list[Values]]:
    columns = [getattr(model, name) for name in names]
    rows = session.execute(
        sa.select(model.order_id, *columns)
        .where(model.order_id.in_(ids))
        .order_by(model.order_id, order_by)
    )
    found: dict[int, list[Values]] = defaultdict(list)
    for order_id, *values in rows:
        found[order_id].append(dict(zip(names, values, strict=True)))
    return found


def _transactions(session: Session, ids: Sequence[int]) -> dict[int, StoredTransaction]:
    rows = session.execute(
        sa.select(
            CardTransaction.order_id,
            CardTransaction.id,
            CardTransaction.access_id,
            CardTransaction.gateway_state,
            CardTransaction.looks,
            CardTransaction.look_problem,
            CardTransaction.next_look_at,
        ).where(CardTransaction.order_id.in_(ids), CardTransaction.is_current)
    )
    return {
        row.order_id: StoredTransaction(
            id=row.id,
            access_id=row.access_id,
            gateway_state=row.gateway_state,
            looks=row.looks,
            look_problem=row.look_problem,
            next_look_at=row.next_look_at,
        )
        for row in rows
    }
