"""Writing the history of an order; nothing here or elsewhere changes what is written (P5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import ActorKind, HistoryEntry, table_of


@dataclass(frozen=True)
class Actor:
    """Who or what acts: a person by name, or a part of the program."""

    kind: ActorKind
    name: str

    @classmethod
    def person(cls, name: str) -> Actor:
        """A signed-in person."""
        return cls(ActorKind.PERSON, name)


_INSERT = sa.insert(table_of(HistoryEntry))

#: Look-ups act on their own account: what they find, SMBC-GP said.
LOOK_UP = Actor(ActorKind.LOOK_UP, "照会")


def record(
    order_id: int,
    event: str,
    actor: Actor,
    *,
    before: PaymentStatus | None,
    after: PaymentStatus | None,
    total: int,
    version: int,
    total_before: int | None = None,
    attempt_id: int | None = None,
    request_token: str | None = None,
    **detail: Any,
) -> None:
    """Add one entry to the present write transaction.

    `total` is the order's total in yen afterwards, `version` its version afterwards;
    `total_before` only if that was another.  A `request_token` makes the act behind it happen
    once: the database refuses a second entry with it (P19, IntegrityError).
    """
    db.session.connection().execute(
        _INSERT,
        {
            "order_id": order_id,
            "actor_kind": actor.kind,
            "actor": actor.name,
            "event": event,
            "status_before": before,
            "status_after": after,
            "amount_before": total if total_before is None else total_before,
            "amount_after": total,
            "attempt_id": attempt_id,
            "order_version": version,
            "request_token": request_token,
            "detail": detail,
        },
    )


def since_version(order_id: int, version: int) -> list[HistoryEntry]:
    """What happened to the order after it had that version, oldest first (P20)."""
    return list(
        db.session.scalars(
            sa.select(HistoryEntry)
            .where(HistoryEntry.order_id == order_id, HistoryEntry.order_version > version)
            .order_by(HistoryEntry.id)
            .limit(20)
        )
    )


def entries(order_id: int, limit: int = 200) -> list[HistoryEntry]:
    """The newest entries of one order, newest first."""
    return list(
        db.session.scalars(
            sa.select(HistoryEntry)
            .where(HistoryEntry.order_id == order_id)
            .order_by(HistoryEntry.id.desc())
            .limit(limit)
        )
    )
