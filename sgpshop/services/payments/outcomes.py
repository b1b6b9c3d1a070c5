"""How an attempt ends, as one value; and the usual ends of every operation (P9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import Challenge, Receipt, TradeState, TradeStatus
from sgpshop.models import AttemptState, Operation
from sgpshop.services.orders.history import Actor

_REASON = 120

#: `Attempt.reason` while the buyer is at 3-D Secure.
CHALLENGED = "three_ds_challenge"


@dataclass(frozen=True)
class Outcome:
    """How an attempt ends (or begins to be uncertain), and what that does to the order."""

    state: AttemptState
    event: Event
    #: key of domain.history.SENTENCES
    sentence: str
    reason: str = ""
    codes: tuple[str, ...] = ()
    tran_id: str = ""
    processed_at: datetime | None = None
    #: Status at SMBC-GP by its answer; UNKNOWN where no answer of a success says it
    state_there: TradeState = TradeState.UNKNOWN
    #: where the buyer passes 3-D Secure
    challenge_url: str = ""
    #: the look-up this rests on, if any
    trade: TradeStatus | None = None
    looked: bool = False
    #: for UNKNOWN: since when, if not since now
    uncertain_since: datetime | None = None
    #: who ended it, if not who asked for it
    actor: Actor | None = None
    #: what the sentence needs besides
    detail: dict[str, Any] = field(default_factory=dict)


def done(operation: Operation, receipt: Receipt, state_there: TradeState, **detail: Any) -> Outcome:
    """SMBC-GP answered that it did it."""
    return Outcome(
        AttemptState.DONE,
        Event(f"{operation}_done"),
        f"{operation}_done",
        tran_id=receipt.tran_id,
        processed_at=receipt.processed_at,
        state_there=state_there,
        detail=detail,
    )


def challenged(operation: Operation, challenge: Challenge) -> Outcome:
    """Nothing is authorized before the buyer has passed 3-D Secure (protocol.md §11)."""
    return Outcome(
        AttemptState.REJECTED,
        Event(f"{operation}_rejected"),
        "checkout_challenged",
        reason=CHALLENGED,
        challenge_url=challenge.redirect_url,
    )


def rejected(operation: Operation, reason: str, codes: tuple[str, ...] = ()) -> Outcome:
    """SMBC-GP said no, or nothing was sent: as it was before."""
    return Outcome(
        AttemptState.REJECTED,
        Event(f"{operation}_rejected"),
        f"{operation}_rejected",
        reason=reason[:_REASON],
        codes=codes,
    )


def unreachable(operation: Operation, reason: str) -> Outcome:
    """No connection could be made, however often it was tried: nothing was sent."""
    return Outcome(
        AttemptState.REJECTED,
        Event(f"{operation}_rejected"),
        f"{operation}_unreachable",
        reason=f"unreachable:{reason}"[:_REASON],
    )


def unknown(operation: Operation, reason: str, codes: tuple[str, ...] = ()) -> Outcome:
    """A byte may have left and there is no usable answer."""
    return Outcome(
        AttemptState.UNKNOWN,
        Event(f"{operation}_unknown"),
        f"{operation}_unknown",
        reason=reason[:_REASON],
        codes=codes,
    )


def closed_by(actor: Actor, why: str) -> Outcome:
    """A person ends a doubt that no look-up could (P15): 要確認 stays, and what SMBC-GP shows decides."""
    return Outcome(
        AttemptState.REJECTED,
        Event.CLOSED_BY_PERSON,
        "closed_by_person",
        reason="closed_by_person",
        actor=actor,
        detail={"why": why},
    )
