"""How the orders of a slip file stand now: payment, parcels, what is under way; no query per row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

import sqlalchemy as sa

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderKind
from sgpshop.services.orders.facts import OpenAttemptFacts, TransactionFacts, load_facts
from sgpshop.storage.database import chunks


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery of an order."""

    id: int
    number: int
    status: DeliveryStatus
    carrier_code: str
    slip_no: str
    delivered_at: datetime | None
    returned_on: date | None
    return_reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One order, as domain.order_rules and domain.order_acts ask about it."""

    id: int
    order_no: str
    ordered_at: datetime
    version: int
    is_sgp: bool
    kind: OrderKind
    payment_status: PaymentStatus | None
    total: int
    transaction: TransactionFacts | None
    open_attempt: OpenAttemptFacts | None
    processing_class: ProcessingClass
    edited_at: datetime | None
    cancel_waived_at: datetime | None
    deliveries: list[Parcel] = field(default_factory=list)

    def parcel(self, number: int) -> Parcel | None:
        """The parcel a row means: 0 is the only one, whatever its number (§9.1)."""
        if number == 0 and len(self.deliveries) == 1:
            return self.deliveries[0]
        return next((parcel for parcel in self.deliveries if parcel.number == number), None)


def ids_of(order_nos: Iterable[str]) -> dict[str, int]:
    """Ids by order number; numbers that do not exist are missing."""
    found: dict[str, int] = {}
    for chunk in chunks(sorted(set(order_nos))):
        rows = db.session.execute(
            sa.select(Order.order_no, Order.id).where(Order.order_no.in_(chunk))
        )
        found.update((row.order_no, row.id) for row in rows)
    return found


def load(order_ids: Iterable[int], *, lock: bool = False) -> dict[int, Standing]:
    """The orders with these ids.  `lock` keeps other writers from them until the transaction ends."""
    ids = sorted(set(order_ids))
    facts = load_facts(ids, lock=lock)
    parcels: dict[int, list[Parcel]] = defaultdict(list)
    found: dict[int, Standing] = {}
    for chunk in chunks(ids):
        for of_order in db.session.execute(_PARCELS, {"ids": chunk}):
            parcels[of_order.order_id].append(Parcel(*of_order[1:]))
        for row in db.session.execute(_MORE, {"ids": chunk}):
            one = facts[row.id]
            found[row.id] = Standing(
                id=one.id,
                order_no=one.order_no,
                ordered_at=one.ordered_at,
                version=one.version,
                is_sgp=one.is_sgp,
                kind=one.kind,
                payment_status=one.payment_status,
                total=one.total,
                transaction=one.transaction,
                open_attempt=one.open_attempt,
                processing_class=row.processing_class,
                edited_at=row.edited_at,
                cancel_waived_at=row.cancel_waived_at,
                deliveries=parcels[row.id],
            )
    return found


_PARCELS = (
    sa.select(
        Delivery.order_id,
        # as Parcel has them
        Delivery.id,
        Delivery.number,
        Delivery.status,
        Delivery.carrier_code,
        Delivery.slip_no,
        Delivery.delivered_at,
        Delivery.returned_on,
        Delivery.return_reason,
    )
    .where(Delivery.order_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(Delivery.order_id, Delivery.number)
)
_MORE = sa.select(
    Order.id,
    Order.processing_class,
    Order.edited_at,
    Order.cancel_waived_at,
).where(Order.id.in_(sa.bindparam("ids", expanding=True)))
