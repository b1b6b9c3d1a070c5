"""How an attempt ends, as one value; and the usual ends of every operation (P9)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sgpshop.domain.payment_status import Event, PaymentStatus
from sgpshop.gateway import Challenge, Receipt, TradeState, TradeStatus
from sgpshop.models import AttemptState, Operation
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments.transactions import describe

_REASON = 120

#: `Attempt.reason` while the buyer is at 3-D Secure.
CHALLENGED = "three_ds_challenge"

#: Reason of what a file that came in meanwhile held back.
CALLED_OFF = "called_off"
#: The goods of what was to be billed are not through any more: they come back, or were not sent.
NOT_THROUGH = "not_through"


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


def called_off(operation: Operation, before: PaymentStatus | None) -> Outcome:
    """Held back, because a file called the order 注文キャンセル since: nothing was sent, all is as it was."""
    held = rejected(operation, CALLED_OFF)
    if operation is Operation.CAPTURE and before in (
        PaymentStatus.AUTHORIZED,
        PaymentStatus.CAPTURE_FAILED,
    ):
        held = replace(held, event=Event.FOUND_AUTHORIZED)  # the status stays
    return replace(held, sentence="called_off", detail={"operation": operation.label})


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


def found(trade: TradeStatus | None, event: Event) -> Outcome:
    """Nothing is sent (any more), because SMBC-GP shows something else; we follow it (P18, P20)."""
    return Outcome(
        AttemptState.REJECTED,
        event,
        "look_up_differs",
        reason="found_other",
        tran_id=trade.tran_id if trade else "",
        trade=trade,
        looked=True,
        detail={"found": describe(trade)},
    )


def found_done(operation: Operation, trade: TradeStatus | None, sentence: str) -> Outcome:
    """The target state is there already: done, without (another) call."""
    return replace(
        found(trade, Event(f"{operation}_done")),
        state=AttemptState.DONE,
        sentence=sentence,
        reason="found_before_repeat",
    )


def not_usable(operation: Operation, trade: TradeStatus | None, reason: str) -> Outcome:
    """Something we cannot judge stands there: nothing is sent, nothing changes."""
    return replace(rejected(operation, reason), looked=True, detail={"found": describe(trade)})


def found_elsewhere(operation: Operation, trade: TradeStatus | None) -> Outcome:
    """The end for a state in which this operation makes no sense (R120)."""
    if trade is None or trade.state.is_unfinished or trade.state.is_check:
        return found(trade, Event.FOUND_UNFINISHED)
    if trade.state.is_captured:
        return found(trade, Event.FOUND_CAPTURED)
    if trade.state.is_cancelled:
        return found(trade, Event.FOUND_CANCELLED)
    if trade.state.is_authorized:
        return found(trade, Event.FOUND_AUTHORIZED)
    return not_usable(operation, trade, "unknown_state")
