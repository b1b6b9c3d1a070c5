"""How uncertainty ends: by asking SMBC-GP, never by age and never by a guess (P13-P15, R140)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import Event
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, GatewayRejected, TradeStatus
from sgpshop.models import Attempt, BulkItem, ItemResult, utc_now
from sgpshop.models.attempt import AttemptState
from sgpshop.services import attempts, history, opening
from sgpshop.services.attempts import WORKER_LOST, Ran
from sgpshop.services.closing import Outcome, close
from sgpshop.services.contract import current_gateway
from sgpshop.services.database import writing
from sgpshop.services.gateway_facts import describe
from sgpshop.services.history import LOOK_UP, Actor
from sgpshop.services.opening import Wish

#: A capture that our own crash cut off is sent again by itself at most so often.
_RESENDS = 3
#: Somebody who opens an uncertain order may hurry a look-up, but not more often than this.
HURRY_PAUSE = 5.0


class Proof(Enum):
    """What a look-up proves about a capture whose outcome we do not know (P14)."""

    DONE = auto()
    NOT_DONE = auto()
    TOO_EARLY = auto()
    UNCLEAR = auto()


def look_up(attempt_id: int, *, not_within: float = 0.0) -> Ran:
    """Ask SMBC-GP about one UNKNOWN attempt and act on what that proves.

    Does nothing if it is no longer unknown, or was looked up less than `not_within` seconds ago.
    """
    gateway = current_gateway()
    attempt = attempts.claim_look(attempt_id, not_within=not_within)
    if attempt is None:
        return Ran.NOT_OURS
    try:
        trade = gateway.search_trade(attempt.gateway_order_id)
    except GatewayError as failure:
        attempts.look_again(attempt, f"照会できませんでした({failure.reason})")
        is_congested = isinstance(failure, GatewayRejected) and failure.is_congestion
        return Ran.CONGESTED if is_congested else Ran.POSTPONED
    proof = prove(attempt, trade, utc_now())
    if proof is Proof.DONE:
        _close_done(attempt, trade)
    elif proof is Proof.NOT_DONE:
        _close_not_done(attempt, trade)
    elif proof is Proof.TOO_EARLY:
        attempts.look_again(attempt, "")
    else:
        attempts.look_again(attempt, describe(trade))
    return Ran.ENDED


def prove(attempt: Attempt, trade: TradeStatus | None, now: datetime) -> Proof:
    """What `trade`, seen at `now`, says: order id, AccessID, status *and* amount must match."""
    if trade is None or trade.access.access_id != attempt.transaction.access_id:
        return Proof.UNCLEAR
    if trade.total != attempt.amount:
        return Proof.UNCLEAR
    if trade.state.is_captured:
        return Proof.DONE
    if not trade.state.is_authorized:
        return Proof.UNCLEAR
    quiet = timedelta(seconds=current_app.config["QUIET_PERIOD"])
    since = attempt.uncertain_since or now
    return Proof.NOT_DONE if now - since >= quiet else Proof.TOO_EARLY


def resolve_all() -> int:
    """Look up every uncertain outcome now, due or not; returns how many stay uncertain."""
    for attempt_id in _ids(AttemptState.SENDING):
        attempts.give_up_lost(attempt_id)
    for attempt_id in _ids(AttemptState.UNKNOWN):
        look_up(attempt_id)
    return len(_ids(AttemptState.UNKNOWN))


def is_uncertain(attempt: Attempt) -> bool:
    """Whether nobody knows how this stands: no usable answer, or its worker was lost (P13)."""
    is_lost = attempt.state is AttemptState.SENDING and (attempt.due_at or utc_now()) < utc_now()
    return is_lost or attempt.state is AttemptState.UNKNOWN


def hurry(attempt_id: int) -> None:
    """Somebody opened the order: look now instead of at the planned time (P13)."""
    try:
        attempts.give_up_lost(attempt_id)
        look_up(attempt_id, not_within=HURRY_PAUSE)
    except ShopError:
        return  # no contract: the screen says so itself


def _close_done(attempt: Attempt, trade: TradeStatus | None) -> None:
    found = Outcome(
        AttemptState.DONE,
        Event.CAPTURE_DONE,
        "capture_found_done",
        reason=attempt.reason,
        tran_id=trade.tran_id if trade else "",
        trade=trade,
        looked=True,
    )
    close(attempt.id, attempt.lease, found)


def _close_not_done(attempt: Attempt, trade: TradeStatus | None) -> None:
    interrupted = attempt.reason == WORKER_LOST
    found = Outcome(
        AttemptState.REJECTED,
        Event.CAPTURE_REJECTED,
        "capture_found_not_done",
        reason="not_carried_out",
        trade=trade,
        looked=True,
    )
    if close(attempt.id, attempt.lease, found) and interrupted:
        _send_again(attempt)


def _send_again(attempt: Attempt) -> None:
    """Go on with what was accepted and only our own crash cut off (P2, P10): a new attempt.

    The look-up proved that nothing was carried out.  It stands in the same line of its bulk run.
    """
    with writing() as session:
        order = opening.lock_order(session, attempt.order_id)
        cut_off = session.execute(
            sa.select(sa.func.count())
            .select_from(Attempt)
            .where(
                Attempt.order_id == order.id,
                Attempt.reason == "not_carried_out",
                Attempt.created_at > utc_now() - timedelta(days=1),
            )
        ).scalar_one()
        if cut_off > _RESENDS or order.total != attempt.amount or order.open_attempt is not None:
            return
        try:
            again = opening.new_attempt(
                order,
                Wish(attempt.operation, attempt.follow_up, attempt.choices),
                Actor(attempt.actor_kind, attempt.actor),
            )
        except ShopError:
            return  # it cannot be captured any more; the line stays as the look-up left it
        session.add(again)
        session.flush()
        session.execute(
            sa.update(BulkItem)
            .where(BulkItem.attempt_id == attempt.id)
            .values(attempt_id=again.id, result=ItemResult.PENDING, finished_at=None)
        )
        history.record(
            order.id,
            "capture_resent",
            LOOK_UP,
            before=order.payment_status,
            after=order.payment_status,
            total=order.total,
            version=order.version,
            attempt_id=again.id,
        )


def _ids(state: AttemptState) -> list[int]:
    ids = db.session.scalars(
        sa.select(Attempt.id).where(Attempt.state == state).order_by(Attempt.id)
    ).all()
    db.session.commit()
    return list(ids)
