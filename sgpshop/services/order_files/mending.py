"""Orders that a file once made something else than what was paid for are put right, and told.

Earlier versions let an order file change what was sold after the payment had begun.  What the first
payment was for, or that the order waited for its month, shows what it was; the look-up that follows
lets its status say so again.  Nothing is sent, and where nothing shows it nothing is guessed.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.domain.payment_status import CAPTURABLE, SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    CHECKOUTS,
    SGP_METHOD,
    Attempt,
    CardTransaction,
    HistoryEntry,
    Operation,
    Order,
    OrderKind,
)
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import lock_order
from sgpshop.services.orders.history import WORKER
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.database import read_alone, writing

#: What the buyer's own payment was for says what was sold (T1-T4).
_SOLD = {
    Operation.AUTHORIZE: OrderKind.NORMAL,
    Operation.SALE: OrderKind.NORMAL,
    Operation.CHECK_CARD: OrderKind.PREORDER,
    Operation.REGISTER_CARD: OrderKind.SUBSCRIPTION,
}
_WORDS = {
    OrderKind.NORMAL: "通常の注文",
    OrderKind.PREORDER: "予約",
    OrderKind.SUBSCRIPTION: "定期購入",
}


def mend() -> int:
    """Put right what can be; how many orders were.  May be called any number of times."""
    _ask_about_preorders()
    _ask_about_claims()
    found = dict.fromkeys(_that_waited_for_their_month(), OrderKind.SUBSCRIPTION)
    found |= _by_first_payment()
    return sum(_mend(order_id, kind) for order_id, kind in found.items())


def _by_first_payment() -> dict[int, OrderKind]:
    first = (
        sa.select(sa.func.min(Attempt.id))
        .where(Attempt.operation.in_(sorted(_SOLD)))
        .group_by(Attempt.order_id)
    )
    rows = db.session.execute(
        sa.select(Attempt.order_id, Attempt.operation, Order.kind)
        .join(Order, Order.id == Attempt.order_id)
        .where(Attempt.id.in_(first))
    ).all()
    db.session.commit()
    return {row.order_id: _SOLD[row.operation] for row in rows if _SOLD[row.operation] != row.kind}


def _that_waited_for_their_month() -> list[int]:
    """決済待ち or 売上報告済 now, or lost in 要確認 since, without being a subscription any more."""
    waited = sa.exists().where(
        HistoryEntry.order_id == Order.id,
        HistoryEntry.status_after.in_(sorted(SUBSCRIPTION_STATUSES)),
    )
    is_lost = sa.and_(Order.payment_status == PaymentStatus.NEEDS_REVIEW, waited)
    return read_alone(
        sa.select(Order.id).where(
            Order.method == SGP_METHOD,
            Order.kind != OrderKind.SUBSCRIPTION,
            sa.or_(Order.payment_status.in_(sorted(SUBSCRIPTION_STATUSES)), is_lost),
        )
    )


def _mend(order_id: int, kind: OrderKind) -> bool:
    with writing() as session:
        order = lock_order(session, order_id)
        if order.kind is kind or order.open_attempt is not None:
            return False
        order.kind = kind
        history.record_change(
            order,
            "kind_mended",
            WORKER,
            before=order.payment_status,
            kind=_WORDS[kind],
        )
        transaction_lookup.make_due(
            session, sa.and_(CardTransaction.order_id == order.id, CardTransaction.is_current)
        )
    return True


def _ask_about_claims() -> None:
    """Older imports believed a file's access data: whose transaction it is, is seen first (P3).

    Where two orders have the same, one may have been captured by the payment of the other.
    """
    other = aliased(CardTransaction)
    is_shared = sa.exists().where(
        other.access_id == CardTransaction.access_id, other.order_id != CardTransaction.order_id
    )
    is_entered_by_us = sa.exists().where(
        Attempt.transaction_id == CardTransaction.id, Attempt.operation.in_(sorted(CHECKOUTS))
    )
    reported = sa.select(Order.id).where(Order.payment_status == PaymentStatus.BILLING_REPORTED)
    with writing() as session:
        transaction_lookup.make_due(
            session,
            sa.and_(
                CardTransaction.is_current,
                ~CardTransaction.is_charge,
                CardTransaction.access_id.is_not(None),
                CardTransaction.looked_up_at.is_(None),
                CardTransaction.next_look_at.is_(None),
                CardTransaction.order_id.not_in(reported),
                sa.or_(CardTransaction.gateway_state.is_(None), is_shared),
                ~is_entered_by_us,
            ),
        )


def _ask_about_preorders() -> None:
    """A preorder is charged only on SMBC-GP's word; older imports never asked for it (R112)."""
    preorders = sa.select(Order.id).where(
        Order.kind == OrderKind.PREORDER, Order.payment_status.in_(sorted(CAPTURABLE))
    )
    with writing() as session:
        transaction_lookup.make_due(
            session,
            sa.and_(
                CardTransaction.order_id.in_(preorders),
                CardTransaction.is_current,
                ~CardTransaction.is_charge,
                CardTransaction.gateway_state.is_(None),
                CardTransaction.next_look_at.is_(None),
            ),
        )
