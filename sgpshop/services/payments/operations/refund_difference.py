"""差額を返金: more was taken than the order says, and the rest goes back (protocol.md §3.4, §3.5).

ChangeTran to CAPTURE with the right total; the transaction stays captured.  The gateway does not
refuse a repetition, so this always looks first.  It is the mend of a difference that a look-up found,
never a part refund of the right amount (R100).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import Job, Receipt, SmbcGpGateway, TradeAccess, TradeState, TradeStatus
from sgpshop.models import Attempt, Operation
from sgpshop.services.payments import outcomes
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.operations.plan import Plan, Step, is_other_transaction
from sgpshop.services.payments.outcomes import Outcome, found, found_done, not_usable

_US = Operation.REFUND_DIFFERENCE


class RefundDifferencePlan(Plan):
    """From the amount that SMBC-GP took to our total, which is less."""

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """Send only from the captured amount that the person saw (P20), and only downwards."""
        if trade is None or is_other_transaction(trade, claimed):
            return _not_there(trade)
        if trade.state.is_cancelled:
            return found(trade, Event.FOUND_CANCELLED)
        if not trade.state.is_captured:
            return not_usable(_US, trade, "unknown_state")
        if trade.total == claimed.amount:
            return found_done(_US, trade, "refund_difference_found_already")
        if trade.total != claimed.held or trade.total < claimed.amount:
            return found(trade, Event.FOUND_CAPTURED)
        return None

    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """ChangeTran to our total, once."""

        def send(gateway: SmbcGpGateway, access: TradeAccess) -> Receipt:
            return gateway.change_amount(access, claimed.amount, job=Job.CAPTURE)

        return [Step("ChangeTran", send, leaves=TradeState.CAPTURE)]

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Captured, with our total."""
        return trade.state.is_captured and trade.total == attempt.amount

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """The very sale that was there before."""
        is_same_amount = trade.state.is_captured and trade.total == attempt.amount_seen
        return is_same_amount and trade.tran_id == attempt.tran_id_seen


def _not_there(trade: TradeStatus | None) -> Outcome:
    """Not the transaction we know: nothing is sent, and the next comparison tells (P18)."""
    if trade is None:
        return outcomes.rejected(_US, "other_transaction")
    return not_usable(_US, trade, "other_transaction")
