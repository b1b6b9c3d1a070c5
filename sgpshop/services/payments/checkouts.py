"""How a buyer's payment ends, beyond its status: refused and not kept, or waiting for 3-D Secure.

All of it happens in the transaction that closes the attempt (record.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import (
    CHECKOUTS,
    Attempt,
    BeginningStep,
    BulkItem,
    CardTransaction,
    ItemResult,
    LateAnswer,
    Notification,
    NotificationState,
    Operation,
    Order,
    RefusedCheckout,
    SlipRow,
    join_codes,
    table_of,
    utc_now,
)
from sgpshop.services.orders import beginnings, history
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments.outcomes import Outcome
from sgpshop.storage.database import writing

#: Here a buyer at 3-D Secure may still finish: the first payment, or 再決済 (T23).
MAY_FINISH = frozenset({PaymentStatus.NEEDS_REVIEW, PaymentStatus.CAPTURE_FAILED})
#: `Attempt.choices["on_decline"]` while nobody was told that the order is here.
REFUSE = "refuse"
#: A buyer at 3-D Secure is given so long before their order is looked up.
BUYER_TIME = timedelta(minutes=30)
_KEPT = timedelta(days=30)


def is_refused(row: Any, outcome: Outcome) -> bool:
    """Whether the order in `row` (a row of record._READ) is not to be kept after `outcome`.

    Only while nobody was told of it: once its outcome was in doubt, or the buyer was sent to 3-D
    Secure, somebody was (P2).
    """
    return (
        row.operation in CHECKOUTS - {Operation.REPAY}
        and row.choices.get("on_decline") == REFUSE
        and row.uncertain_since is None
        and not outcome.challenge_url
        and not outcome.event.is_found  # paid after all, if otherwise than we want it
        and not row.history_state
    )


def refuse(session: Session, attempt_id: int, row: Any, outcome: Outcome) -> None:
    """Take back the order whose payment was declined; what is kept is that it was (interfaces.md §5).

    Always possible: nothing that came to refer to the order meanwhile stands in its way.
    """
    attempts = table_of(Attempt)
    refused = session.execute(
        sa.select(Attempt.request_token, Attempt.gateway_order_id, CardTransaction.return_url)
        .join(CardTransaction, CardTransaction.id == Attempt.transaction_id)
        .where(Attempt.id == attempt_id)
    ).one()
    session.add(
        RefusedCheckout(
            order_no=row.order_no,
            card_token=refused.request_token,
            amount=row.amount,
            gateway_order_id=refused.gateway_order_id,
            by_three_ds=bool(refused.return_url),
            reason=outcome.reason,
            error_codes=join_codes(outcome.codes),
        )
    )
    # The refusal is kept first: the answer to the shop front is found there once the order is gone.
    session.flush()
    connection = session.connection()  # past the ORM: its objects of this order are over
    _let_go_of(connection, row.order_id)
    of_order = sa.select(attempts.c.id).where(attempts.c.order_id == row.order_id)
    late, orders = table_of(LateAnswer), table_of(Order)
    connection.execute(sa.delete(late).where(late.c.attempt_id.in_(of_order)))
    connection.execute(sa.delete(attempts).where(attempts.c.order_id == row.order_id))
    connection.execute(sa.delete(orders).where(orders.c.id == row.order_id))
    beginnings.note(connection, BeginningStep.TAKEN_BACK, [(row.order_id, row.order_no)])
    logs.event("checkout_refused", order=row.order_no, codes=list(outcome.codes))


def _let_go_of(connection: sa.Connection, order_id: int) -> None:
    """Whatever refers to the order gives way: it is as if it had never been there.

    Alerts, parcels and lines go with it by the database's own rules.
    """
    items, rows = table_of(BulkItem), table_of(SlipRow)
    notices, transactions = table_of(Notification), table_of(CardTransaction)
    connection.execute(sa.delete(items).where(items.c.order_id == order_id))
    connection.execute(
        sa.update(rows)
        .where(rows.c.order_id == order_id)
        .values(
            order_id=None,
            attempt_id=None,
            is_due=False,
            amount=None,
            result=ItemResult.FAILED,
            message="該当注文なし：購入者の決済が完了せず、この注文は受け付けられませんでした。",
        )
    )
    # They stay, for the case that the order is handed in again (P25).
    theirs = sa.select(transactions.c.id).where(transactions.c.order_id == order_id)
    connection.execute(
        sa.update(notices)
        .where(notices.c.transaction_id.in_(theirs))
        .values(transaction_id=None, state=NotificationState.UNMATCHED)
    )


def receive(order_id: int, actor: Actor) -> None:
    """The first entry of an order that was handed in and stays."""
    order = db.session.get_one(Order, order_id, populate_existing=True)
    history.record(
        order.id,
        "received",
        actor,
        before=None,
        after=order.payment_status,
        total=order.total,
        version=order.version,
    )


def wait_for_buyer(session: Session, row: Any, outcome: Outcome, now: datetime) -> None:
    """The buyer is to pass 3-D Secure: remember where, and look at the order if they do not return."""
    session.execute(
        sa.update(CardTransaction)
        .where(CardTransaction.id == row.transaction_id)
        .values(
            challenge_url=outcome.challenge_url,
            gateway_state=TradeState.AUTHENTICATED.value,
            first_look_at=now,
            next_look_at=now + BUYER_TIME,
        )
    )


def tidy() -> None:
    """Declined checkouts are forgotten after a month."""
    with writing() as session:
        session.execute(sa.delete(RefusedCheckout).where(RefusedCheckout.at < utc_now() - _KEPT))


def forget_token(session: Session, attempt_id: int) -> None:
    """The one-time card token has done its work (S10)."""
    session.execute(
        sa.update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(card_sealed=None)
        .execution_options(synchronize_session=False)
    )
