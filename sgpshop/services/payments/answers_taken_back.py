"""An answer to «whose payment is that?» was wrong: it is taken back, and is a question again (R141).

«この注文の決済です» moved money in our books and may have changed which payment counts.  Both are put
back as long as nothing was built on them; what was booked stays, and is balanced by what is booked
against it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.errors import NotFound, NotPossible, OrderBusy
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import BEFORE_CHARGE, MISSING, AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    Attempt,
    AttemptState,
    Billing,
    BillingState,
    CardTransaction,
    MoneyMovement,
    Order,
    UnknownNumber,
    utc_now,
)
from sgpshop.services.orders import alerts, history, money_movements, subscription_rounds
from sgpshop.services.orders.acting import id_of, lock_order
from sgpshop.services.orders.history import LOOK_UP, WORKER, Actor
from sgpshop.services.payments import billing_marks, transaction_numbers, unknown_numbers
from sgpshop.services.payments.transactions import look_now
from sgpshop.storage import queue
from sgpshop.storage.database import writing
from sgpshop.storage.queue import Task, Urgency

#: What a look-up tells of the payment that counts, and says nothing once another one does.
_OF_THE_PAYMENT = (
    AlertKind.AMOUNT_DIFFERS,
    AlertKind.CAPTURED_ELSEWHERE,
    AlertKind.CANCELLED_ELSEWHERE,
    AlertKind.CHARGED_AFTER_ALL,
    AlertKind.UNEXPECTED_CHARGE,
)
#: What ends once a payment is found, and was not over.
_NOT_OVER = (
    *sorted(MISSING | BEFORE_CHARGE),
    AlertKind.CLAIM_UNPROVED,
    AlertKind.CANCELLED_IN_FILE,
)
#: What answers and look-ups wrote into a transaction, as it is in one that was never seen.
_UNSEEN: dict[str, Any] = {
    "access_id": None,
    "access_pass_sealed": None,
    "gateway_state": None,
    "gateway_amount": None,
    "authorized_at": None,
    "auth_expires_at": None,
    "captured_at": None,
    "captured_amount": None,
    "cancelled_at": None,
    "amount_sent_at": None,
    "tran_id": "",
    "pay_method": "",
    "pay_times": None,
    "look_problem": "",
    "next_look_at": None,
    "first_look_at": None,
    "is_restored": False,
}


def ask_again(order_no: str, question_id: int, actor: Actor) -> None:
    """The answer was wrong: it is a question again, and SMBC-GP is asked what stands there.

    «別の注文の決済です» also while an operation waits: it is a word to our books alone, and whoever sends
    hears it.  A second click changes nothing (P19).  Raises NotFound where there is no such answer;
    OrderBusy, and NotPossible where something was built on it.
    """
    with writing() as session:
        order = lock_order(session, id_of(order_no))
        row = session.get(UnknownNumber, question_id, populate_existing=True)
        if row is None or row.order_id != order.id:
            raise NotFound(unknown_numbers.GONE)
        if row.is_ours is None:
            return
        before, event = order.payment_status, "number_asked_again"
        if row.is_ours:
            event = "number_not_ours"
            _undo(session, order, row)
        row.is_ours, row.found_at, row.taken_over = None, utc_now(), None
        session.flush()
        if order.transaction is not None:
            look_now(order.transaction)
            queue.tell(session, Task.SWEEP, [0], Urgency.LATER)
        found = unknown_numbers.describe(row)
        history.record_change(order, event, actor, before=before, found=found)
        unknown_numbers.tell_open(session, order)


def why_not(row: UnknownNumber) -> str:
    """Why the answer of `row` cannot be taken back, in words; "" if it can, as «別の注文の決済です» always."""
    if not row.is_ours:
        return ""
    if row.taken_over is None:
        return _BEFORE
    taken = _transaction_of(db.session(), row)
    if taken is None:
        return ""
    since = datetime.fromisoformat(row.taken_over["at"])
    acted = sa.exists().where(
        Attempt.transaction_id == taken.id,
        Attempt.created_at >= since,
        # Also what found that nothing was left to be sent: its effects are the order's.
        sa.or_(Attempt.sent_at.is_not(None), Attempt.state == AttemptState.DONE),
    )
    recorded = sa.exists().where(MoneyMovement.transaction_id == taken.id, MoneyMovement.is_by_hand)
    billing_id, _ = row.taken_over.get("put_off") or (None, "")
    billed = sa.exists().where(
        Billing.order_id == row.order_id,
        Billing.gateway_order_id == row.gateway_order_id,
        Billing.id.is_distinct_from(billing_id),
    )
    found = db.session.execute(sa.select(acted, recorded, billed)).one()
    return next((words for is_so, words in zip(found, _BUILT, strict=True) if is_so), "")


_BEFORE = "以前の版で選ばれた答えのため、取り消せません。"
_BUILT = (
    "この取引に処理(実売上処理、注文キャンセルなど)をしたため、取り消せません。",
    "この取引に「返金済み」を記録したため、取り消せません。",
    "定期購入の売上報告の結果として記録したため、取り消せません。",
)


def _undo(session: Session, order: Order, row: UnknownNumber) -> None:
    """Put back what the answer did, or the look-ups that followed it: books, payment and status."""
    if order.open_attempt is not None:
        raise OrderBusy
    if problem := why_not(row):
        raise NotPossible(problem)
    taken = _transaction_of(session, row)
    if taken is None:
        return
    if taken.gateway_state is not None:
        row.gateway_state, row.amount = taken.gateway_state, taken.gateway_amount or row.amount
    assert row.taken_over is not None
    money_movements.book_back(order.id, taken.id)
    for name, value in {**_UNSEEN, **row.taken_over["own"]}.items():
        setattr(taken, name, value)
    # A look-up of it that is under way asked when it was the order's (P17); the database counts, as
    # one that begins just now does so without the order's lock.
    taken.looks = CardTransaction.looks + 1
    _hand_on(session, order, taken, row.taken_over)
    if row.taken_over.get("put_off"):
        billing_id, number = row.taken_over["put_off"]
        billing_marks.put_off_again(session, billing_id, number, row.gateway_order_id)
    session.flush()
    if taken.is_current:
        _put_back(session, order, taken, row.taken_over)
    transaction_numbers.tell_less(session, order)


def _hand_on(
    session: Session, order: Order, taken: CardTransaction, before: dict[str, Any]
) -> None:
    """Answers that were given while `taken` counted go back to what it had replaced, not to it."""
    others = sa.select(UnknownNumber).where(
        UnknownNumber.order_id == order.id, UnknownNumber.is_ours.is_(True)
    )
    for other in session.scalars(others):
        if other.taken_over is not None and other.taken_over["counted"] == taken.id:
            replaced = {name: before[name] for name in ("counted", "status", "claimed")}
            other.taken_over = {**other.taken_over, **replaced}


def _put_back(
    session: Session, order: Order, taken: CardTransaction, before: dict[str, Any]
) -> None:
    """What counted before `taken` counts again, and the order says what it said then."""
    counted = session.get(CardTransaction, before["counted"])
    if counted is None or counted.order_id != order.id:  # it gave its number back meanwhile
        counted = session.scalars(
            sa.select(CardTransaction).where(
                CardTransaction.order_id == order.id, CardTransaction.sequence == 0
            )
        ).one()
    transaction_numbers.count_again(order, counted)
    status = _as_billed(session, counted) or PaymentStatus(before["status"])
    stands_again = order.payment_status is PaymentStatus.CANCELLED is not status
    holder = subscription_rounds.share_if_taken(session, order) if stands_again else ""
    order.payment_status = status
    if holder:  # both would be billed
        kind, total = AlertKind.DUPLICATE_ROUND, order.total
        alerts.raise_kind(session, order.id, kind, before=status, found=holder, total=total)
    order.claimed_status = PaymentStatus(before["claimed"]) if before["claimed"] else None
    since = datetime.fromisoformat(before["at"])
    told = sa.select(Alert.id).where(Alert.order_id == order.id, Alert.since >= since)
    are_open = told.where(Alert.kind.in_(_OF_THE_PAYMENT), Alert.acknowledged_at.is_(None))
    for kind in set(session.scalars(are_open.with_only_columns(Alert.kind))):
        alerts.mended(session, order.id, kind, WORKER.name, utc_now())
    alerts.open_again(session, order.id, _NOT_OVER, (LOOK_UP.name, WORKER.name), since)


def _as_billed(session: Session, counted: CardTransaction) -> PaymentStatus | None:
    """What the registration says that ended under that number since; None: there was none."""
    state = session.scalar(
        sa.select(Billing.state)
        .where(
            Billing.order_id == counted.order_id,
            Billing.gateway_order_id == counted.gateway_order_id,
        )
        .order_by(Billing.id.desc())
        .limit(1)
    )
    if state in (BillingState.REGISTERED, BillingState.PAID):
        return PaymentStatus.BILLING_REPORTED
    is_refused = state in (BillingState.REFUSED, BillingState.NOT_PAID)
    return PaymentStatus.CAPTURE_FAILED if is_refused else None


def _transaction_of(session: Session, row: UnknownNumber) -> CardTransaction | None:
    return session.scalars(
        sa.select(CardTransaction).where(
            CardTransaction.order_id == row.order_id,
            CardTransaction.gateway_order_id == row.gateway_order_id,
        )
    ).one_or_none()
