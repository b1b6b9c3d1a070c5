"""A transaction of our own: EntryTran, then ExecTran with a card (protocol.md §2.1, §2.2).

The buyer's payment at checkout (T1-T4), 再決済 (T23), the capture of a preorder on the stored card
(R112) and the billing of a subscription by API (protocol.md §10.3).  Entering moves nothing and may
be repeated after a look; executing is what may never be repeated blindly.

ExecTran carries no amount: what is paid is what was entered.  So nothing is executed that was not
entered by this very try, or seen by a look-up just before, with our amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import (
    Job,
    SmbcGpGateway,
    ThreeDs,
    TradeAccess,
    TradeState,
    TradeStatus,
)
from sgpshop.models import Attempt, Operation, OrderKind
from sgpshop.services.payments import three_ds
from sgpshop.services.payments.billing_marks import RESERVED
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.operations.plan import CallResult, Plan, Step, is_other_transaction
from sgpshop.services.payments.outcomes import Outcome, found, found_done, not_usable

_STATES = {Job.AUTH: TradeState.AUTH, Job.CAPTURE: TradeState.CAPTURE, Job.CHECK: TradeState.CHECK}


@dataclass(frozen=True)
class EnteringPlan(Plan):
    """`operation` ends with the transaction in the state that `job` names."""

    operation: Operation
    job: Job
    enters = True

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """Not entered yet, or entered as we want it and not paid: go on.  Paid already: done."""
        if trade is None:
            return None
        if claimed.in_file and trade.state.is_unfinished:  # the file's line: its result decides
            return found_done(self.operation, trade, f"{self.operation}_found_done")
        if is_other_transaction(trade, claimed):
            return not_usable(self.operation, trade, "other_transaction")
        if not claimed.access_id and _is_over(trade) and not self._is_billed(trade):
            return self._judge_forgotten(trade, claimed)
        if self._has_reached(trade, claimed.amount):
            return found_done(self.operation, trade, f"{self.operation}_found_done")
        if (
            claimed.finishes_three_ds
            and trade.state.is_unfinished
            and not self._is_entered(trade, claimed)
        ):
            # The buyer agreed to what the bank showed, which is not what we would book.
            return not_usable(self.operation, trade, "amount_differs")
        if trade.state.is_unfinished:
            return None
        if trade.state.is_captured or trade.state.is_authorized:  # paid, but not what we want now
            return found(trade, self._found_event(trade.state, claimed.kind))
        return not_usable(self.operation, trade, "unknown_state")

    def is_number_taken(self, trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
        """Entered by an earlier try with another amount, tax, purpose or 3-D Secure, and never paid.

        Paying it would take what was wanted then: also when it was ourselves who entered it.  A
        number of which our books know nothing is used up as well once nothing can be held there;
        and one that was sent to 3-D Secure, when nobody knows the address any more.
        """
        if trade.state is TradeState.AUTHENTICATED and not claimed.finishes_three_ds:
            return not claimed.in_file
        if not claimed.access_id and _is_over(trade):
            return trade.state.is_check or (trade.state.is_cancelled and not self._charges_again)
        is_waiting = trade.state.is_unfinished and not claimed.finishes_three_ds
        is_as_wanted = self._is_entered(trade, claimed) and not claimed.entered_otherwise
        return is_waiting and not claimed.in_file and not is_as_wanted

    @property
    def _charges_again(self) -> bool:
        """Whether the order was checked or failed before, and what stands there is its charge."""
        return self.operation in (Operation.CAPTURE, Operation.REPAY)

    def _is_billed(self, trade: TradeStatus) -> bool:
        """A sale under a billing's own number counts, also one that a monthly file brought there."""
        return self.operation is Operation.BILL and trade.state.is_captured

    def _judge_forgotten(self, trade: TradeStatus, claimed: ClaimedAttempt) -> Outcome:
        """What was done under a number of this order without our books knowing it (P18).

        By books that were lost when a backup was restored (P36), or by another system.  It is this
        order's payment all the same: paying once more would take the money twice (P1).
        """
        if self.operation is Operation.BILL:  # only a sale ends it; a person looks at the rest
            outcome = not_usable(self.operation, trade, "other_transaction")
            is_held = trade.state.is_authorized
            return replace(outcome, detail=outcome.detail | {RESERVED: is_held})
        if trade.state.is_captured or trade.state.is_authorized:
            return found(trade, self._found_event(trade.state, claimed.kind))
        if trade.state.is_cancelled:
            return found(trade, Event.FOUND_CANCELLED)
        return not_usable(self.operation, trade, "unknown_state")

    def enter(self, gateway: SmbcGpGateway, claimed: ClaimedAttempt) -> TradeStatus:
        """Open the transaction; what a look-up would show now.  Raises GatewayError."""
        wish = ThreeDs(three_ds.tenant_name()) if claimed.return_url else None
        amount = None if self.job is Job.CHECK else claimed.amount
        access = gateway.enter(claimed.gateway_order_id, self.job, amount, three_ds=wish)
        return TradeStatus.entered(access, self.job, amount or 0)

    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """ExecTran, or what is left of it after 3-D Secure; once."""
        leaves = _STATES[self.job]
        if claimed.finishes_three_ds:
            return [Step("SecureTran2", SmbcGpGateway.finish_three_ds, leaves=leaves)]

        def send(gateway: SmbcGpGateway, access: TradeAccess) -> CallResult:
            assert claimed.card is not None  # asked for before the transaction was entered
            return_to = three_ds.return_address(access.order_id) if claimed.return_url else None
            return gateway.execute(access, claimed.card, job=self.job, return_to=return_to)

        return [Step("ExecTran", send, leaves=leaves)]

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Paid (or checked), with our amount."""
        return self._has_reached(trade, attempt.amount)

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Entered, with our amount, and still not paid: as it was seen, or waiting for 3-D Secure.

        ExecTran's answer with the buyer's address may have been lost: nobody but us could go on.
        """
        is_as_seen = trade.raw_status[:20] == attempt.state_seen
        may_be = is_as_seen or trade.state is TradeState.AUTHENTICATED
        return trade.state.is_unfinished and may_be and trade.total == attempt.amount_seen

    def _is_entered(self, trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
        """Whether the transaction was entered for exactly what is to be paid."""
        wanted = (self.job, self._yen(claimed.amount), 0)
        return (trade.job, trade.amount, trade.tax) == wanted

    def _found_event(self, state: TradeState, kind: OrderKind) -> Event:
        """What it means for the order that its transaction is captured, or only reserved."""
        if state.is_authorized:
            return Event.FOUND_AUTHORIZED
        is_billing = self.operation in (Operation.BILL, Operation.REPAY)
        is_billing = is_billing and kind is OrderKind.SUBSCRIPTION
        return Event.FOUND_BILLED if is_billing else Event.FOUND_CAPTURED

    def _has_reached(self, trade: TradeStatus, amount: int) -> bool:
        return trade.state is _STATES[self.job] and trade.total == self._yen(amount)

    def _yen(self, amount: int) -> int:
        return 0 if self.job is Job.CHECK else amount


def _is_over(trade: TradeStatus) -> bool:
    """Something was done with a transaction that we never entered."""
    return not trade.state.is_unfinished
