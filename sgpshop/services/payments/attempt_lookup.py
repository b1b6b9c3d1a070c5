"""How uncertainty ends: by asking SMBC-GP, never by age and never by a guess (P13-P15, R140)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotPossible, OrderChanged, ShopError
from sgpshop.domain.payment_status import Event
from sgpshop.extensions import db
from sgpshop.gateway import (
    GatewayError,
    GatewayRejected,
    TradeState,
    TradeStatus,
    without_answer,
)
from sgpshop.models import (
    CHECKOUTS,
    Attempt,
    Billing,
    BillingState,
    BulkItem,
    CardTransaction,
    ItemResult,
    Operation,
    SlipRow,
)
from sgpshop.models.attempt import AttemptState, LookResult
from sgpshop.services.access import activities
from sgpshop.services.orders import acting, history
from sgpshop.services.orders.history import LOOK_UP, Actor
from sgpshop.services.payments import (
    acts,
    journal,
    outcomes,
    stored_cards,
    transaction_lookup,
)
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.gateway_access import current_gateway
from sgpshop.services.payments.journal import WORKER_LOST, RunResult
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.services.payments.record import close
from sgpshop.services.payments.runner import plan_of
from sgpshop.services.payments.transactions import describe, describe_state
from sgpshop.storage import news, shared_clock
from sgpshop.storage.database import read_alone
from sgpshop.storage.queue import Task, tell_now

#: Nobody but us takes these up again: the buyer was told that we are looking, a month is billed once.
_TAKEN_UP = CHECKOUTS | {Operation.BILL}
#: What our own crash cut off is sent again by itself at most so often.
_RESENDS = 3
#: Somebody who opens an uncertain order may hurry a look-up, but not more often than this.
HURRY_PAUSE = 5.0
#: A doubt that shows nothing odd is left to the look-ups for so long before a person may end it.
BY_HAND_AFTER = timedelta(hours=1)


class Proof(Enum):
    """What a look-up proves about an operation whose outcome we do not know (P14)."""

    DONE = auto()
    NOT_DONE = auto()
    TOO_EARLY = auto()
    UNCLEAR = auto()


def look_up(attempt_id: int, *, not_within: float = 0.0) -> RunResult:
    """Ask SMBC-GP about one UNKNOWN attempt and act on what that proves.

    Does nothing if it is no longer unknown, or was looked up less than `not_within` seconds ago.
    """
    gateway = current_gateway()
    # Claimed and committed before asking: two look-ups at once could prove opposite things in turn.
    attempt = journal.claim_look(attempt_id, not_within=not_within)
    if attempt is None:
        return RunResult.NOT_OURS
    try:
        trade = gateway.search_trade(attempt.gateway_order_id)
    except GatewayError as failure:
        journal.look_again(attempt, LookResult.UNANSWERED, failure.reason)
        is_congested = isinstance(failure, GatewayRejected) and failure.is_congestion
        return RunResult.CONGESTED if is_congested else RunResult.POSTPONED
    if _was_never_sent(attempt):
        _begin_anew(attempt)
        return RunResult.ENDED
    # As of when it was asked: what a slow answer shows may be as old (P14).
    proof = prove(attempt, trade, attempt.looked_up_at or shared_clock.now())
    if proof is Proof.DONE:
        _close_done(attempt, trade)
        if attempt.operation in stored_cards.KEPT_AFTER:
            stored_cards.keep_soon(gateway, attempt.order_id)
    elif proof is Proof.NOT_DONE:
        _close_not_done(attempt, trade)
    elif proof is Proof.TOO_EARLY:
        journal.look_again(attempt, None)
    elif trade is None:
        journal.look_again(attempt, LookResult.NOT_THERE)
    else:
        journal.look_again(attempt, LookResult.DIFFERS, trade.raw_status, trade.total)
    return RunResult.ENDED


def _was_never_sent(attempt: Attempt) -> bool:
    """Whether it was refused a number that is used already, and could not see for what (R141).

    Nothing of it was sent to pay, so whatever stands there now is not its doing.
    """
    plan = plan_of(attempt.operation, is_unpaid_charge=attempt.transaction.is_unpaid_charge)
    return plan.enters and attempt.sent_at is None


def prove(attempt: Attempt, trade: TradeStatus | None, now: datetime) -> Proof:
    """What `trade`, seen at `now`, says: order id, AccessID, status *and* amount must match."""
    if trade is None or trade.access.access_id != attempt.transaction.access_id:
        return Proof.UNCLEAR
    plan = plan_of(attempt.operation, is_unpaid_charge=attempt.transaction.is_unpaid_charge)
    if plan.is_done(trade, attempt):
        return Proof.DONE
    if not plan.is_untouched(trade, attempt):
        return Proof.UNCLEAR
    # What is untouched now may still be carried out: SMBC-GP can be at it, or the request on its way.
    quiet = timedelta(seconds=current_app.config["QUIET_PERIOD"])
    since = attempt.uncertain_since or now
    return Proof.NOT_DONE if now - since >= quiet else Proof.TOO_EARLY


def resolve_all() -> tuple[int, int]:
    """Look up every uncertain outcome now, due or not.

    Returns how many stay uncertain, and how many of those because SMBC-GP did not answer.
    """
    for attempt_id in _ids(AttemptState.SENDING):
        journal.give_up_lost(attempt_id)
    for attempt_id in _ids(AttemptState.UNKNOWN):
        look_up(attempt_id)
    left = _ids(AttemptState.UNKNOWN)
    unanswered = db.session.scalars(
        sa.select(Attempt.id).where(
            Attempt.id.in_(left), Attempt.look_result == LookResult.UNANSWERED
        )
    ).all()
    return len(left), len(unanswered)


def is_uncertain(attempt: Attempt) -> bool:
    """Whether nobody knows how this stands: no usable answer, or its worker was lost (P13)."""
    is_lost = (  # a line of a monthly file has no time: the file is what is tried again
        attempt.state is AttemptState.SENDING
        and attempt.due_at is not None
        and attempt.due_at < shared_clock.now()
    )
    return is_lost or attempt.state is AttemptState.UNKNOWN


def hurry(attempt_id: int) -> None:
    """Somebody opened the order: look now instead of at the planned time (P13)."""
    try:
        journal.give_up_lost(attempt_id)
        look_up(attempt_id, not_within=HURRY_PAUSE)
    except ShopError:
        return  # no contract: the screen says so itself


def hurry_and_wait(attempt: Attempt, seconds: float) -> bool:
    """Somebody asks how this stands: have it looked up now; whether that is over by then.

    What is under way and not in doubt ends by itself, and what was looked up just now is not again.
    """
    now, before = shared_clock.now(), attempt.looked_up_at
    is_new = before is not None and (now - before).total_seconds() < HURRY_PAUSE
    if not is_uncertain(attempt) or is_new:
        return True
    tell_now(Task.HURRY, attempt.id)
    return news.wait_until(
        lambda: journal.was_looked_up(attempt.id, before), attempt.order_id, seconds
    )


def may_close_by_hand(attempt: Attempt, now: datetime) -> bool:
    """Whether a person may end this doubt: look-ups did not, and have had their time (P15)."""
    since = attempt.uncertain_since
    if attempt.state is not AttemptState.UNKNOWN or since is None:
        return False
    quiet = timedelta(seconds=current_app.config["QUIET_PERIOD"])
    does_not_fit = attempt.look_result not in (None, LookResult.UNANSWERED)
    return now - since >= (quiet if does_not_fit else max(quiet, BY_HAND_AFTER))


def describe_look(attempt: Attempt) -> str:
    """What the last look-up that decided nothing showed, in words; "" before any."""
    if attempt.look_result is LookResult.UNANSWERED:
        return without_answer(attempt.look_word)
    if attempt.look_result is LookResult.DIFFERS:
        return describe_state(attempt.look_word, attempt.look_amount or 0)
    return describe(None) if attempt.look_result is LookResult.NOT_THERE else ""


def close_by_hand(attempt_id: int, why: str, actor: Actor) -> None:
    """End an uncertain attempt because a person knows more (P15).

    The order stays 要確認 and follows what the next look-up shows; nothing is sent again.  Raises
    ShopError when there is nothing to end (any more).
    """
    attempt = db.session.get(Attempt, attempt_id, populate_existing=True)
    if attempt is None or not may_close_by_hand(attempt, shared_clock.now()):
        raise NotPossible(
            "手動で判断できる処理ではなくなっています。最新の状態を確認してください。"
        )
    # The lease as it was just read: a look-up that decides in between makes this close() do nothing.
    lease, who = attempt.lease, activities.acting()
    number, yen, words = attempt.order.order_no, attempt.amount, attempt.operation.label
    db.session.commit()

    def keep_who(session: Session) -> None:
        activities.record(
            session,
            ActivityEvent.UNCERTAIN_CLOSED,
            number,
            by=actor.name,
            who=who,
            yen=yen,
            note=words,
        )

    if not close(attempt_id, lease, outcomes.closed_by(actor, why), go_on=keep_who):
        raise OrderChanged


def _close_done(attempt: Attempt, trade: TradeStatus | None) -> None:
    found = Outcome(
        AttemptState.DONE,
        Event(f"{attempt.operation}_done"),
        f"{attempt.operation}_found_done",
        reason=attempt.reason,
        tran_id=trade.tran_id if trade else "",
        trade=trade,
        looked=True,
    )
    close(attempt.id, attempt.lease, found)


def _close_not_done(attempt: Attempt, trade: TradeStatus | None) -> None:
    is_challenge_lost = (
        trade is not None
        and trade.state is TradeState.AUTHENTICATED
        and attempt.state_seen != trade.raw_status
    )
    goes_on = attempt.reason == WORKER_LOST or attempt.operation in _TAKEN_UP
    found = Outcome(
        AttemptState.REJECTED,
        Event(f"{attempt.operation}_rejected"),
        f"{attempt.operation}_found_not_done",
        reason="three_ds_lost" if is_challenge_lost else "not_carried_out",
        trade=trade,
        looked=True,
    )
    found = _not_failed(found, attempt)
    token = attempt.card_sealed

    def go_on(session: Session) -> None:
        _send_again(session, attempt, token)

    close(
        attempt.id, attempt.lease, found, go_on=go_on if goes_on and not is_challenge_lost else None
    )


def _begin_anew(attempt: Attempt) -> None:
    """SMBC-GP answers again: the same payment begins anew and judges what stands there.

    If it may not, the transaction's own look-up books what was found.
    """
    token = attempt.card_sealed

    def go_on(session: Session) -> None:
        transaction_lookup.make_due(session, CardTransaction.id == attempt.transaction_id)
        _send_again(session, attempt, token)

    not_sent = _not_failed(outcomes.rejected(attempt.operation, "not_carried_out"), attempt)
    close(
        attempt.id,
        attempt.lease,
        replace(not_sent, sentence=f"{attempt.operation}_found_not_done", looked=True),
        go_on=go_on,
    )


def _not_failed(not_done: Outcome, attempt: Attempt) -> Outcome:
    """A registration that was not carried out has not failed: it is to come (R105)."""
    is_billing = attempt.operation is Operation.BILL
    return replace(not_done, event=Event.BILL_POSTPONED) if is_billing else not_done


def _send_again(session: Session, attempt: Attempt, card_sealed: str | None) -> None:
    """Go on with what was accepted and only our own crash cut off (P2, P10): a new attempt.

    The look-up proved that nothing was carried out.  It stands in the same line of its bulk run or
    slip file.
    """
    order = acting.lock_order(session, attempt.order_id)
    cut_off = session.execute(
        sa.select(sa.func.count())
        .select_from(Attempt)
        .where(
            Attempt.order_id == order.id,
            Attempt.operation == attempt.operation,
            Attempt.reason == "not_carried_out",
            Attempt.created_at > shared_clock.now() - timedelta(days=1),
        )
    ).scalar_one()
    if cut_off > _RESENDS or order.open_attempt is not None:
        return
    goes_to_bank = order.transaction is not None and bool(order.transaction.return_url)
    wanted = OperationRequest(
        attempt.operation,
        attempt.follow_up,
        attempt.choices,
        by_three_ds=goes_to_bank,
        is_agreed=True,
    )
    # A savepoint: refused or of another amount, the look-up's own result must still be recorded.
    step = session.begin_nested()
    try:
        actor = Actor(attempt.actor_kind, attempt.actor)
        [again] = acts.open(session, [order], wanted, actor, card_sealed=card_sealed)
    except (ShopError, IntegrityError):  # the database refuses it beside what is live
        step.rollback()
        return  # it is not possible any more; the line stays as the look-up left it
    if again.amount != attempt.amount:  # not what was confirmed (P20)
        step.rollback()
        return
    step.commit()
    session.execute(
        sa.update(Billing)
        .where(Billing.attempt_id == attempt.id)
        .values(attempt_id=again.id, state=BillingState.PLANNED)
    )
    session.execute(
        sa.update(BulkItem)
        .where(BulkItem.attempt_id == attempt.id)
        .values(attempt_id=again.id, result=ItemResult.PENDING, finished_at=None)
    )
    session.execute(
        sa.update(SlipRow)
        .where(SlipRow.attempt_id == attempt.id)
        .values(attempt_id=again.id, result=ItemResult.PENDING, finished_at=None)
    )
    history.record_unchanged(
        order,
        "resent",
        LOOK_UP,
        attempt_id=again.id,
        operation=attempt.operation.label,
    )


def _ids(state: AttemptState) -> list[int]:
    return read_alone(sa.select(Attempt.id).where(Attempt.state == state).order_by(Attempt.id))
