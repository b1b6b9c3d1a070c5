"""What every operation answers to; how it may end is in `outcomes`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sgpshop.gateway import (
    Challenge,
    Receipt,
    SmbcGpGateway,
    TradeAccess,
    TradeState,
    TradeStatus,
)
from sgpshop.models import Attempt
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.outcomes import Outcome

#: What a call brings: the operation is done, or the buyer has to authenticate first.
CallResult = Receipt | Challenge


@dataclass(frozen=True)
class Step:
    """One call that would carry the operation out; `name` tells it from other ways to do so."""

    name: str
    send: Callable[[SmbcGpGateway, TradeAccess], CallResult]
    #: what the sentence of the history needs once it was done
    detail: dict[str, str] = field(default_factory=dict)
    #: Status at SMBC-GP after it
    leaves: TradeState = TradeState.UNKNOWN


class Plan(ABC):
    """One operation.  Amounts are yen; `trade` is what a look-up just showed."""

    #: whether its transaction is still to be entered, and paid with a card of `claimed.card`
    enters = False

    @abstractmethod
    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """How it ends without sending anything (more); None: send."""

    @abstractmethod
    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """What to send: the next one is tried only if the one before was refused unchanged.

        `trade` is None only for an operation that does not look first.
        """

    @abstractmethod
    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Whether a look-up shows the target state with the right amount (P14)."""

    @abstractmethod
    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Whether a look-up shows the state before, with the amount before (P14)."""

    def is_number_taken(self, trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
        """Whether the number of a transaction still to be entered belongs to something else."""
        return False

    def enter(self, gateway: SmbcGpGateway, claimed: ClaimedAttempt) -> TradeStatus:
        """Open the transaction (EntryTran): no money, so a lost answer only means to look."""
        raise NotImplementedError


def is_other_transaction(trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
    """Whether the number belongs to another transaction than the one we know."""
    return bool(claimed.access_id) and trade.access.access_id != claimed.access_id
