"""社内メモ and 対応状況 of one order: written by people, told in the history."""

from __future__ import annotations

from sgpshop.domain.handling import Handling, label_of
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import Seen, lock_for_act
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing

LONGEST = 1000
_IN_HISTORY = 80


def save(order_id: int, seen: Seen, actor: Actor, handling: Handling, memo: str) -> bool:
    """Write both down; False when nothing changed.  Raises OrderChanged or FormUsed."""
    with writing() as session:
        order = lock_for_act(session, order_id, None, seen)
        if order is None or (order.handling, order.memo) == (handling.value, memo):
            return False
        changes = []
        if order.handling != handling:
            changes.append(f"対応状況 {label_of(order.handling)} → {handling.label}")
        if order.memo != memo:
            short = memo if len(memo) <= _IN_HISTORY else memo[: _IN_HISTORY - 1] + "…"
            changes.append(f"社内メモ {' '.join(short.split()) or '(削除)'}")
        order.handling, order.memo = handling.value, memo
        history.record_change(
            order,
            "notes_changed",
            actor,
            before=order.payment_status,
            request_token=seen.token,
            request_act=seen.act,
            changes="、".join(changes),
        )
    return True
