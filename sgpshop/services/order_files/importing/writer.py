"""Write a batch of orders in one transaction: all of an order or nothing of it (R143, P2, P5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.order_number import at_gateway, later_stem
from sgpshop.models import (
    ActorKind,
    BeginningStep,
    CardTransaction,
    Delivery,
    HistoryEntry,
    Order,
    OrderLine,
    table_of,
)
from sgpshop.services.order_files.importing.content import Content, Values
from sgpshop.services.order_files.importing.decisions import OrderChange
from sgpshop.services.order_files.importing.differences import differences
from sgpshop.services.order_files.importing.failed import CLAIM
from sgpshop.services.orders import beginnings, history
from sgpshop.storage.rows import free_ids, put

_TRANSACTION_DEFAULTS: Values = {
    "access_id": None,
    "access_pass_sealed": None,
    "gateway_amount": None,
    "authorized_at": None,
    "auth_expires_at": None,
}


def write(
    session: Session, changes: Sequence[OrderChange], *, actor: str, now: datetime
) -> Counter[str]:
    """Write `changes`; the counts are by column of ImportRun: added, updated, unchanged."""
    new = [change for change in changes if change.stored is None]
    changed = [change for change in changes if change.stored and not change.is_unchanged]
    _insert(session, new, actor, now)
    _update(session, changed, actor, now)
    _ask_gateway(session, changes, now)
    return Counter(
        added=len(new), updated=len(changed), unchanged=len(changes) - len(new) - len(changed)
    )


def _insert(session: Session, changes: Sequence[OrderChange], actor: str, now: datetime) -> None:
    if not changes:
        return
    connection = session.connection()
    ids = free_ids(connection, table_of(Order), len(changes))
    placed = list(zip(ids, changes, strict=True))
    transactions = {
        order_id: _new_transaction(order_id, change, now)
        for order_id, change in placed
        if change.parsed.claim is not None
    }
    orders, entries = [], []
    for order_id, change in placed:
        held = transactions[order_id]["gateway_amount"] if order_id in transactions else None
        snapshot = history.beginning(change.content.processing_class, held)
        entry, state = history.linked(snapshot, _entry(order_id, change, "imported", actor, now))
        entries.append(entry)
        orders.append(
            change.content.order_row()
            | {
                "id": order_id,
                "order_no": change.parsed.order_no,
                "later_stem": later_stem(change.parsed.order_no),
                "payment_status": change.status,
                "claimed_status": change.claimed,
                "history_state": state,
            }
        )
    _insert_all(session, Order, orders)
    _insert_children(session, placed)
    _insert_all(session, CardTransaction, transactions.values())
    _insert_all(session, HistoryEntry, entries)
    began = [(order_id, change.parsed.order_no) for order_id, change in placed]
    beginnings.note(connection, BeginningStep.KEPT, began)


def _update(session: Session, changes: Sequence[OrderChange], actor: str, now: datetime) -> None:
    stored = [(change.stored.facts, change) for change in changes if change.stored]
    if not stored:
        return
    session.execute(
        sa.update(Order),
        [
            change.content.order_row()
            | {
                "id": order.id,
                "payment_status": change.status,
                "claimed_status": change.claimed,
                "version": order.version + 1,
                "updated_at": now,
                **(_ASKED_AGAIN if _brings_back(change) else {}),
            }
            for order, change in stored
        ],
    )
    ids = [order.id for order, _ in stored]
    session.execute(sa.delete(Delivery).where(Delivery.order_id.in_(ids)))
    session.execute(sa.delete(OrderLine).where(OrderLine.order_id.in_(ids)))
    _insert_children(session, [(order.id, change) for order, change in stored])
    mended = (_new_transaction(order.id, c, now) for order, c in stored if c.becomes_card_order)
    _insert_all(session, CardTransaction, mended)
    linked = [
        change.transaction | {"id": order.transaction.id}
        for order, change in stored
        if change.transaction and order.transaction
    ]
    for facts in linked:  # rare: access data that came with a later file
        session.execute(sa.update(CardTransaction), [facts])
    history.record_many(session, [_entry(o.id, c, "import_updated", actor, now) for o, c in stored])


#: A further return: what a person decided, or recorded, was about those of before (R90a, R104).
_ASKED_AGAIN: Values = {"cancel_waived_at": None, "cancel_waived_reason": "", "refunded_on": None}


def _brings_back(change: OrderChange) -> bool:
    """Whether a parcel is 返送 by the file that was not before."""
    before = _returned(change.stored.content) if change.stored else set()
    return not _returned(change.content) <= before


def _returned(content: Content) -> set[int]:
    return {
        parcel["number"]
        for parcel in content.deliveries
        if parcel["status"] == DeliveryStatus.RETURNED
    }


def _new_transaction(order_id: int, change: OrderChange, now: datetime) -> Values:
    return (
        _TRANSACTION_DEFAULTS
        | change.transaction
        | {
            "order_id": order_id,
            "gateway_order_id": at_gateway(change.parsed.order_no),
            "next_look_at": now if change.look else None,
        }
    )


def _insert_children(session: Session, placed: Sequence[tuple[int, OrderChange]]) -> None:
    """The deliveries and lines of orders given by id."""
    deliveries = (row for i, change in placed for row in change.content.delivery_rows(i))
    lines = (row for i, change in placed for row in change.content.line_rows(i))
    _insert_all(session, Delivery, deliveries)
    _insert_all(session, OrderLine, lines)


def _ask_gateway(session: Session, changes: Iterable[OrderChange], now: datetime) -> None:
    """Let stored transactions be looked up again, from the start of the schedule (P13)."""
    wanted = [
        change.stored.facts.transaction.id
        for change in changes
        if change.look and change.stored and change.stored.facts.transaction
    ]
    if wanted:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id.in_(wanted))
            .values(next_look_at=now, first_look_at=None)
        )


def _entry(order_id: int, change: OrderChange, event: str, actor: str, now: datetime) -> Values:
    before = change.stored
    return {
        "order_id": order_id,
        "at": now,
        "actor_kind": ActorKind.IMPORT,
        "actor": actor,
        "event": event,
        "status_before": before.status if before else None,
        "status_after": change.status,
        "amount_before": before.content.values["total"] if before else None,
        "amount_after": change.content.values["total"],
        "order_version": before.facts.version + 1 if before else 1,
        "detail": {"line": change.parsed.line} | _first_word(change) | _corrections(change),
    }


def _first_word(change: OrderChange) -> Values:
    """That an order comes in as 売上失敗; what later files say is kept by `failed.heed`."""
    claim = change.parsed.claim
    return CLAIM if change.stored is None and claim is not None and claim.is_failed else {}


def _corrections(change: OrderChange) -> Values:
    if change.stored is None:
        return {}
    return {"corrections": differences(change.stored.content, change.content)}


def _insert_all(session: Session, model: type[Any], rows: Iterable[Values]) -> None:
    if listed := list(rows):
        names = list(listed[0])
        put(session.connection(), table_of(model), names, [*map(itemgetter(*names), listed)])
