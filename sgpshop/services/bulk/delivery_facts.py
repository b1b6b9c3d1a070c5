"""Just what 配送完了 asks of many orders at once, in one query instead of one per row (R51)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.delivery_rules import DeliveryRefusal, delivery_refusal
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import SGP_METHOD, Attempt, Order, OrderKind, utc_now
from sgpshop.services import settings
from sgpshop.services.orders.facts import OpenAttemptFacts
from sgpshop.storage.database import chunks


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """An order as the table of acts sees it for 配送完了 (domain.order_acts.ActFacts).

    Transaction, parcels and edits play no part in that act and are not loaded.
    """

    id: int
    ordered_at: datetime
    version: int
    is_sgp: bool
    kind: OrderKind
    payment_status: PaymentStatus | None
    processing_class: ProcessingClass
    total: int
    open_attempt: OpenAttemptFacts | None
    transaction: None = None
    deliveries: tuple[()] = ()
    edited_at: datetime | None = None
    cancel_waived_at: datetime | None = None


def load(order_ids: Iterable[int]) -> dict[int, DeliveryFacts]:
    """Facts by order id; ids that do not exist are missing."""
    ids = sorted(set(order_ids))
    found: dict[int, DeliveryFacts] = {}
    for chunk in chunks(ids):
        rows = db.session.execute(_QUERY, {"ids": chunk})
        found.update((row.id, _facts(row)) for row in rows)
    return found


def refusals(order_ids: Iterable[int]) -> dict[int, DeliveryRefusal | None]:
    """By order id why it would be left out; None: it can be made 配送完了 now."""
    terms, now = settings.load(), utc_now()
    return {
        order_id: delivery_refusal(order, terms, now) for order_id, order in load(order_ids).items()
    }


_QUERY = (
    sa.select(
        Order.id,
        Order.ordered_at,
        Order.version,
        Order.method,
        Order.kind,
        Order.payment_status,
        Order.processing_class,
        Order.total,
        Attempt.operation,
        Attempt.uncertain_since,
    )
    .outerjoin(Attempt, sa.and_(Attempt.order_id == Order.id, Attempt.is_open))
    .where(Order.id.in_(sa.bindparam("ids", expanding=True)))
)


def _facts(row: Any) -> DeliveryFacts:
    return DeliveryFacts(
        id=row.id,
        ordered_at=row.ordered_at,
        version=row.version,
        is_sgp=row.method == SGP_METHOD,
        kind=row.kind,
        payment_status=row.payment_status,
        processing_class=row.processing_class,
        total=row.total,
        open_attempt=(
            OpenAttemptFacts(row.operation, row.uncertain_since) if row.operation else None
        ),
    )
