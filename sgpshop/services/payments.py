"""Money moves here and nowhere else: one entry, `run_operation`, whoever drives it (style.md).

Write down what we are about to ask, ask, write down what was said.  When in doubt: UNKNOWN (P9).
"""

from __future__ import annotations

import logging

from flask import current_app

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import (
    GatewayError,
    GatewayOutcomeUnknown,
    GatewayRejected,
    GatewayUnreachable,
    Receipt,
    SmbcGpGateway,
    TradeStatus,
)
from sgpshop.models.attempt import AttemptState
from sgpshop.services import attempts
from sgpshop.services.attempts import Ran, Work
from sgpshop.services.closing import Outcome, close
from sgpshop.services.contract import current_gateway
from sgpshop.services.gateway_facts import describe
from sgpshop.services.vault import SealBroken

log = logging.getLogger(__name__)


def run_operation(attempt_id: int) -> Ran:
    """Carry out one QUEUED attempt: claim, look first if in doubt, send, record (P6-P12).

    Safe to call any number of times from anywhere; only one caller gets the attempt.  Raises
    ShopError, with the attempt still queued, when there is no usable contract.
    """
    gateway = current_gateway()
    work = attempts.claim(attempt_id)
    if work is None:
        return Ran.NOT_OURS
    try:
        access = work.access()
    except SealBroken:  # nothing can be sent for this order; the others go on
        return _close(work, _rejected("seal_broken"))
    if work.look_first:
        found = _look(gateway, work)
        if isinstance(found, Outcome):
            return _close(work, found)
        if isinstance(found, GatewayUnreachable):
            return _unreachable(work, found)
        if isinstance(found, GatewayError):
            # Nothing was sent; looking again later is free.
            attempts.requeue(work, _pause(work.tries), found.reason, found.codes)
            return Ran.POSTPONED
        if attempts.is_stopping():
            attempts.requeue(work, 0.0, "stopping")
            return Ran.POSTPONED
        sending = attempts.about_to_send(work)
        if sending is None:
            return Ran.NOT_OURS
        work = sending
    if not attempts.may_still_send(work):
        attempts.requeue(work, 0.0, "frozen")  # nothing was sent
        return Ran.POSTPONED
    try:
        receipt = gateway.capture(access, work.amount)
    except GatewayUnreachable as failure:
        return _unreachable(work, failure)
    except GatewayRejected as refusal:
        return _refused(gateway, work, refusal)
    except GatewayOutcomeUnknown as doubt:
        return _close(work, _unknown(doubt.reason, doubt.codes))
    except Exception as error:  # a fault of ours, perhaps after sending: never guess (P9)
        log.exception("capture of attempt %s broke off", attempt_id)
        return _close(work, _unknown(f"internal:{type(error).__name__}"[:120]))
    return _close(work, _done(receipt))


def _look(gateway: SmbcGpGateway, work: Work) -> Outcome | GatewayError | None:
    """Before a repeat: is it captured already?  None: the amount is still only held (R43, P11)."""
    try:
        trade = gateway.search_trade(work.gateway_order_id)
    except GatewayError as failure:
        return failure
    if _is_held(trade, work):
        return None
    return _after_look(trade, work, "found_before_repeat", ())


def _refused(gateway: SmbcGpGateway, work: Work, refusal: GatewayRejected) -> Ran:
    if refusal.is_congestion and work.tries < current_app.config["CONGESTION_TRIES"]:
        attempts.requeue(work, _pause(work.tries), refusal.reason, refusal.codes)
        return Ran.CONGESTED
    rejected = _rejected(refusal.reason, refusal.codes)
    if not (refusal.is_wrong_state or refusal.is_amount_mismatch):
        return _close(work, rejected)
    # «Already done», «wrong state» and «other amount» say that we do not know how it stands (P9,
    # R72b): look, if there is time.
    if attempts.is_stopping() and refusal.is_wrong_state:
        return _close(work, _unknown("stopping", refusal.codes))
    try:
        trade = gateway.search_trade(work.gateway_order_id)
    except GatewayError as failure:
        if refusal.is_wrong_state:
            return _close(work, _unknown(failure.reason, refusal.codes))
        return _close(work, rejected)
    return _close(work, _after_look(trade, work, refusal.reason, refusal.codes))


def _after_look(
    trade: TradeStatus | None, work: Work, reason: str, codes: tuple[str, ...]
) -> Outcome:
    """How the attempt ends after a look-up showed `trade` and nothing of ours is under way."""
    if trade is not None and trade.access.access_id != work.access_id:
        return _unknown("other_transaction", codes)
    if trade is not None and trade.state.is_captured and trade.total == work.amount:
        state, event, sentence = AttemptState.DONE, Event.CAPTURE_DONE, "capture_found_already"
    elif trade is not None and trade.state.is_captured:
        state, event, sentence = AttemptState.REJECTED, Event.FOUND_CAPTURED, "look_up_differs"
    elif trade is not None and trade.state.is_cancelled:
        state, event, sentence = AttemptState.REJECTED, Event.FOUND_CANCELLED, "look_up_differs"
    elif trade is not None and trade.state.is_authorized:
        state, event, sentence = (
            AttemptState.REJECTED,
            Event.CAPTURE_REJECTED,
            "capture_rejected",
        )
    elif trade is None or trade.state.is_unfinished:
        state, event, sentence = AttemptState.REJECTED, Event.FOUND_UNFINISHED, "look_up_differs"
    else:
        return _unknown("unknown_state", codes)
    return Outcome(
        state,
        event,
        sentence,
        reason=reason,
        codes=codes,
        tran_id=trade.tran_id if trade else "",
        trade=trade,
        looked=True,
        detail={"found": describe(trade)},
    )


def _unreachable(work: Work, failure: GatewayUnreachable) -> Ran:
    # No free connection of our own says nothing about the gateway: that never counts as failed.
    if failure.is_own_limit or work.tries < current_app.config["GATEWAY_TRIES"]:
        attempts.requeue(work, _pause(work.tries), failure.reason)
        return Ran.POSTPONED
    return _close(
        work,
        Outcome(
            AttemptState.REJECTED,
            Event.CAPTURE_REJECTED,
            "capture_unreachable",
            reason=f"unreachable:{failure.reason}"[:120],
        ),
    )


def _done(receipt: Receipt) -> Outcome:
    return Outcome(
        AttemptState.DONE,
        Event.CAPTURE_DONE,
        "capture_done",
        tran_id=receipt.tran_id,
        processed_at=receipt.processed_at,
    )


def _rejected(reason: str, codes: tuple[str, ...] = ()) -> Outcome:
    return Outcome(
        AttemptState.REJECTED,
        Event.CAPTURE_REJECTED,
        "capture_rejected",
        reason=reason[:120],
        codes=codes,
    )


def _unknown(reason: str, codes: tuple[str, ...] = ()) -> Outcome:
    return Outcome(
        AttemptState.UNKNOWN,
        Event.CAPTURE_UNKNOWN,
        "capture_unknown",
        reason=reason[:120],
        codes=codes,
    )


def _close(work: Work, outcome: Outcome) -> Ran:
    if not close(work.attempt_id, work.lease, outcome):
        log.warning("late outcome of attempt %s: %s", work.attempt_id, outcome.state)
        return Ran.NOT_OURS
    return Ran.ENDED


def _is_held(trade: TradeStatus | None, work: Work) -> bool:
    return (
        trade is not None
        and trade.state.is_authorized
        and trade.access.access_id == work.access_id
        and trade.total == work.amount
    )


def _pause(tries: int) -> float:
    """Seconds before the next try: 0.5, 1, 2, 4 … at most 15."""
    return float(min(15.0, 0.5 * 2 ** (tries - 1)))
