"""Which subscription orders are to be registered: asked by the registration and by the screen alike.

What the screen predicts and what is registered come from one condition, so they cannot differ.
"""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.domain.billing_calendar import end_of, next_month, previous_month
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.order_rules import MOST_NUMBERS
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models import (
    Alert,
    Attempt,
    Billing,
    BillingState,
    CardTransaction,
    DailyJob,
    HistoryEntry,
    Order,
    OrderKind,
)
from sgpshop.models.order import IS_THROUGH
from sgpshop.services.order_search.waits import HAS_LIVE_MONEY, LEFT_AT

#: Name of the daily job that a month's registration is; its day is the first of the month after.
JOB = "billing"

#: When everything of an order had left; parcels from before that was noted count as long gone.  What
#: came back without having been 配送完了 counts from when a person decided about it.
DELIVERED_AT = sa.func.coalesce(LEFT_AT, Order.cancel_waived_at, Order.updated_at)

#: 処理区分 at the moment a month's registration began: what was said of its parcels until then.
_CLASS_THEN = (
    sa.select(HistoryEntry.processing_class)
    .where(HistoryEntry.order_id == Order.id, HistoryEntry.at <= DailyJob.started_at)
    .order_by(HistoryEntry.id.desc())
    .limit(1)
    .correlate(Order, DailyJob)
    .scalar_subquery()
)
_GONE = (ProcessingClass.DELIVERED, ProcessingClass.RETURNED)

#: 決済待ち and through: billable in the month of DELIVERED_AT (R101).
IS_BILLABLE = sa.and_(
    Order.payment_status == PaymentStatus.AWAITING_BILLING,
    Order.kind == OrderKind.SUBSCRIPTION,
    IS_THROUGH,
)

#: Nothing is under way with it.
IS_FREE = ~sa.exists().where(Attempt.order_id == Order.id, Attempt.is_open)


def _is_open(*kinds: AlertKind) -> sa.ColumnElement[bool]:
    """Of an alert: it is of such a kind, and nobody took note of it yet."""
    return sa.and_(Alert.kind.in_(kinds), Alert.acknowledged_at.is_(None))


def _has_open(*kinds: AlertKind) -> sa.ColumnElement[bool]:
    """Of an order: they are few, so all of them are looked up once."""
    return Order.id.in_(sa.select(Alert.order_id).where(_is_open(*kinds)).correlate(None))


_QUESTIONS = AlertKind.DUPLICATE_ROUND, AlertKind.CANCELLED_IN_FILE
#: Only a person can say whether it is to be charged: another order is for the same round, or the
#: shop front cancelled it.
IS_QUESTIONED = _has_open(*_QUESTIONS)
#: Of an alert: any that says such a thing, or that the card is unfit.
IS_ASKED_ABOUT = _is_open(*_QUESTIONS, AlertKind.CARD_UNFIT)

#: Its card will not pay on the day, as far as was seen (R102a); it is registered all the same.
HAS_UNFIT_CARD = sa.and_(IS_BILLABLE, _has_open(AlertKind.CARD_UNFIT))

_behind = aliased(CardTransaction)
_last_used = (
    sa.select(sa.func.coalesce(sa.func.max(CardTransaction.sequence), 0))
    .where(CardTransaction.order_id == Order.id, CardTransaction.is_used)
    .correlate(Order)
    .scalar_subquery()
)
_kept_behind = (
    sa.select(sa.func.count())
    .where(_behind.order_id == Order.id, _behind.sequence > _last_used)
    .correlate(Order)
    .scalar_subquery()
)
#: It can be planned: else what was passed over would be tried every half a minute for ever.
HAS_A_NUMBER = _last_used + _kept_behind < MOST_NUMBERS


def may_be_of(month: date) -> sa.ColumnElement[bool]:
    """決済待ち, and it left in `month` or before: billable once a return of it is decided (R90a)."""
    is_awaiting = Order.payment_status == PaymentStatus.AWAITING_BILLING
    return sa.and_(is_awaiting, end_of(month) > DELIVERED_AT)


def is_of(month: date) -> sa.ColumnElement[bool]:
    """Billable, and it left in `month` or before: questions and live money only hold it up."""
    return sa.and_(IS_BILLABLE, end_of(month) > DELIVERED_AT)


def to_register(month: date) -> sa.ColumnElement[bool]:
    """What a registration of `month` takes: all that left in it or before, not yet reported (R102)."""
    return sa.and_(is_of(month), ~IS_QUESTIONED, ~HAS_LIVE_MONEY)


def was_passed_over(month: date, punctual_until: datetime) -> sa.ColumnElement[bool]:
    """To be registered for `month`, whose registration could not take it: whatever held it up is over."""
    return sa.and_(was_left_behind(month, punctual_until), ~IS_QUESTIONED, ~HAS_LIVE_MONEY)


def had_registration(month: date) -> sa.ColumnElement[bool]:
    """A registration of `month` began here: else nothing was left behind by it."""
    its = sa.exists().where(DailyJob.name == JOB, DailyJob.day == next_month(month))
    return its.correlate(None)


def was_left_behind(month: date, punctual_until: datetime) -> sa.ColumnElement[bool]:
    """The same, where a question or live money may hold it up still.

    A question that was answered since, a return that is decided, an act that was under way, money
    that is not reserved any more.  What was put off goes on by its own clock; but what was so of an
    earlier month, and left anew in this one, is this one's.  What came in later, or
    was said only later to have left, whatever day was given, waits for the next (R102).  Where the
    first registration of all came after `punctual_until`, it took nothing: the months before were
    somebody else's.
    """
    earlier = aliased(DailyJob)
    is_any_earlier = sa.exists().where(earlier.name == JOB, earlier.day < DailyJob.day)
    was_there = sa.exists().where(
        DailyJob.name == JOB,
        DailyJob.day == next_month(month),
        _CLASS_THEN.in_(_GONE),
        sa.or_(DailyJob.started_at <= punctual_until, is_any_earlier),
        ~sa.exists()
        .where(
            Billing.order_id == Order.id,
            sa.or_(
                sa.and_(
                    Billing.state == BillingState.POSTPONED,
                    sa.or_(Billing.month >= month, end_of(previous_month(month)) > DELIVERED_AT),
                ),
                Billing.planned_at >= DailyJob.started_at,
            ),
        )
        # Order is two selects further out, where it is not found by itself: it would be any order.
        .correlate(Order, DailyJob),
    )
    return sa.and_(is_of(month), IS_FREE, was_there.correlate(Order))
