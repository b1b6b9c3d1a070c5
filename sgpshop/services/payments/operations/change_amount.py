"""変更内容をSMBC-GPに送信 and オーソリ期間延長: ChangeTran on an authorization (R68, R83).

The gateway does not refuse a repetition: it would cancel and authorize once more (protocol.md §9).
And on a captured transaction a change to AUTH undoes the sale (§3.5).  So both always look first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import Job, Receipt, SmbcGpGateway, TradeAccess, TradeState, TradeStatus
from sgpshop.models import Attempt, Operation
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.operations.plan import Plan, Step, is_other_transaction
from sgpshop.services.payments.outcomes import (
    Outcome,
    found,
    found_done,
    found_elsewhere,
    not_usable,
)


class ChangeAmountPlan(Plan):
    """From the amount SMBC-GP holds to our total."""

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """Send only from the amount that the person saw as SMBC-GP側金額 (P20)."""
        us = Operation.CHANGE_AMOUNT
        if trade is None or not trade.state.is_authorized:
            return found_elsewhere(us, trade)
        if is_other_transaction(trade, claimed):
            return not_usable(us, trade, "other_transaction")
        if trade.total == claimed.amount:
            return found_done(us, trade, "change_amount_found_already")
        if trade.total != claimed.held:
            return found(trade, Event.FOUND_AUTHORIZED)
        return None

    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """ChangeTran to the new total, once."""
        return [_change(claimed)]

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Still an authorization, now of the new amount."""
        return trade.state.is_authorized and trade.total == attempt.amount

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """The very authorization that was there before (§3.5 rule 6)."""
        return _is_as_seen(trade, attempt)


class ExtendPlan(Plan):
    """The same amount authorized anew: a new term (protocol.md §3.5 rule 7)."""

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """Send only while the amount is the one the person saw."""
        us = Operation.EXTEND
        if trade is None or not trade.state.is_authorized:
            return found_elsewhere(us, trade)
        if is_other_transaction(trade, claimed):
            return not_usable(us, trade, "other_transaction")
        if trade.total != claimed.amount:
            return found(trade, Event.FOUND_AUTHORIZED)
        return None

    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """ChangeTran with the amount that is held, once."""
        return [_change(claimed)]

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """The amount tells nothing here: a new authorization has another TranID."""
        is_same_amount = trade.state.is_authorized and trade.total == attempt.amount
        return is_same_amount and trade.tran_id != attempt.tran_id_seen

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """The very authorization that was there before."""
        return _is_as_seen(trade, attempt)


def _change(claimed: ClaimedAttempt) -> Step:
    def send(gateway: SmbcGpGateway, access: TradeAccess) -> Receipt:
        return gateway.change_amount(access, claimed.amount, job=Job.AUTH)

    return Step("ChangeTran", send, leaves=TradeState.AUTH)


def _is_as_seen(trade: TradeStatus, attempt: Attempt) -> bool:
    is_same_amount = trade.state.is_authorized and trade.total == attempt.amount_seen
    return is_same_amount and trade.tran_id == attempt.tran_id_seen
