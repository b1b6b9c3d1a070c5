"""What a money operation that succeeded brings with it, in the transaction that records it.

The amount that was sent, the parcels of a cancelled order, and the second step of an act that
consists of two (R68, R92, R30).  Payments know nobody who waits for a capture: the app is made with a
short explicit list of followers (create_app).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.delivery_status import DeliveryStatus, processing_class
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import BEFORE_CHARGE, AlertKind, Decision
from sgpshop.gateway import TradeState, TradeStatus
from sgpshop.models import CHECKOUTS, AttemptState, CardTransaction, FollowUp, Operation, Order
from sgpshop.services import settings
from sgpshop.services.orders import acting, alerts, history, parcels
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, second_look, transaction_numbers, transactions
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.storage import shared_clock

_FOLLOWERS = "sgpshop.followers"

#: Called with the session, the attempt's id, the row of record._READ of it, what its end means for a line of
#: a run or file, and the time (UTC).  What a follower raises breaks the end off as a whole.
Follower = Callable[[Session, int, Any, AttemptState, datetime], None]


def follow_captures(app: Flask, *followers: Follower) -> None:
    """Have `followers` told, in this order, of each capture that ended and is no line of a bulk run."""
    app.extensions[_FOLLOWERS] = followers


def notify_followers(
    session: Session, attempt_id: int, row: Any, state: AttemptState, now: datetime
) -> None:
    """Tell everybody who follows; see Follower."""
    for follower in current_app.extensions[_FOLLOWERS]:
        follower(session, attempt_id, row, state, now)


def settle(session: Session, row: Any, outcome: Outcome, now: datetime) -> None:
    """Write what `outcome` (DONE) of the attempt in `row`, a row of record._READ, changed with it.

    The attempt's own history entry tells of it, so it is written after this.
    """
    if row.operation is Operation.CAPTURE:
        return  # its few columns are written by `record`, which does so for every line of a run
    if outcome.trade is None and outcome.tran_id:
        transaction = session.get_one(CardTransaction, row.transaction_id, populate_existing=True)
        transactions.record_answer(
            transaction,
            outcome.state_there,
            amount_there(row, outcome),
            tran_id=outcome.tran_id,
            at=outcome.processed_at or now,
            valid_days=settings.load().auth_valid_days,
        )
    if row.operation is Operation.CHANGE_AMOUNT:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id == row.transaction_id)
            .values(amount_sent_at=now)
        )
    elif row.operation is Operation.CANCEL:
        cancel_parcels(acting.lock_order(session, row.order_id))
        for kind in (AlertKind.CANCELLED_IN_FILE, *BEFORE_CHARGE):
            alerts.mended(session, row.order_id, kind, row.actor, now)
    elif row.operation is Operation.REFUND_DIFFERENCE:
        alerts.mended(session, row.order_id, AlertKind.AMOUNT_DIFFERS, row.actor, now)
    session.flush()


def tell_money(session: Session, order: Order, trade: TradeStatus, was: str | None) -> None:
    """A look-up showed `trade` for the locked order, and `was` the Status its transaction had."""
    if trade.state.is_live:
        is_news = was is None or not TradeState.of(was).is_captured
        alerts.money_is_there(
            session,
            order,
            is_taken=trade.state.is_captured,
            now=shared_clock.now(),
            news=transactions.describe(trade) if is_news else "",
        )


def end_of_missing(session: Session, row: Any, outcome: Outcome, now: datetime) -> None:
    """Nothing is missing any more that `outcome` (DONE) of the attempt in `row` reserved or took."""
    state = outcome.trade.state if outcome.trade else outcome.state_there
    if state.is_live and row.operation is not Operation.CANCEL:
        order = acting.lock_order(session, row.order_id)
        alerts.money_is_there(session, order, is_taken=state.is_captured, now=now)


def amount_there(row: Any, outcome: Outcome) -> int:
    """Yen SMBC-GP has by its own word, once `outcome` says that it did what `row` asked for.

    A payment is made of what was entered, which was seen just before it was sent (ExecTran and
    SecureTran2 name no amount); AlterTran and ChangeTran are refused unless they name the amount.
    """
    if outcome.trade is not None:
        return outcome.trade.total
    is_payment = row.operation in CHECKOUTS | {Operation.BILL} or (
        row.operation is Operation.CAPTURE and outcome.state_there is TradeState.CAPTURE
    )
    return row.amount if not is_payment or row.amount_seen is None else int(row.amount_seen)


def alert_other_amount(session: Session, row: Any, outcome: Outcome) -> None:
    """What was paid is not what the order says: booked as it is, and a person must know."""
    state = outcome.trade.state if outcome.trade else outcome.state_there
    is_paid = state.is_captured or (state.is_authorized and row.operation in CHECKOUTS)
    amount = amount_there(row, outcome)
    if row.operation is Operation.CANCEL or not is_paid or amount == row.total:
        return
    alerts.raise_for(
        session,
        row.order_id,
        row.payment_status,
        Decision(row.payment_status, (AlertKind.AMOUNT_DIFFERS,)),
        found=f"{state.label} {amount:,}円",
        total=row.total,
    )


def alert_what_is_left(
    session: Session, order_id: int, before: PaymentStatus | None, total: int
) -> None:
    """The order is cancelled now, but not what stands under its other numbers: told, even if it was
    acknowledged before, for now nobody would look at this order again."""
    left = transaction_numbers.left_elsewhere(order_id)
    if left:
        alerts.raise_kind(
            session, order_id, AlertKind.EARLIER_IS_LIVE, before=before, found=left, total=total
        )


def follow(session: Session, row: Any, now: datetime) -> None:
    """Take the second step of the act whose attempt in `row` is DONE; it has its own entry."""
    if row.follow_up is FollowUp.DELIVER:
        _deliver(session, row, now)
    elif row.follow_up is FollowUp.CAPTURE:
        _capture(session, row)


def cancel_parcels(order: Order) -> None:
    """The parcels of a cancelled order are cancelled with it (R92)."""
    for delivery in order.deliveries:
        delivery.status = DeliveryStatus.CANCELLED
    order.processing_class = processing_class(d.status for d in order.deliveries)


def _capture(session: Session, row: Any) -> None:
    """Queue the capture that was confirmed together with the amount (送信して実売上処理)."""
    order = acting.lock_order(session, row.order_id)
    actor = Actor(row.actor_kind, row.actor)
    try:
        wanted = OperationRequest(
            Operation.CAPTURE, choices=second_look.agreed(row.choices), is_agreed=True
        )
        acts.open(session, [order], wanted, actor)
    except NotPossible as problem:  # SMBC-GP holds something else than was confirmed
        history.record_unchanged(order, "follow_up_stopped", actor, why=problem.message)
    session.flush()


def _deliver(session: Session, row: Any, now: datetime) -> None:
    """配送完了, confirmed together with the capture (R30)."""
    order, actor = acting.lock_order(session, row.order_id), Actor(row.actor_kind, row.actor)
    if order.is_called_off:  # asked for before, as what a run has left to do (R143)
        why = DeliveryRefusal.CALLED_OFF.sentence
        history.record_unchanged(order, "delivery_stopped", actor, why=why)
    elif parcels.deliver_all(session, order, now):
        before = order.payment_status
        history.record_change(order, "delivered_after_capture", actor, before=before)
