"""The end of an attempt: what was said is written down, with all that follows, at once (P9, P22).

Order status and version, transaction, history and the line of a bulk run change in one
transaction, or not at all.  The statements are made once: this runs for every order of a bulk run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import bindparam
from sqlalchemy.orm import Session

from sgpshop import logs, metrics
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.payment_status import Event, PaymentStatus, next_status
from sgpshop.domain.reconciliation import MISSING, decide
from sgpshop.models import (
    CHECKOUTS,
    Alert,
    Attempt,
    AttemptState,
    BulkItem,
    CardTransaction,
    ItemResult,
    Operation,
    Order,
    join_codes,
    table_of,
)
from sgpshop.services import settings
from sgpshop.services.orders import acting, alerts, history, money_movements
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import (
    billing_marks,
    checkouts,
    effects,
    transaction_numbers,
    transactions,
)
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.storage import news, shared_clock
from sgpshop.storage.write_together import write_together

_RESULTS = {
    AttemptState.DONE: ItemResult.SUCCEEDED,
    AttemptState.REJECTED: ItemResult.FAILED,
    AttemptState.UNKNOWN: ItemResult.UNCERTAIN,
}


#: Milliseconds that fit into the column: a machine that stood still for a month must not stop the end.
_MOST_LATENCY = 2**31 - 1
_orders, _attempts = table_of(Order), table_of(Attempt)
_transactions, _items = table_of(CardTransaction), table_of(BulkItem)

_READ = (
    sa.select(
        *(
            getattr(Attempt, name)
            for name in (
                "state", "lease", "operation", "order_id", "transaction_id", "amount", "amount_seen",
                "sent_at",
                "latency_ms", "uncertain_since", "actor_kind", "actor", "status_before",
                "follow_up", "choices",
            )
        ),
        Order.order_no,
        Order.payment_status,
        Order.total,
        Order.version,
        Order.history_state,
        Order.processing_class,
        CardTransaction.gateway_state,
        CardTransaction.captured_amount,
        sa.exists()
        .where(Alert.order_id == Order.id, Alert.kind.in_(MISSING))
        .label("was_missing"),
    )
    .join(Order, Order.id == Attempt.order_id)
    .outerjoin(CardTransaction, CardTransaction.id == Attempt.transaction_id)
    .where(Attempt.id == bindparam("attempt"))
    .with_for_update(of=Order)
)  # fmt: skip
_CLOSE = (
    sa.update(_attempts)
    .where(
        _attempts.c.id == bindparam("attempt"),
        _attempts.c.lease == bindparam("held"),
        sa.or_(
            _attempts.c.state == AttemptState.SENDING, _attempts.c.state == AttemptState.UNKNOWN
        ),
    )
    .values(
        {
            name: bindparam(name)
            for name in (
                "state", "lease", "reason", "error_codes", "tran_id", "decided_by",
                "latency_ms", "uncertain_since", "due_at", "finished_at",
            )
        }
    )
)  # fmt: skip
_MOVE_ORDER = (
    sa.update(_orders)
    .where(_orders.c.id == bindparam("order"))
    .values(
        payment_status=bindparam("payment_status"),
        version=_orders.c.version + 1,
        updated_at=bindparam("updated_at"),
        history_state=bindparam("history_state"),
    )
)
_KEPT = sa.select(_transactions.c.gateway_state, _transactions.c.captured_amount).where(
    _transactions.c.id == bindparam("transaction")
)
_CAPTURED = (
    sa.update(_transactions)
    .where(
        _transactions.c.id == bindparam("transaction"),
        _transactions.c.gateway_state.is_not_distinct_from(bindparam("state_then")),
        _transactions.c.captured_amount.is_not_distinct_from(bindparam("amount_then")),
    )
    .values(
        {
            name: bindparam(name)
            for name in (
                "gateway_state", "captured_at", "captured_amount", "gateway_amount", "tran_id",
            )
        }
    )
)  # fmt: skip
_LOOK_ON = (
    sa.update(_transactions)
    .where(_transactions.c.id == bindparam("transaction"))
    .values({name: bindparam(name) for name in ("look_problem", "first_look_at", "next_look_at")})
)
_LINE_OF_RUN = (
    sa.update(_items)
    .where(_items.c.attempt_id == bindparam("attempt"))
    .values(result=bindparam("result"), finished_at=bindparam("finished_at"))
)


def close(
    attempt_id: int,
    lease: int,
    outcome: Outcome,
    *,
    go_on: Callable[[Session], None] | None = None,
) -> bool:
    """Record `outcome` for an attempt of which the caller holds `lease`.

    `go_on` is done in the same transaction, so that no crash comes in between (P2).  False, and
    nothing changed, if the lease is not the present one any more (P16, P17).
    """

    def write(session: Session) -> Any:
        row = _write(session, attempt_id, lease, outcome)
        if row is not None and go_on is not None:
            go_on(session)
        if row is not None:
            news.tell(session, row.order_id)
        return row

    row = write_together(write)
    if row is None:
        return False
    metrics.count_operation(row.operation, outcome.state)
    logs.event(
        "money_operation",
        operation=row.operation,
        order=row.order_no,
        amount=row.amount,
        actor=row.actor,
        result=outcome.state,
        reason=outcome.reason,
        codes=list(outcome.codes),
    )
    return True


def _kept_before(connection: sa.Connection, row: Any, captured: dict[str, Any]) -> int:
    """Write down what was captured; yen that the transaction kept before."""
    then = row
    # Where `_READ` waited for the order, PostgreSQL gives what stood beside it before the wait: whoever
    # had the order may have booked since.
    while not connection.execute(
        _CAPTURED,
        captured | {"state_then": then.gateway_state, "amount_then": then.captured_amount},
    ).rowcount:
        then = connection.execute(_KEPT, {"transaction": row.transaction_id}).one()
    return money_movements.kept(then.gateway_state, then.captured_amount)


def _write(session: Session, attempt_id: int, lease: int, outcome: Outcome) -> Any:
    """The row it rested on; None, and nothing changed, if the lease is not the present one."""
    now = shared_clock.now()
    connection = session.connection()
    row = connection.execute(_READ, {"attempt": attempt_id}).one()
    if row.operation is Operation.BILL:
        outcome = billing_marks.judged(session, row.transaction_id, outcome)
    ending = _ending(row, outcome, now)
    # First of all writes: who finds another lease than its own has changed nothing at all (P17).
    changed = connection.execute(
        _CLOSE, {"attempt": attempt_id, "held": lease, "lease": lease + 1, **ending}
    ).rowcount
    if changed != 1:
        return None
    status = next_status(row.payment_status, outcome.event, before_doubt=_before_doubt(row))
    if outcome.trade is not None:
        transaction = _that_counts(session, row, outcome.trade.order_id)
        was = transaction.gateway_state
        transactions.record_trade(transaction, outcome.trade, settings.load())
        session.flush()
        if outcome.event.is_found and row.was_missing:
            order = acting.lock_order(session, row.order_id)
            effects.tell_money(session, order, outcome.trade, was)
    elif outcome.event is Event.CAPTURE_DONE:
        taken, at = effects.amount_there(row, outcome), outcome.processed_at or now
        captured = {
            "transaction": row.transaction_id,
            "gateway_state": outcome.state_there.value,
            "captured_at": at,
            "captured_amount": taken,
            "gateway_amount": taken,
            "tran_id": outcome.tran_id,
        }
        before = _kept_before(connection, row, captured)
        money_movements.book(row.order_id, row.transaction_id, before, taken, at)
    # Before history and lines: after a refusal there is no order left that they could belong to.
    if outcome.state is AttemptState.REJECTED and checkouts.is_refused(row, outcome):
        checkouts.refuse(session, attempt_id, row, outcome)
        return row
    if outcome.challenge_url:
        checkouts.wait_for_buyer(session, row, outcome, now)
    if outcome.event is Event.FOUND_BILLED and outcome.trade is not None:
        billing_marks.found(session, row.order_id, outcome.trade, now, is_billing=True)
    if row.operation is Operation.BILL:
        billing_marks.mark(session, attempt_id, row, outcome, now)
    if row.operation in CHECKOUTS and outcome.state is not AttemptState.UNKNOWN:
        checkouts.forget_token(session, attempt_id)
    if outcome.event in (Event.FOUND_UNFINISHED, Event.CLOSED_BY_PERSON):
        connection.execute(
            _LOOK_ON,
            {
                "transaction": row.transaction_id,
                "look_problem": "" if outcome.trade or outcome.actor else "not_found",
                "first_look_at": now,
                "next_look_at": now,
            },
        )
    result = _result(row, outcome, status)
    is_line_of_run = connection.execute(
        _LINE_OF_RUN,
        {"attempt": attempt_id, "result": _RESULTS[result], "finished_at": now},
    ).rowcount
    if outcome.event.is_found:  # nothing was sent, because SMBC-GP shows something else (R120)
        alerts.raise_for(
            session,
            row.order_id,
            row.payment_status,
            decide(
                row.payment_status,
                outcome.event,
                total=row.total,
                found_total=outcome.trade.total if outcome.trade else 0,
                is_delivered=row.processing_class is ProcessingClass.DELIVERED
                and row.operation is not Operation.CANCEL,
            ),
            found=transactions.describe(outcome.trade),
            total=row.total,
        )
    if outcome.state is AttemptState.DONE:
        if row.was_missing:
            effects.end_of_missing(session, row, outcome, now)
        effects.settle(session, row, outcome, now)
        effects.alert_other_amount(session, row, outcome)
    if status is PaymentStatus.CANCELLED is not row.payment_status:
        effects.alert_what_is_left(session, row.order_id, row.payment_status, row.total)
    if row.operation in CHECKOUTS and not row.history_state:
        checkouts.receive(row.order_id, Actor(row.actor_kind, row.actor))
    # After the transaction was written: the entry takes what SMBC-GP holds from there.
    state = history.record(
        row.order_id,
        outcome.sentence,
        outcome.actor or Actor(row.actor_kind, row.actor),
        before=row.payment_status,
        after=status,
        total=row.total,
        version=row.version + 1,
        attempt_id=attempt_id,
        snapshot=_stand(row, outcome),
        codes=list(outcome.codes),
        **row.choices,
        **outcome.detail,
    )
    connection.execute(
        _MOVE_ORDER,
        {
            "order": row.order_id,
            "payment_status": status,
            "updated_at": now,
            "history_state": state,
        },
    )
    # After the status: the second step asks the table of acts about the order as it is by now.
    if outcome.state is AttemptState.DONE:
        effects.follow(session, row, now)
    # Rows of a slip file wait for captures only, and never for those of a bulk run.
    if row.operation is Operation.CAPTURE and not is_line_of_run:
        effects.notify_followers(session, attempt_id, row, result, now)
    return row


def _that_counts(session: Session, row: Any, gateway_order_id: str) -> CardTransaction:
    """The transaction a look-up showed: of the attempt, or another one that pays the order (P1)."""
    own = session.get_one(CardTransaction, row.transaction_id, populate_existing=True)
    if own.gateway_order_id == gateway_order_id:
        return own
    order = acting.lock_order(session, row.order_id)
    return transaction_numbers.return_to(order, gateway_order_id)


def _result(row: Any, outcome: Outcome, status: PaymentStatus) -> AttemptState:
    """What the end means for a line of a run or a slip file: the same as for its order.

    Captured is captured, also where somebody else did it before us, with another amount.
    """
    is_captured = row.operation is Operation.CAPTURE and status is PaymentStatus.CAPTURED
    return AttemptState.DONE if is_captured else outcome.state


def _stand(row: Any, outcome: Outcome) -> history.OrderSnapshot:
    """What the history entry is built on; a plain capture, which comes in bulk, needs no query."""
    if outcome.event is Event.CAPTURE_DONE and outcome.trade is None:
        taken = effects.amount_there(row, outcome)
        return history.OrderSnapshot(row.history_state, row.processing_class, taken, taken)
    return history.snapshot_of(row.order_id)


def _before_doubt(row: Any) -> PaymentStatus | None:
    """Where the payment stood when an operation began whose outcome we did not know (T9b)."""
    was_in_doubt = row.state is AttemptState.UNKNOWN
    before: PaymentStatus | None = row.status_before if was_in_doubt else None
    return before


def _decided_by(outcome: Outcome) -> str:
    if outcome.actor is not None:
        return "person"
    return "look_up" if outcome.looked else "answer"


def _ending(row: Any, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The new values of the attempt's own row."""
    values = {
        "state": outcome.state,
        "reason": outcome.reason,
        "error_codes": join_codes(outcome.codes),
        "tran_id": outcome.tran_id,
        "decided_by": _decided_by(outcome),
        "latency_ms": row.latency_ms,
        "uncertain_since": row.uncertain_since,
        "due_at": None,
        "finished_at": now,
    }
    if row.sent_at is not None and _decided_by(outcome) == "answer":
        taken = round((now - row.sent_at).total_seconds() * 1000)
        values["latency_ms"] = min(max(0, taken), _MOST_LATENCY)
    if outcome.state is AttemptState.UNKNOWN:
        since = outcome.uncertain_since or now
        schedule = current_app.config["RESOLVE_SCHEDULE"]
        values |= {
            "uncertain_since": since,
            "due_at": since if schedule[0] == 0 else next_look(since, now, schedule),
            "finished_at": None,
        }
    return values
