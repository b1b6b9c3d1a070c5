"""What every operation answers, and the ends they share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import (
    Challenge,
    Receipt,
    SmbcGpGateway,
    TradeAccess,
    TradeState,
    TradeStatus,
)
from sgpshop.models import Attempt, AttemptState, Operation
from sgpshop.services.payments import outcomes
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.services.payments.transactions import describe

#: What a call brings: the operation is done, or the buyer has to authenticate first.
Brought = Receipt | Challenge


@dataclass(frozen=True)
class Step:
    """One call that would carry the operation out; `name` tells it from other ways to do so."""

    name: str
    send: Callable[[SmbcGpGateway, TradeAccess], Brought]
    #: what the sentence of the history needs once it was done
    detail: dict[str, str] = field(default_factory=dict)
    #: Status at SMBC-GP after it
    leaves: TradeState = TradeState.UNKNOWN


class Plan(Protocol):
    """One operation.  Amounts are yen; `trade` is what a look-up just showed."""

    #: whether its transaction is still to be entered, and paid with a card of `work.card`
    enters: bool

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """How it ends without sending anything (more); None: send."""
        ...

    def next_step(
        self,
        trade: TradeStatus | None,
        claimed: ClaimedAttempt,
        tried: Collection[str],
        now: datetime,
    ) -> Step | None:
        """What to send; None when every way was tried and refused.

        `trade` is None only for an operation that does not look first.
        """
        ...

    def is_number_taken(self, trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
        """Whether the number of a transaction still to be entered belongs to something else."""
        ...

    def enter(self, gateway: SmbcGpGateway, claimed: ClaimedAttempt) -> TradeStatus:
        """Open the transaction (EntryTran): no money, so a lost answer only means to look."""
        ...

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Whether a look-up shows the target state with the right amount (P14)."""
        ...

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Whether a look-up shows the state before, with the amount before (P14)."""
        ...


class OnTransaction:
    """What the operations on a transaction that is there have in common."""

    enters = False

    def is_number_taken(self, trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
        """Their number is the transaction's own."""
        return False

    def enter(self, gateway: SmbcGpGateway, claimed: ClaimedAttempt) -> TradeStatus:
        """Never asked for."""
        raise NotImplementedError


def is_other_transaction(trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
    """Whether the number belongs to another transaction than the one we know."""
    return bool(claimed.access_id) and trade.access.access_id != claimed.access_id


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
    return Outcome(
        AttemptState.DONE,
        Event(f"{operation}_done"),
        sentence,
        reason="found_before_repeat",
        tran_id=trade.tran_id if trade else "",
        trade=trade,
        looked=True,
        detail={"found": describe(trade)},
    )


def not_usable(operation: Operation, trade: TradeStatus | None, reason: str) -> Outcome:
    """Something we cannot judge stands there: nothing is sent, nothing changes."""
    return replace(
        outcomes.rejected(operation, reason), looked=True, detail={"found": describe(trade)}
    )


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
