"""Money moves here and nowhere else: a worker calls `run_operation` for whoever wants something.

Write down what we are about to ask, ask, write down what was said.  When in doubt: UNKNOWN (P9).
What the operations differ in is in `operations`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.payment_status import PAID, Event, PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import (
    Challenge,
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
    Job,
    SmbcGpGateway,
    TradeAccess,
    TradeStatus,
    only_while,
)
from sgpshop.models import CHECKOUTS, AttemptState, Operation, Order, utc_now
from sgpshop.models.order import IS_THROUGH
from sgpshop.services.payments import (
    filed_numbers,
    journal,
    late_answers,
    other_numbers,
    outcomes,
    stored_cards,
)
from sgpshop.services.payments.clocks import usable_gateway
from sgpshop.services.payments.journal import ClaimedAttempt, RunResult
from sgpshop.services.payments.operations.cancel import CancelPlan
from sgpshop.services.payments.operations.capture import CapturePlan
from sgpshop.services.payments.operations.change_amount import ChangeAmountPlan, ExtendPlan
from sgpshop.services.payments.operations.entering import EnteringPlan
from sgpshop.services.payments.operations.plan import Plan, Step
from sgpshop.services.payments.operations.refund_difference import RefundDifferencePlan
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.services.payments.record import close
from sgpshop.services.payments.transaction_numbers import NumbersUsedUp, was_entered_unseen
from sgpshop.storage import shared_clock
from sgpshop.storage.stopping import is_stopping
from sgpshop.storage.vault import SealBroken

log = logging.getLogger(__name__)

#: What is asked for until it is known: the shop waits for this money, whenever it comes.
_ASKED_ON = (Operation.CAPTURE, Operation.BILL)
#: What a person asked for while the order stood, and would perhaps not ask for any more.
_HELD_BACK = (
    Operation.CAPTURE,
    Operation.CHANGE_AMOUNT,
    Operation.EXTEND,
    Operation.BILL,
)
#: So often a payment that our books alone call the second one is tried: some two minutes.
_TRIES_WHEN_DOUBLED = 12


#: Operations on a transaction that is at SMBC-GP.
_ON_TRANSACTION: dict[Operation, Plan] = {
    Operation.CAPTURE: CapturePlan(),
    Operation.CHANGE_AMOUNT: ChangeAmountPlan(),
    Operation.EXTEND: ExtendPlan(),
    Operation.CANCEL: CancelPlan(),
    Operation.REFUND_DIFFERENCE: RefundDifferencePlan(),
}
#: Operations that make one, and what they ask for.
_ENTERING: dict[Operation, Plan] = {
    operation: EnteringPlan(operation, job)
    for operation, job in {
        Operation.AUTHORIZE: Job.AUTH,
        Operation.SALE: Job.CAPTURE,
        Operation.CHECK_CARD: Job.CHECK,
        Operation.REGISTER_CARD: Job.CHECK,
        Operation.REPAY: Job.CAPTURE,
        Operation.BILL: Job.CAPTURE,
        Operation.CAPTURE: Job.CAPTURE,
    }.items()
}


def plan_of(operation: Operation, *, is_unpaid_charge: bool) -> Plan:
    """How `operation` is carried out on a transaction that is still to be paid, or is there."""
    is_new = operation.enters(is_unpaid_charge=is_unpaid_charge)
    return (_ENTERING if is_new else _ON_TRANSACTION)[operation]


def run_operation(attempt_id: int) -> RunResult:
    """Carry out one QUEUED attempt: claim, look first if in doubt, send, record (P6-P12).

    Safe to call any number of times from anywhere; only one caller gets the attempt.  Raises
    ShopError, with the attempt still queued, when there is no usable contract or our clock is wrong.
    """
    gateway = usable_gateway(ask=True, writes_first=True)
    # The clock is asked before the claim: what it stops stays QUEUED and needs no lease to expire.
    claimed = journal.claim(attempt_id)
    if claimed is None:
        return RunResult.NOT_OURS
    run = _Execution(
        gateway, plan_of(claimed.operation, is_unpaid_charge=claimed.is_unpaid_charge), claimed
    )
    lease = shared_clock.Renewal(partial(journal.renew, claimed), shared_clock.lease_time())
    with only_while(lease.go_on, each=True):
        ran = run.carry_out()
    # Only after the end is on record: keeping the card may fail or take long, the check stands.
    if ran is RunResult.ENDED and claimed.operation in stored_cards.KEPT_AFTER:
        stored_cards.keep_soon(gateway, claimed.order_id)
    return ran


@dataclass
class _Execution:
    """One attempt under way in this thread; every method that ends it says what became of it."""

    gateway: SmbcGpGateway
    plan: Plan
    claimed: ClaimedAttempt
    tried: list[str] = field(default_factory=list)

    def carry_out(self) -> RunResult:
        """Look if that comes first, then send, by another way if the first is the wrong one."""
        if self.plan.enters:
            return self._enter_and_send()
        found = self._look_before() if self.claimed.look_first else None
        if isinstance(found, RunResult):
            return found
        if self._asks_others_first and (ended := self._prepare()) is not None:
            return ended
        if self.claimed.look_first:
            assert found is not None  # these plans send only to what they saw
            return self._send_after_look(found)
        if self._is_held_back:
            return self._hold_back()
        try:
            access = self.claimed.access()
        except SealBroken:  # nothing can be sent for this order; the others go on
            return self._reject("seal_broken")
        # SENDING was committed by the claim, so nothing is written between here and the first byte.
        step = self._next_step(None)
        assert step is not None  # nothing was tried yet
        after = self._send(step, access)
        return after if isinstance(after, RunResult) else self._send_after_look(after)

    def _enter_and_send(self) -> RunResult:
        """Have a card, open the transaction unless a try before did, and pay it."""
        ended = self._prepare()
        if ended is not None:
            return ended
        trade = self._look_before() if self.claimed.look_first else None
        if trade is None:
            trade = self._enter()
        return trade if isinstance(trade, RunResult) else self._send_after_look(trade)

    def _prepare(self) -> RunResult | None:
        """See that no other number of the order pays it, and put the card of a new charge into `claimed`.

        How it ends where that is not so: nothing was entered yet.
        """
        claimed, card = self.claimed, None
        if claimed.operation is Operation.BILL and not _is_through(claimed.order_id):
            return self._reject(outcomes.NOT_THROUGH)
        try:
            paid_there = other_numbers.paid_there(
                self.gateway, claimed.operation, claimed.order_id, claimed.gateway_order_id
            )
            if paid_there is None and self.plan.enters and not claimed.finishes_three_ds:
                card = stored_cards.card_for(self.gateway, claimed)
        except stored_cards.NoCard as problem:
            return self._reject(problem.reason)
        except SealBroken:
            return self._reject("seal_broken")
        except GatewayUnreachable as failure:
            return self._unreachable(failure)
        except GatewayRejected as refusal:
            is_passing = self.claimed.tries < current_app.config["CONGESTION_TRIES"]
            if refusal.is_congestion and is_passing:
                return self._congested(refusal)
            return self._reject(refusal.reason, refusal.codes)
        except GatewayError as failure:  # keeping a card moves no money: it is asked for again
            return self._look_failed(failure)
        if paid_there is not None:
            return self._close(paid_there)
        self.claimed = replace(self.claimed, card=card)
        return None

    def _enter(self) -> TradeStatus | RunResult:
        """Open the transaction.  That moves nothing: a lost answer only means to look first."""
        if self._is_held_back:
            return self._hold_back()
        is_first = journal.about_to_enter(self.claimed)
        try:
            trade = self.plan.enter(self.gateway, self.claimed)
        except (GatewayUnreachable, GatewayRejected) as failure:
            # Also «exists already»: nobody of ours was here before, so that is not ours.
            if is_first:
                journal.not_entered(self.claimed)
            if isinstance(failure, GatewayUnreachable):
                return self._unreachable(failure)
            return self._refused(failure, is_entering=True)
        except GatewayError as failure:
            return self._look_failed(failure)
        self.claimed = replace(self.claimed, is_entered=True)
        return trade

    def _look_before(self) -> TradeStatus | RunResult | None:
        """What stands at SMBC-GP now, if it lets us send (P11, R43)."""
        try:
            found = self.gateway.search_trade(self.claimed.gateway_order_id)
            trade = None if found is None else self._own(found)
            if isinstance(trade, RunResult):
                return trade
            outcome = self._instead(self.plan.judge(trade, self.claimed))
        except GatewayUnreachable as failure:
            return self._unreachable(failure)
        except GatewayError as failure:
            return self._look_failed(failure)
        return trade if outcome is None else self._close(outcome)

    def _instead(self, outcome: Outcome | None) -> Outcome | None:
        """`outcome`, or what stands under another number, where this one holds nothing (any more).

        A cart that takes another payment of the buyer voids the first.  Raises GatewayError.
        """
        if self.claimed.operation is Operation.CANCEL:
            return self._paid_elsewhere(outcome) or outcome
        if outcome is None or outcome.event is not Event.FOUND_CANCELLED:
            return outcome
        claimed = self.claimed
        return (
            other_numbers.paid_there(
                self.gateway, claimed.operation, claimed.order_id, claimed.gateway_order_id
            )
            or outcome
        )

    def _paid_elsewhere(self, outcome: Outcome | None) -> Outcome | None:
        """Whether what is to be cancelled stands under another number of the order.

        Asked where nothing would be sent, because its own number holds nothing, of what was never
        billed, where the own number is that of a card check, and of what failed.
        """
        claimed = self.claimed
        is_for_nothing = outcome is not None and outcome.state is AttemptState.DONE
        is_check = claimed.status_before is PaymentStatus.AWAITING_BILLING
        may_be_paid_past_us = claimed.may_be_paid_past_us and claimed.status_before not in PAID
        if not (is_for_nothing or is_check or may_be_paid_past_us):
            return None
        return other_numbers.paid_there(
            self.gateway, claimed.operation, claimed.order_id, claimed.gateway_order_id
        )

    def _own(self, trade: TradeStatus) -> TradeStatus | RunResult | None:
        """`trade`, if it is the order's and may be acted on; None: it is another's, and no matter of ours.

        Or how it ends because nobody knows whose it is, or no call of ours may, or should, pay its number.
        """
        claimed = self.claimed
        if claimed.in_file:
            return trade
        whose = filed_numbers.whose(claimed.kind, trade)
        if not self.plan.enters and whose is filed_numbers.Whose.UNKNOWN_FILE:
            self.claimed = replace(claimed, in_file=True)
            return trade
        ended = False if claimed.finishes_three_ds else other_numbers.not_ours(claimed, trade)
        if not self.plan.enters and not ended:
            return trade if ended is False else None
        if whose is filed_numbers.Whose.UNKNOWN_FILE:
            return self._reject(filed_numbers.MAY_BE_FILED)
        if ended:
            return self._close(ended)
        is_over = ended is None or whose is filed_numbers.Whose.OVER
        if self._is_entered_unseen(trade):
            self.claimed = claimed = replace(claimed, entered_otherwise=True)
        if is_over or self.plan.is_number_taken(trade, claimed):
            return self._take_next_number()
        return trade

    def _is_entered_unseen(self, trade: TradeStatus) -> bool:
        """Whether nobody here knows how that number was entered: it is no buyer's to pay then."""
        claimed = self.claimed
        is_entered_by_us = claimed.is_entered or claimed.access_id or claimed.finishes_three_ds
        if claimed.operation not in CHECKOUTS or is_entered_by_us or not trade.state.is_unfinished:
            return False
        return was_entered_unseen(claimed.attempt_id, by_three_ds=bool(claimed.return_url))

    def _take_next_number(self) -> RunResult:
        try:
            renumbered = journal.renumber(self.claimed)
        except NumbersUsedUp:
            return self._reject("numbers_used_up")
        if renumbered is None:
            return RunResult.NOT_OURS
        journal.requeue(renumbered, 0.0, "number_taken")
        return RunResult.POSTPONED

    def _look_failed(self, failure: GatewayError) -> RunResult:
        """No answer to the look-up.  Nothing was sent, so asking again later is free.

        A capture is asked for again until it is known, a billing too; whatever else a person
        wants now is refused after some tries, so that it does not happen hours later (R97).
        """
        is_over = self.claimed.tries >= current_app.config["GATEWAY_TRIES"]
        if self.claimed.operation not in _ASKED_ON and is_over:
            return self._reject("look_failed")
        journal.requeue(self.claimed, _pause(self.claimed.tries), failure.reason, failure.codes)
        return RunResult.POSTPONED

    def _send_after_look(self, trade: TradeStatus) -> RunResult:
        """Send what fits `trade`; refused for the wrong state, look again and choose again (P28)."""
        while True:
            step = self._next_step(trade)
            assert step is not None  # _refused ends the attempt when no way is left
            if self._is_held_back and not self.claimed.is_entered:
                return self._hold_back()
            # Before the row says that it is sent: a process that ends now leaves no doubt behind (P33).
            if is_stopping():
                journal.requeue(self.claimed, 0.0, "stopping")
                return RunResult.POSTPONED
            sending = journal.about_to_send(
                self.claimed,
                trade,
                enters=self.plan.enters,
                may_be_called_off=self.claimed.operation not in _HELD_BACK,
            )
            if sending is None:
                return self._paid_otherwise()
            self.claimed = sending
            after = self._send(step, trade.access)
            if isinstance(after, RunResult):
                return after
            trade = after

    @property
    def _asks_others_first(self) -> bool:
        """Whether the buyer may have paid past us: a hold of his is captured only where he has not (R106)."""
        return self.claimed.may_be_paid_past_us and self.claimed.operation is Operation.CAPTURE

    @property
    def _is_held_back(self) -> bool:
        """Whether a person has to see first that a file called the order off.

        Whatever gives money back goes on, and what a buyer at the shop front does is no old wish.
        """
        return self.claimed.is_called_off and self.claimed.operation in _HELD_BACK

    def _hold_back(self) -> RunResult:
        return self._close(outcomes.called_off(self.claimed.operation, self.claimed.status_before))

    def _paid_otherwise(self) -> RunResult:
        """Not ours any more, called off, or money is live under another number: the next try sees which.

        Where no try sees what our books say, a person has to (P22).
        """
        if not journal.renew(self.claimed, shared_clock.now()):  # what we saw is as old as a lease
            journal.requeue(self.claimed, _pause(self.claimed.tries), "lease_over")
            return RunResult.POSTPONED
        if self.claimed.tries < _TRIES_WHEN_DOUBLED:
            journal.requeue(self.claimed, _pause(self.claimed.tries), "others_live")
            return RunResult.POSTPONED
        unclear = outcomes.rejected(self.claimed.operation, "other_transaction")
        is_ours = close(self.claimed.attempt_id, self.claimed.lease, unclear)
        return RunResult.ENDED if is_ours else RunResult.NOT_OURS

    def _next_step(self, trade: TradeStatus | None) -> Step | None:
        """What to send now; None when every way was tried and refused."""
        steps = self.plan.steps(trade, self.claimed, utc_now())
        return next((step for step in steps if step.name not in self.tried), None)

    def _send(self, step: Step, access: TradeAccess) -> RunResult | TradeStatus:
        """One call.  A TradeStatus: refused, nothing changed, and there is another way to try."""
        operation = self.claimed.operation
        try:
            with only_while(partial(journal.may_still_send, self.claimed)):
                result = step.send(self.gateway, access)
        # The only two errors that prove that nothing was done; every other one below is doubt (P9).
        except GatewayUnreachable as failure:
            return self._unreachable(failure)
        except GatewayRejected as refusal:
            self.tried.append(step.name)
            return self._refused(refusal)
        except GatewayOutcomeUnknown as doubt:
            return self._close(outcomes.unknown(operation, doubt.reason, doubt.codes))
        except Exception as error:  # a fault of ours, perhaps after sending: never guess (P9)
            log.exception("%s of attempt %s broke off", operation, self.claimed.attempt_id)
            return self._close(outcomes.unknown(operation, f"internal:{type(error).__name__}"))
        if isinstance(result, Challenge):
            return self._close(outcomes.challenged(operation, result))
        return self._close(
            outcomes.done(operation, result, step.leaves, how=step.name, **step.detail)
        )

    def _refused(
        self, refusal: GatewayRejected, *, is_entering: bool = False
    ) -> RunResult | TradeStatus:
        claimed = self.claimed
        if refusal.is_congestion and claimed.tries < current_app.config["CONGESTION_TRIES"]:
            return self._congested(refusal)
        if not (refusal.is_wrong_state or refusal.is_amount_mismatch):
            return self._reject(refusal.reason, refusal.codes)
        # «Already done», «wrong state» and «other amount» say that we do not know how it stands
        # (P9, R72b): look, if there is time.
        if is_stopping() and refusal.is_wrong_state:
            return self._close(outcomes.unknown(claimed.operation, "stopping", refusal.codes))
        try:
            found = self.gateway.search_trade(claimed.gateway_order_id)
        except GatewayError as failure:
            if is_entering and claimed.operation in _ASKED_ON:  # nothing of ours was sent to pay
                return self._look_failed(failure)
            if refusal.is_wrong_state:
                return self._close(
                    outcomes.unknown(claimed.operation, failure.reason, refusal.codes)
                )
            return self._reject(refusal.reason, refusal.codes)
        trade = None if found is None else self._own(found)
        if isinstance(trade, RunResult):
            return trade
        judged = self.plan.judge(trade, self.claimed)
        try:
            is_cancel = claimed.operation is Operation.CANCEL
            outcome = judged if is_cancel else self._instead(judged)
        except GatewayError as failure:  # nothing was carried out
            return self._look_failed(failure)
        if outcome is not None and outcome is not judged:
            return self._close(outcome)
        if outcome is not None:
            return self._close(replace(outcome, reason=refusal.reason, codes=refusal.codes))
        if trade is None:  # refused to enter what is not there: nothing was done
            return self._reject(refusal.reason, refusal.codes)
        if refusal.is_wrong_state and self._next_step(trade):
            return trade
        rejected = outcomes.rejected(claimed.operation, refusal.reason, refusal.codes)
        return self._close(replace(rejected, trade=trade, looked=True, tran_id=trade.tran_id))

    def _congested(self, refusal: GatewayRejected) -> RunResult:
        journal.requeue(self.claimed, _pause(self.claimed.tries), refusal.reason, refusal.codes)
        return RunResult.CONGESTED

    def _unreachable(self, failure: GatewayUnreachable) -> RunResult:
        # What held us back ourselves says nothing about the gateway: that never counts as failed.
        if failure.is_own_limit or self.claimed.tries < current_app.config["GATEWAY_TRIES"]:
            journal.requeue(self.claimed, _pause(self.claimed.tries), failure.reason)
            return RunResult.POSTPONED
        return self._close(outcomes.unreachable(self.claimed.operation, failure.reason))

    def _reject(self, reason: str, codes: tuple[str, ...] = ()) -> RunResult:
        return self._close(outcomes.rejected(self.claimed.operation, reason, codes))

    def _close(self, outcome: Outcome) -> RunResult:
        if not close(self.claimed.attempt_id, self.claimed.lease, outcome):
            # Somebody closed it meanwhile, by a look-up or a person: their word stands, ours is evidence.
            late_answers.record(self.claimed.attempt_id, outcome)
            return RunResult.NOT_OURS
        return RunResult.ENDED


def _is_through(order_id: int) -> bool:
    """Whether the goods of what waited to be billed are still where its buyer is to pay for them (R101)."""
    is_through = db.session.scalar(sa.select(IS_THROUGH).where(Order.id == order_id))
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    return bool(is_through)


def _pause(tries: int) -> float:
    """Seconds before the next try: 0.5, 1, 2, 4 … at most 15."""
    return float(min(15.0, 0.5 * 2 ** (tries - 1)))
