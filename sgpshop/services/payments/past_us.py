"""What says that a buyer paid, or may pay, past us: under a number of the order that nobody here entered.

A cart offers a page of its own to the buyer of what is 売上失敗 (R106), and SMBC-GP tells of what is paid
there (P24).  Whoever looks an order up, captures, cancels or compares it asks the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from sgpshop.domain.payment_status import PAID, PaymentStatus
from sgpshop.models import (
    CLAIMS_FAILURE,
    CLAIMS_PAYMENT,
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
from sgpshop.storage.among import among

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
_IS_SAID = sa.or_(CLAIMS_FAILURE, CLAIMS_PAYMENT)
_HAS_FAILED = (
    sa.exists()
    .where(HistoryEntry.order_id == Order.id, sa.or_(IS_FAILURE, CLAIMS_PAYMENT))
    .correlate(Order)
)
_IS_ASKED = (
    sa.exists().where(UnknownNumber.order_id == Order.id, UnknownNumber.is_open).correlate(Order)
)
#: A number is kept that no act of ours entered: somebody paid there, or was about to.
_IS_STRANGE = (
    sa.exists()
    .where(CardTransaction.order_id == Order.id, ~CardTransaction.is_current, ~IS_OURS)
    .correlate(Order)
)
#: Books put back from a backup do not know what failed, or was told of, since (P36).
_IS_PUT_BACK = (
    sa.exists()
    .where(_at.order_id == Order.id, _at.is_current, _at.is_restored, _at.next_look_at.is_not(None))
    .correlate(Order)
)
#: Whether money may stand under a number that nobody here entered, as far as we were ever told.
MAY_BE_PAID = sa.or_(_HAS_FAILED, _IS_TOLD, _IS_ASKED, _IS_STRANGE, _IS_PUT_BACK)


def learned(
    order_id: InstrumentedAttribute[int], since: InstrumentedAttribute[datetime | None]
) -> sa.ColumnElement[bool]:
    """Condition: `since` then our books learned that the order may be paid past us."""
    found, told, said = UnknownNumber, Notification, HistoryEntry
    return sa.or_(
        sa.exists().where(found.order_id == order_id, found.found_at > since),
        sa.exists().where(
            _at.order_id == order_id, told.transaction_id == _at.id, told.last_at > since
        ),
        sa.exists().where(said.order_id == order_id, _IS_SAID, said.at > since),
    )


def may_be_paid(session: Session, order_id: int) -> bool:
    """MAY_BE_PAID of one order."""
    return bool(session.scalar(sa.select(MAY_BE_PAID).where(Order.id == order_id)))


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
                _IS_SAID,
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
    is_known = sa.or_(_IS_TOLD, _IS_ASKED, _IS_STRANGE, _IS_PUT_BACK)
    is_wanted = sa.or_(sa.and_(may_be_charged, is_recent), is_known)
    return bool(session.scalar(sa.select(is_wanted).where(Order.id == order_id)))


def named(session: Session, order_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """By order: the numbers that notifications name, or that are asked about, and their sequences.

    Of a long order number they need not be as ours would be (order_number.at_gateway).
    """
    rows = session.execute(
        sa.union(
            sa.select(_at.order_id, Notification.gateway_order_id).where(
                _NAMES_ANOTHER, among(_at.order_id, order_ids)
            ),
            sa.select(UnknownNumber.order_id, UnknownNumber.gateway_order_id).where(
                UnknownNumber.is_open, among(UnknownNumber.order_id, order_ids)
            ),
        )
    ).all()
    found = defaultdict[int, dict[str, int]](dict)
    for order_id, number in rows:
        found[order_id][number] = int(number.rpartition("-")[2])
    return found
