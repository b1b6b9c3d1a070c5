"""What must hold for one order when nothing is open any more, and how to get there (P1-P5, P13)."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    AttemptState,
    CardTransaction,
    Operation,
    Order,
    utc_now,
)
from sgpshop.services.orders import history
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import attempt_lookup, journal, transaction_lookup
from sgpshop.storage.database import writing
from tests import own_worker
from tests.faults.oracle import violations
from tests.gateway_world import World
from tests.services.acting import effects, run_act

_SENT_ON_TO_AUTH = (Operation.CHANGE_AMOUNT, Operation.EXTEND)


def settle(order_id: int) -> None:
    """Work for this order until nothing is open; the gateway behaves by now.

    Who works on it just now ends first: an attempt of a living thread is not taken for a lost one.
    """
    own_worker.ended(current_app)
    for _ in range(20):
        if not open_attempts(order_id):
            return
        work_off(order_id)
    left = [(a.operation, a.state, a.reason, a.look_result) for a in open_attempts(order_id)]
    assert left == []  # P13: nothing stays uncertain


def work_off(order_id: int) -> None:
    """What the worker does for this order once every pause and lease is over."""
    for attempt in open_attempts(order_id):
        if attempt.state is AttemptState.QUEUED:
            run_act(attempt.id)
        elif attempt.state is AttemptState.SENDING:
            _lease_is_over(attempt.id)
            journal.give_up_lost(attempt.id)
        else:
            _lease_is_over(attempt.id)  # of a look-up that was killed
            attempt_lookup.look_up(attempt.id)
    planned = sa.select(CardTransaction.id).where(
        CardTransaction.order_id == order_id, CardTransaction.next_look_at <= utc_now()
    )
    for transaction_id in db.session.scalars(planned).all():
        transaction_lookup.look_up(transaction_id)


def _lease_is_over(attempt_id: int) -> None:
    long_ago = utc_now() - timedelta(minutes=5)
    with writing() as session:
        session.execute(
            sa.update(Attempt)
            .where(Attempt.id == attempt_id)
            .values(
                due_at=long_ago,
                sent_at=sa.case(
                    (Attempt.sent_at.is_(None), None),
                    (Attempt.state == AttemptState.SENDING, long_ago),
                    else_=Attempt.sent_at,
                ),
            )
        )


def open_attempts(order_id: int) -> list[Attempt]:
    """The open attempts of an order, as the database has them now."""
    db.session.rollback()
    wanted = sa.select(Attempt).where(Attempt.order_id == order_id, Attempt.is_open)
    return list(db.session.scalars(wanted.execution_options(populate_existing=True)))


def complaints(world: World, order_id: int) -> list[str]:
    """Every broken promise about this order, in words; empty when all is well."""
    db.session.rollback()
    order = db.session.get_one(Order, order_id, populate_existing=True)
    transaction = order.transaction
    assert transaction is not None
    db.session.refresh(transaction)
    trade = world.trade(order.order_no)
    log = world.simulator.test_client().get(f"/_control/requests?order_id={order.order_no}")
    found = violations([trade], log.get_json(), {order.order_no: order.payment_status})
    if trade["amount"] != transaction.gateway_amount:  # P4
        found.append(f"{transaction.gateway_amount} yen here, {trade['amount']} there")
    done = effects(world, order)
    if order.payment_status is PaymentStatus.CAPTURED:
        taken = dict(done)["SALES"]
        if not taken == order.total == transaction.captured_amount:
            found.append(f"{order.total} yen shown, {taken} taken")
    sent = [yen for job, yen in done if job == "CHANGE"]
    if sent != _changes_we_made(order_id):  # one effect for each act, P1
        found.append(f"changes carried out: {sent}, we made: {_changes_we_made(order_id)}")
    return found + _gaps_in_history(order)


def _changes_we_made(order_id: int) -> list[int]:
    made = db.session.scalars(
        sa.select(Attempt)
        .where(
            Attempt.order_id == order_id,
            Attempt.operation.in_(_SENT_ON_TO_AUTH),
            Attempt.state == AttemptState.DONE,
            Attempt.reason != "found_before_repeat",
        )
        .order_by(Attempt.id)
    )
    return [attempt.amount for attempt in made]


def _gaps_in_history(order: Order) -> list[str]:
    """Every change is told, nothing was altered, and the last entry tells the present (P5)."""
    if not history.entries(order.id, 1):  # as the factory made it: nothing happened yet
        return []
    return [problem.what for problem in Verification([order.id]).problems()]
