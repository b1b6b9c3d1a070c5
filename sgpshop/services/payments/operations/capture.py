"""SGPカード実売上処理: AlterTran SALES of the amount SMBC-GP holds (R11, R43)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sgpshop.gateway import Receipt, SmbcGpGateway, TradeAccess, TradeState, TradeStatus
from sgpshop.models import Attempt, Operation
from sgpshop.services.payments import outcomes
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.operations.plan import Plan, Step, is_other_transaction
from sgpshop.services.payments.outcomes import Outcome, found_done, found_elsewhere, not_usable
from sgpshop.services.payments.transactions import describe

_US = Operation.CAPTURE


class CapturePlan(Plan):
    """Looks first only when an earlier capture was in doubt, or nobody saw yet whose it is.

    The gateway refuses a second one.
    """

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """Done already, still held as we know it, or something else."""
        if trade is not None and is_other_transaction(trade, claimed):
            if (
                not claimed.is_confirmed
            ):  # a file's access data: never sent by it, and never will be
                return not_usable(_US, trade, "other_transaction")
            return outcomes.unknown(_US, "other_transaction")
        if trade is not None and trade.state.is_captured and trade.total == claimed.amount:
            return found_done(_US, trade, "capture_found_already")
        if trade is not None and trade.state.is_authorized:
            if trade.total == claimed.amount:
                return None
            return _other_amount(trade)
        outcome = found_elsewhere(_US, trade)
        if outcome.reason == "unknown_state":  # a word of the future: a person must judge
            return outcomes.unknown(_US, "unknown_state")
        return outcome

    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """SALES, once."""

        def send(gateway: SmbcGpGateway, access: TradeAccess) -> Receipt:
            return gateway.capture(access, claimed.amount)

        return [Step("SALES", send, leaves=TradeState.SALES)]

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Captured with our amount."""
        return trade.state.is_captured and trade.total == attempt.amount

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Still only held, with our amount."""
        return trade.state.is_authorized and trade.total == attempt.amount


def _other_amount(trade: TradeStatus) -> Outcome:
    """R72b: the amounts differ without our knowledge; the look-up refreshes what we know."""
    return replace(
        outcomes.rejected(_US, "found_before_repeat"),
        tran_id=trade.tran_id,
        trade=trade,
        looked=True,
        detail={"found": describe(trade)},
    )
