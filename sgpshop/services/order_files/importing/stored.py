"""Orders as they are in the database, loaded for many numbers with a handful of queries."""

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
    Values,
)
from sgpshop.services.orders.facts import Facts, load_facts


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


def load(
    session: Session, order_nos: Iterable[str], *, lock: bool = True
) -> dict[str, StoredOrder]:
    """The orders with these numbers, by number; `lock` keeps them from other writers until the end."""
    wanted = sa.select(Order.id).where(Order.order_no.in_(list(order_nos)))
    found = load_facts(session.scalars(wanted), lock=lock, with_parcels=True)
    ids = list(found)
    values = _columns(session, Order, "id", [*ORDER_DEFAULTS, "claimed_status"], ids)
    deliveries = _columns(session, Delivery, "order_id", DELIVERY_DEFAULTS, ids, "number")
    lines = _columns(session, OrderLine, "order_id", LINE_DEFAULTS, ids, "position")
    attempted = set(session.scalars(sa.select(Attempt.order_id).where(Attempt.order_id.in_(ids))))
    claimed = {order_id: row.pop("claimed_status") for order_id, [row] in values.items()}
    access = {row.order_id: row for row in session.execute(_ACCESS, {"ids": ids}).all()}
    return {
        facts.order_no: StoredOrder(
            facts,
            Content(facts.kind, values[order_id][0], deliveries[order_id], lines[order_id]),
            was_attempted=order_id in attempted,
            access_id=access[order_id].access_id or "" if order_id in access else "",
            is_established=order_id in access and bool(access[order_id].is_established),
            claimed=claimed[order_id],
        )
        for order_id, facts in found.items()
    }


_ACCESS = sa.select(
    CardTransaction.order_id,
    CardTransaction.access_id,
    sa.or_(
        CardTransaction.access_id != "",
        CardTransaction.gateway_state.is_not(None),
        sa.and_(CardTransaction.looks > 0, CardTransaction.look_problem != "unanswered"),
    ).label("is_established"),
).where(
    CardTransaction.order_id.in_(sa.bindparam("ids", expanding=True)), CardTransaction.is_current
)


def _columns(
    session: Session,
    model: type[Any],
    key: str,
    names: Iterable[str],
    ids: Sequence[int],
    *order_by: str,
) -> dict[int, list[Values]]:
    """The columns `names` of one table, by order; without the ORM, which costs half as much again."""
    columns = table_of(model).c
    rows = session.execute(
        sa.select(columns[key], *(columns[name] for name in names))
        .where(columns[key].in_(ids))
        .order_by(columns[key], *(columns[name] for name in order_by))
    ).all()
    found: dict[int, list[Values]] = defaultdict(list)
    for of_order, *values in rows:
        found[of_order].append(dict(zip(names, values, strict=True)))
    return found
