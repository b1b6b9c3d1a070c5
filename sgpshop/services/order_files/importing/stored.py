"""Orders as they are in the database, loaded for many numbers with three queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.models import Attempt, CardTransaction, Delivery, Order, OrderLine, table_of
from sgpshop.services.order_files.importing.content import (
    DELIVERY_DEFAULTS,
    LINE_DEFAULTS,
    ORDER_DEFAULTS,
    Content,
)
from sgpshop.services.orders.facts import ROWS, Facts, ParcelFacts, one_of
from sgpshop.storage.among import among


@dataclass(frozen=True)
class StoredOrder:
    """One order with everything an import compares."""

    facts: Facts
    content: Content
    #: we have sent something about its money, or were about to
    was_attempted: bool
    #: of the transaction that counts
    access_id: str
    #: the gateway, or access data given earlier, speak for its payment already
    is_established: bool
    #: what an earlier file said of the payment that counts beside a mere card check
    claimed: PaymentStatus | None
    #: its buyer's data was erased: no file brings it back (S12a)
    is_erased: bool = False

    @property
    def status(self) -> PaymentStatus | None:
        """決済方法ステータス."""
        return self.facts.payment_status

    @property
    def is_ours(self) -> bool:
        """Whether our own acts or a look-up say how its payment stands: no file does then (R143).

        No file by itself makes an order 注文キャンセル; former versions cancelled one that waited for
        billing without a call.
        """
        is_cancelled = self.status is PaymentStatus.CANCELLED
        return self.facts.is_sgp and (self.was_attempted or self.is_established or is_cancelled)

    @property
    def may_name_other_access(self) -> bool:
        """Whether a later file may name another transaction than the one that was claimed before.

        Only while nobody saw that one under this order's number, or it was seen to be another's.
        """
        there = self.facts.transaction
        if there is None or not self.access_id:
            return False
        return there.is_mismatched or (there.gateway_state is None and not self.was_attempted)

    @property
    def payment_began(self) -> bool:
        """Whether something rests on what the order is by now: a payment, or the monthly billing."""
        return self.is_ours or self.status in SUBSCRIPTION_STATUSES


_ORDER_NAMES = tuple(ORDER_DEFAULTS)
#: beside the facts, in the order in which `_stored` takes them
_ADDED = (
    *(getattr(Order, name) for name in _ORDER_NAMES),
    Order.claimed_status,
    Order.erased_at.is_not(None),
    sa.exists().where(Attempt.order_id == Order.id).correlate(Order),
    CardTransaction.access_id,
    sa.or_(
        CardTransaction.access_id != "",
        CardTransaction.gateway_state.is_not(None),
        sa.and_(CardTransaction.looks > 0, CardTransaction.look_problem != "unanswered"),
    ),
)
#: Made once: it is asked for each batch of a file.
_IS_WANTED = among(Order.order_no, "numbers")
_ORDERS = ROWS.add_columns(*_ADDED).where(_IS_WANTED)
_LOCKED = sa.select(Order.id).where(_IS_WANTED).order_by(Order.id).with_for_update()
_OF_FACTS = ParcelFacts._fields
_PARCEL_NAMES = (*_OF_FACTS, *(name for name in DELIVERY_DEFAULTS if name not in _OF_FACTS))


def load(
    session: Session, order_nos: Iterable[str], *, lock: bool = True
) -> dict[str, StoredOrder]:
    """The orders with these numbers, by number; `lock` keeps them from other writers until the end."""
    wanted = {"numbers": list(order_nos)}
    if lock:
        session.execute(_LOCKED, wanted)
    rows = session.execute(_ORDERS, wanted).all()
    if not rows:
        return {}
    ids = [row[0] for row in rows]
    parcels = _rows_of(session, Delivery, _PARCEL_NAMES, ids, "number")
    lines = _rows_of(session, OrderLine, LINE_DEFAULTS, ids, "position")
    found = (_stored(row, parcels[row[0]], lines[row[0]]) for row in rows)
    return {one.facts.order_no: one for one in found}


def _stored(
    row: Sequence[Any], parcels: list[Sequence[Any]], lines: list[Sequence[Any]]
) -> StoredOrder:
    facts = one_of(row, [ParcelFacts(*parcel[: len(_OF_FACTS)]) for parcel in parcels])
    *values, claimed, is_erased, was_attempted, access_id, is_established = row[-len(_ADDED) :]
    deliveries = [dict(zip(_PARCEL_NAMES, parcel, strict=True)) for parcel in parcels]
    for delivery in deliveries:
        del delivery["id"]
    return StoredOrder(
        facts,
        Content(
            facts.kind,
            dict(zip(_ORDER_NAMES, values, strict=True)),
            deliveries,
            [dict(zip(LINE_DEFAULTS, line, strict=True)) for line in lines],
        ),
        was_attempted=was_attempted,
        access_id=access_id or "",
        is_established=bool(is_established),
        claimed=claimed,
        is_erased=is_erased,
    )


def _rows_of(
    session: Session, model: type[Any], names: Iterable[str], ids: Sequence[int], sorted_by: str
) -> dict[int, list[Sequence[Any]]]:
    """The columns `names` of one table, by order; without the ORM, which costs half as much again."""
    columns = table_of(model).c
    rows = session.execute(
        sa.select(columns.order_id, *(columns[name] for name in names))
        .where(among(columns.order_id, ids))
        .order_by(columns.order_id, columns[sorted_by])
    ).all()
    found: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row[1:])
    return found
