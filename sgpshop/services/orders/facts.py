"""Just what the rules and the table of acts ask of many orders at once, without a query per row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    SGP_METHOD,
    Attempt,
    CardTransaction,
    Delivery,
    Operation,
    Order,
    OrderKind,
)
from sgpshop.storage.database import chunks


@dataclass(frozen=True, slots=True)
class TransactionFacts:
    """What the rules need of a card transaction."""

    id: int
    gateway_order_id: str
    gateway_amount: int | None
    gateway_state: str | None
    auth_expires_at: datetime | None
    next_look_at: datetime | None
    is_linked: bool
    is_charge: bool
    others_live: bool
    is_mismatched: bool


@dataclass(frozen=True, slots=True)
class OpenAttemptFacts:
    """What the rules need of an operation that has not ended."""

    operation: Operation
    uncertain_since: datetime | None


@dataclass(frozen=True, slots=True)
class ParcelFacts:
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
class Facts:
    """An order as rules and table of acts see it (domain.order_acts.ActFacts), and its number."""

    id: int
    order_no: str
    ordered_at: datetime
    version: int
    method: str
    kind: OrderKind
    payment_status: PaymentStatus | None
    processing_class: ProcessingClass
    total: int
    edited_at: datetime | None
    cancel_waived_at: datetime | None
    transaction: TransactionFacts | None
    open_attempt: OpenAttemptFacts | None
    #: by number; only where they were asked for
    deliveries: Sequence[ParcelFacts] = ()

    @property
    def is_sgp(self) -> bool:
        """Whether this order is paid by SGP card."""
        return self.method == SGP_METHOD


def load_facts(
    order_ids: Iterable[int], *, lock: bool = False, with_parcels: bool = False
) -> dict[int, Facts]:
    """Facts by order id; ids that do not exist are missing.

    `lock` keeps other writers from these orders until the transaction ends (PostgreSQL; on SQLite
    the write transaction itself does).  Of all acts only 返送 and ステータスの変更 ask about parcels.
    """
    ids = sorted(set(order_ids))
    found: dict[int, Facts] = {}
    parcels: dict[int, list[ParcelFacts]] = defaultdict(list)
    for chunk in chunks(ids):
        if lock:
            db.session.execute(
                sa.select(Order.id).where(Order.id.in_(chunk)).order_by(Order.id).with_for_update()
            )
        if with_parcels:
            for of_order in db.session.execute(_PARCELS, {"ids": chunk}):
                parcels[of_order.order_id].append(ParcelFacts(*of_order[1:]))
        for row in db.session.execute(_QUERY, {"ids": chunk}):
            found[row.id] = _facts(row, parcels.get(row.id, ()))
    return found


def keep(session: Session, order_ids: Iterable[int]) -> set[int]:
    """Which of these orders are there; none of them is taken back until the transaction ends.

    An order whose first payment is declined is (services.checkouts.refuse).
    """
    found: set[int] = set()
    for chunk in chunks(sorted(set(order_ids))):
        found.update(
            session.scalars(
                sa.select(Order.id)
                .where(Order.id.in_(chunk))
                .order_by(Order.id)
                .with_for_update(read=True, key_share=True)
            )
        )
    return found


_QUERY = (
    sa.select(
        Order.id,
        Order.order_no,
        Order.ordered_at,
        Order.version,
        Order.method,
        Order.kind,
        Order.payment_status,
        Order.processing_class,
        Order.total,
        Order.edited_at,
        Order.cancel_waived_at,
        CardTransaction.id.label("transaction_id"),
        CardTransaction.gateway_order_id,
        CardTransaction.gateway_amount,
        CardTransaction.gateway_state,
        CardTransaction.auth_expires_at,
        CardTransaction.next_look_at,
        CardTransaction.is_linked.label("is_linked"),
        CardTransaction.is_mismatched.label("is_mismatched"),
        CardTransaction.is_charge,
        CardTransaction.others_live.label("others_live"),
        Attempt.operation,
        Attempt.uncertain_since,
    )
    .outerjoin(
        CardTransaction,
        sa.and_(CardTransaction.order_id == Order.id, CardTransaction.is_current),
    )
    .outerjoin(Attempt, sa.and_(Attempt.order_id == Order.id, Attempt.is_open))
    .where(Order.id.in_(sa.bindparam("ids", expanding=True)))
)
_PARCELS = (
    sa.select(
        Delivery.order_id,
        # as ParcelFacts has them
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


def _facts(row: Any, deliveries: Sequence[ParcelFacts]) -> Facts:
    return Facts(
        id=row.id,
        order_no=row.order_no,
        ordered_at=row.ordered_at,
        version=row.version,
        method=row.method,
        kind=row.kind,
        payment_status=row.payment_status,
        processing_class=row.processing_class,
        total=row.total,
        edited_at=row.edited_at,
        cancel_waived_at=row.cancel_waived_at,
        transaction=None
        if row.transaction_id is None
        else TransactionFacts(
            id=row.transaction_id,
            gateway_order_id=row.gateway_order_id,
            gateway_amount=row.gateway_amount,
            gateway_state=row.gateway_state,
            auth_expires_at=row.auth_expires_at,
            next_look_at=row.next_look_at,
            is_linked=row.is_linked,
            is_charge=row.is_charge,
            others_live=row.others_live,
            is_mismatched=row.is_mismatched,
        ),
        open_attempt=None
        if row.operation is None
        else OpenAttemptFacts(row.operation, row.uncertain_since),
        deliveries=deliveries,
    )
