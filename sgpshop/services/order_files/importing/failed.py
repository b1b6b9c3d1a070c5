"""売上失敗 in a file: heeded whether or not the rest of its row goes in (R106).

However the payment stands at SMBC-GP, the buyer was told and may pay past us from then on: whoever
captures or cancels the order asks first (payments.past_us).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import CLAIMS_FAILURE, ActorKind, CardTransaction, HistoryEntry
from sgpshop.services.order_files.importing.stored import StoredOrder
from sgpshop.services.order_files.reading import FileOrder
from sgpshop.services.orders import history
from sgpshop.services.payments import transaction_lookup

#: A file of each day says it again: kept once in so long.
_SAID = timedelta(days=7)
#: What the history of the order keeps of it (CLAIMS_FAILURE).
CLAIM = {"claimed": PaymentStatus.CAPTURE_FAILED.value}


def heed(
    session: Session, found: Iterable[tuple[FileOrder, StoredOrder]], *, actor: str, now: datetime
) -> None:
    """Keep that the file calls these orders 売上失敗, and let their look-ups be due."""
    said = {
        stored.facts.id: (one, stored)
        for one, stored in found
        if one.is_failed and (stored.facts.is_sgp or _is_card(one))
    }
    if not said:
        return
    kept = session.scalars(
        sa.select(HistoryEntry.order_id).where(
            HistoryEntry.order_id.in_(said), CLAIMS_FAILURE, HistoryEntry.at > now - _SAID
        )
    )
    for order_id in kept:
        said.pop(order_id, None)
    history.record_many(session, [_entry(one, stored, actor, now) for one, stored in said.values()])
    are_theirs = CardTransaction.order_id.in_(said)
    transaction_lookup.make_due(session, sa.and_(are_theirs, CardTransaction.is_current))


def _is_card(one: FileOrder) -> bool:
    """Whether the file calls it a card order, which it becomes here if its row goes in."""
    return one.order is not None and one.order.claim is not None


def _entry(one: FileOrder, stored: StoredOrder, actor: str, now: datetime) -> dict[str, object]:
    status, total = stored.status, stored.content.values["total"]
    return {
        "order_id": stored.facts.id,
        "at": now,
        "actor_kind": ActorKind.IMPORT,
        "actor": actor,
        "event": "import_failed",
        "status_before": status,
        "status_after": status,
        "amount_before": total,
        "amount_after": total,
        "order_version": stored.facts.version,
        "detail": {"line": one.line} | CLAIM,
    }
