"""What says that a buyer paid, or may pay, past us: under a number of the order that nobody here entered.

A cart offers a page of its own to the buyer of what is 売上失敗 (R106), and SMBC-GP tells of what is paid
there (P24).  Whoever looks an order up, captures, cancels or compares it asks the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from sgpshop.domain.payment_status import PAID, PaymentStatus
from sgpshop.models import (
    CLAIMS_FAILURE,
    IS_FAILURE,
    CardTransaction,
    HistoryEntry,
    Notification,
    Order,
    OrderKind,
    UnknownNumber,
    utc_now,
)
from sgpshop.services.payments.unknown_numbers import IS_OURS

#: So long after a charge failed, and after one was paid that had failed before.
_MAY_PAY_LATER = timedelta(days=31)

_at = aliased(CardTransaction)
#: The number is the order's own, or a person said that it is another's.
_IS_SETTLED = sa.or_(
    sa.exists()
    .where(
        CardTransaction.order_id == _at.order_id,
        CardTransaction.gateway_order_id == Notification.gateway_order_id,
        IS_OURS,
    )
    .correlate(_at, Notification),
    sa.exists()
    .where(
        UnknownNumber.order_id == _at.order_id,
        UnknownNumber.gateway_order_id == Notification.gateway_order_id,
        UnknownNumber.is_ours.is_(False),
    )
    .correlate(_at, Notification),
)
_NAMES_ANOTHER = sa.and_(Notification.transaction_id == _at.id, ~_IS_SETTLED)
#: Of an order in the statement: SMBC-GP told of a number of it that no act of ours entered.
_IS_TOLD = sa.exists().where(_NAMES_ANOTHER, _at.order_id == Order.id).correlate(Order)
_HAS_FAILED = sa.exists().where(HistoryEntry.order_id == Order.id, IS_FAILURE).correlate(Order)
_IS_ASKED = (
    sa.exists().where(UnknownNumber.order_id == Order.id, UnknownNumber.is_open).correlate(Order)
)
#: Whether money may stand under a number that nobody here entered, as far as we were ever told.
MAY_BE_PAID = sa.or_(_HAS_FAILED, _IS_TOLD, _IS_ASKED)


def may_be_paid_now(session: Session, order_id: int) -> bool:
    """The same while it is worth looking for: a failure, or how it or a charge ended, is not long ago."""
    entry = HistoryEntry
    may_pay = (PaymentStatus.CAPTURE_FAILED, PaymentStatus.CANCELLED, *PAID)
    is_recent = (
        sa.exists()
        .where(
            entry.order_id == Order.id,
            entry.at > utc_now() - _MAY_PAY_LATER,
            sa.or_(
                CLAIMS_FAILURE,
                sa.and_(
                    entry.status_after.in_(may_pay),
                    entry.status_after.is_distinct_from(entry.status_before),
                ),
            ),
        )
        .correlate(Order)
    )
    # A cart can charge what is charged under later numbers as well as we.
    may_be_charged = sa.or_(_HAS_FAILED, Order.kind != OrderKind.NORMAL)
    is_wanted = sa.or_(sa.and_(may_be_charged, is_recent), _IS_TOLD, _IS_ASKED)
    return bool(session.scalar(sa.select(is_wanted).where(Order.id == order_id)))


def named(session: Session, order_ids: Collection[int]) -> dict[int, set[int]]:
    """By order: the sequences of the numbers that notifications name, or that are asked about."""
    rows = session.execute(
        sa.union(
            sa.select(_at.order_id, Notification.gateway_order_id).where(
                _NAMES_ANOTHER, _at.order_id.in_(order_ids)
            ),
            sa.select(UnknownNumber.order_id, UnknownNumber.gateway_order_id).where(
                UnknownNumber.is_open, UnknownNumber.order_id.in_(order_ids)
            ),
        )
    ).all()
    found = defaultdict[int, set[int]](set)
    for order_id, number in rows:
        found[order_id].add(int(number.rpartition("-")[2]))
    return found
