"""売上失敗, or a payment of its own, in a file: heeded whether or not the rest of its row goes in (R106).

However the payment stands at SMBC-GP, the buyer was told and may pay past us from then on, or has by
the cart's word: whoever captures or cancels the order asks first (payments.past_us).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import CAPTURABLE, PAID, PaymentStatus
from sgpshop.models import CLAIMS_FAILURE, CLAIMS_PAYMENT, ActorKind, CardTransaction, HistoryEntry
from sgpshop.services.order_files.importing.stored import StoredOrder
from sgpshop.services.order_files.reading import FileOrder
from sgpshop.services.orders import history
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.among import among

#: A file of each day says it again: kept once in so long.
_SAID = timedelta(days=7)
#: What the history of the order keeps of it (CLAIMS_FAILURE, CLAIMS_PAYMENT).
CLAIM = {"claimed": PaymentStatus.CAPTURE_FAILED.value}
_PAYMENT = {"claimed": PaymentStatus.CAPTURED.value}


def heed(
    session: Session, found: Iterable[tuple[FileOrder, StoredOrder]], *, actor: str, now: datetime
) -> None:
    """Keep that the file calls these orders 売上失敗, or paid, and let their look-ups be due."""
    known = list(found)
    failed = {stored.facts.id: (one, stored) for one, stored in known if one.is_failed}
    paid = {
        stored.facts.id: (one, stored)
        for one, stored in known
        if stored.facts.id not in failed and _is_paid_otherwise(one, stored)
    }
    for said, claim, event, claims in (
        (failed, CLAIM, "import_failed", CLAIMS_FAILURE),
        (paid, _PAYMENT, "import_paid", CLAIMS_PAYMENT),
    ):
        if not said:
            continue
        kept = session.scalars(
            sa.select(HistoryEntry.order_id).where(
                among(HistoryEntry.order_id, said), claims, HistoryEntry.at > now - _SAID
            )
        )
        for order_id in kept:
            said.pop(order_id, None)
        history.record_many(
            session,
            [_entry(one, stored, actor, now, event, claim) for one, stored in said.values()],
        )
        are_theirs = among(CardTransaction.order_id, said)
        transaction_lookup.make_due(session, sa.and_(are_theirs, CardTransaction.is_current))


def _is_paid_otherwise(one: FileOrder, stored: StoredOrder) -> bool:
    """Whether the file calls what is to be charged paid, or names another transaction than ours."""
    if stored.status not in CAPTURABLE or (one.order is not None and one.order.claim is None):
        return False
    claim = one.order.claim if one.order is not None else None
    says_paid = claim.status in PAID if claim is not None else one.is_paid
    is_another = bool(stored.access_id) and bool(one.access_id)
    return says_paid or (is_another and one.access_id != stored.access_id)


def _entry(
    one: FileOrder,
    stored: StoredOrder,
    actor: str,
    now: datetime,
    event: str,
    claim: dict[str, str],
) -> dict[str, object]:
    status, total = stored.status, stored.content.values["total"]
    return {
        "order_id": stored.facts.id,
        "at": now,
        "actor_kind": ActorKind.IMPORT,
        "actor": actor,
        "event": event,
        "status_before": status,
        "status_after": status,
        "amount_before": total,
        "amount_after": total,
        "order_version": stored.facts.version,
        "detail": {"line": one.line} | claim,
    }
