"""The captures of a slip run: one QUEUED attempt an order, which the worker carries out (R12a, P7)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.order_rules import is_to_be_charged
from sgpshop.models import (
    ActorKind,
    Attempt,
    AttemptState,
    Operation,
    Order,
    SlipRow,
    SlipRun,
)
from sgpshop.services.orders import acting
from sgpshop.services.orders.facts import Facts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts


def actor_of(run: SlipRun) -> Actor:
    """Who wants what the run does (P5)."""
    return Actor(ActorKind.COMMAND if run.person_id is None else ActorKind.PERSON, run.actor)


def queue(
    session: Session,
    captures: Sequence[tuple[Facts, Sequence[SlipRow]]],
    actor: Actor,
    now: datetime,
) -> None:
    """Take the orders: an attempt each, in this order, and the rows that wait for it.

    All orders are locked and `capture_refusal` let them pass.
    """
    plain = [one for one in captures if not is_to_be_charged(one[0].transaction)]
    waiting: list[dict[str, Any]] = []
    if plain:
        ids = session.execute(
            sa.insert(Attempt).returning(Attempt.id, sort_by_parameter_order=True),
            [_attempt(order, actor, now) for order, _ in plain],
        ).scalars()
        for attempt_id, (_, rows) in zip(ids, plain, strict=True):
            waiting += [{"id": row.id, "attempt_id": attempt_id} for row in rows]
        session.execute(
            sa.update(Order).execution_options(synchronize_session=False),
            [{"id": order.id, "version": order.version + 1} for order, _ in plain],
        )
    for order, rows in captures:
        if is_to_be_charged(order.transaction):  # begins with a transaction of its own (R112)
            attempt = acts.new_attempt(acting.lock_order(session, order.id), acts.CAPTURE, actor)
            session.add(attempt)
            session.flush()
            waiting += [{"id": row.id, "attempt_id": attempt.id} for row in rows]
    if waiting:
        session.execute(sa.update(SlipRow), waiting)


def _attempt(order: Facts, actor: Actor, now: datetime) -> dict[str, Any]:
    transaction = order.transaction
    assert transaction is not None  # else capture_refusal says NOT_LINKED
    return {
        "order_id": order.id,
        "transaction_id": transaction.id,
        "operation": Operation.CAPTURE,
        "state": AttemptState.QUEUED,
        "amount": order.total,
        "gateway_order_id": transaction.gateway_order_id,
        "actor_kind": actor.kind,
        "actor": actor.name,
        "created_at": now,
        "due_at": now,
        "status_before": order.payment_status,
    }
