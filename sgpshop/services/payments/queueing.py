"""Attempts for many orders at once, for the worker to carry out (P7, P22)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.order_rules import is_to_be_charged
from sgpshop.models import Attempt, AttemptState, Operation, Order
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.orders.facts import Facts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts
from sgpshop.storage.database import chunks


def queue(
    session: Session, orders: Sequence[Facts], operation: Operation, actor: Actor, now: datetime
) -> list[int]:
    """One QUEUED attempt for each of these orders, in this order (R48); the ids of the attempts.

    All of them are locked, and the table of acts let them pass; their versions are raised.
    """
    if not orders:
        return []
    rows = [_row(session, order, operation, actor, now) for order in orders]
    session.flush()
    session.execute(sa.insert(Attempt), rows)
    ids: dict[int, int] = {}
    for chunk in chunks([order.id for order in orders]):  # each has this open one alone (P7)
        made = sa.select(Attempt.order_id, Attempt.id).where(
            Attempt.order_id.in_(chunk), Attempt.is_open
        )
        ids.update((row.order_id, row.id) for row in session.execute(made))
    for chunk in chunks([order.id for order in orders if not _begins_anew(order, operation)]):
        session.execute(
            sa.update(Order)
            .where(Order.id.in_(chunk))
            .values(version=Order.version + 1)
            .execution_options(synchronize_session=False)
        )
    return [ids[order.id] for order in orders]


def _begins_anew(order: Facts, operation: Operation) -> bool:
    """Whether it is a payment under a number of its own, which one order at a time gets (R112)."""
    return operation.enters(is_unpaid_charge=is_to_be_charged(order.transaction))


def _row(
    session: Session, order: Facts, operation: Operation, actor: Actor, now: datetime
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "order_id": order.id,
        "operation": operation,
        "state": AttemptState.QUEUED,
        "actor_kind": actor.kind,
        "actor": actor.name,
        "created_at": now,
        "due_at": now,
    }
    if _begins_anew(order, operation):
        locked = lock_order(session, order.id)
        attempt = acts.new_attempt(locked, acts.OperationRequest(operation), actor)
        return row | {name: getattr(attempt, name) for name in _DECIDED}
    transaction = order.transaction
    assert transaction is not None  # else the table of acts says NOT_LINKED
    return row | {
        "transaction_id": transaction.id,
        "gateway_order_id": transaction.gateway_order_id,
        "amount": acts.amount_of(order, operation),
        "status_before": order.payment_status,
        "choices": {},
    }


#: what depends on the order and its transaction
_DECIDED = ("transaction_id", "gateway_order_id", "amount", "status_before", "choices")
