"""The stages a subscription order passes, as tabs, and what can be searched for (R108, R109)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.domain.billing_calendar import end_of
from sgpshop.domain.order_rules import TAKEN_STATES
from sgpshop.domain.payment_calendar import start_of_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.words import Labelled
from sgpshop.models import (
    Alert,
    Billing,
    BillingState,
    CardTransaction,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.models.billing import PUT_OFF
from sgpshop.models.order import IS_THROUGH, REPORTED_BACK
from sgpshop.services.order_search import waits
from sgpshop.services.order_search.criteria import (
    KeywordField,
    SearchCriteria,
    conditions,
)
from sgpshop.services.order_search.waits import HAS_LIVE_MONEY, SEEMS_GONE, SHOWS_CARD
from sgpshop.services.subscriptions.billing import planning
from sgpshop.services.subscriptions.billing.selecting import (
    DELIVERED_AT,
    HAS_UNFIT_CARD,
    IS_ASKED_ABOUT,
    IS_BILLABLE,
    IS_FREE,
    IS_QUESTIONED,
    had_registration,
    was_left_behind,
    was_passed_over,
)

Condition = sa.ColumnElement[bool]


class SubscriptionTab(Labelled):
    """How far the billing of an order is."""

    AWAITING = "awaiting", "決済待ち(未配送)"
    DELIVERED = "delivered", "当月配送完了(翌月登録予定)"
    REPORTED = "reported", "売上報告済"
    FAILED = "failed", "失敗"
    ATTENTION = "attention", "要対応"
    ALL = "all", "すべて"


class SubscriptionDate(Labelled):
    """期間対象: which day of an order the period is about."""

    ORDERED = "ordered", "注文日時"
    DELIVERED = "delivered", "配送完了日"
    REGISTERED = "registered", "登録日"


@dataclass(frozen=True)
class SubscriptionCriteria:
    """All conditions; they combine with AND.  Days are Japanese, both ends included."""

    tab: SubscriptionTab = SubscriptionTab.AWAITING
    date_field: SubscriptionDate = SubscriptionDate.ORDERED
    day_from: date | None = None
    day_to: date | None = None
    #: 有効性: True OK, False NG
    is_ok: bool | None = None
    order_no: str = ""
    subscription_id: str = ""
    email: str = ""
    #: 継続中 or 解約・完了, see `_is_ended`
    is_going_on: bool | None = None
    #: only 決済待ち orders that seem to have left and are not 配送完了 (the month-end reminder)
    reminder: bool = False


IS_SUBSCRIPTION: Condition = Order.kind == OrderKind.SUBSCRIPTION
IS_UNDELIVERED: Condition = sa.and_(
    Order.payment_status == PaymentStatus.AWAITING_BILLING,
    ~IS_THROUGH,
)
#: The row of the latest month in which the order was to be registered.
LATEST_BILLING = (
    sa.select(sa.func.max(Billing.id))
    .where(Billing.order_id == Order.id)
    .correlate(Order)
    .scalar_subquery()
)
_NG = (BillingState.REFUSED, BillingState.NOT_PAID)
#: Was to be registered, was not, and is tried again (R105): nothing failed, or it is 決済待ち once more.
#: What came back and left anew since waits for its own registration, like any other.
IS_PUT_OFF: Condition = sa.and_(
    IS_BILLABLE,
    sa.exists()
    .where(
        Billing.id == LATEST_BILLING,
        Billing.state.in_((BillingState.POSTPONED, *_NG)),
        Billing.planned_at >= DELIVERED_AT,
    )
    .correlate(Order),
)
#: Failed, or put off: a person can have it registered again (R105).
CAN_BE_TAKEN_AGAIN: Condition = sa.and_(
    IS_SUBSCRIPTION,
    IS_FREE,
    sa.or_(
        IS_PUT_OFF,
        sa.and_(
            Order.payment_status == PaymentStatus.CAPTURE_FAILED,
            IS_THROUGH,
            sa.exists()
            .where(Billing.id == LATEST_BILLING, Billing.state.in_(_NG))
            .correlate(Order),
        ),
    ),
)
#: A transaction of the order shows the card that is to pay.
_IS_CARD_KNOWN = (
    sa.exists().where(CardTransaction.order_id == Order.id, SHOWS_CARD).correlate(Order)
)
#: カード未確認: looked up, and nothing shows which card is to pay; it cannot be registered so.
LACKS_CARD: Condition = sa.and_(
    Order.payment_status == PaymentStatus.AWAITING_BILLING,
    ~_IS_CARD_KNOWN,
    sa.exists()
    .where(CardTransaction.order_id == Order.id, CardTransaction.looks > 0)
    .correlate(Order),
)
#: Without the cast all that was reported would be gone through; written out, not bound: compared with a
#: partial index, SQLite would plan a statement anew each time it is given values.
_IS_REPORTED = sa.cast(Order.payment_status, sa.String) == sa.literal_column(
    f"'{PaymentStatus.BILLING_REPORTED.value}'"
)
#: The goods are back, or the order was cancelled: by an index of these alone, as many screens ask
#: whether there are any.
_IS_BACK = (
    sa.select(Order.id)
    .where(sa.literal_column(f"({REPORTED_BACK})"), Order.cancel_waived_at.is_(None))
    .correlate(None)
)
#: A monthly file took too much, and nobody said since that it stays; each was told, so they are few.
_IS_TOO_MUCH = (
    sa.select(Order.id)
    .join(Order.transaction)
    .where(
        Order.id.in_(sa.select(Alert.order_id).where(Alert.kind == AlertKind.AMOUNT_DIFFERS)),
        CardTransaction.gateway_state.in_(sorted(TAKEN_STATES)),
        CardTransaction.gateway_amount - CardTransaction.given_by_hand > Order.total,
        CardTransaction.is_filed,
        sa.or_(
            Order.cancel_waived_at.is_(None),
            Order.cancel_waived_at < CardTransaction.captured_at,
        ),
    )
    .correlate(None)
)
#: 要返金 (R104): what order_acts.is_refund_open says of one order.
NEEDS_REFUND: Condition = sa.and_(
    _IS_REPORTED,
    Order.refunded_on.is_(None),
    Order.id.in_(sa.union_all(_IS_BACK, _IS_TOO_MUCH)),
)


#: Through, and still not registered: money of it is reserved or taken under another number, or an
#: alert waits for a person's answer.
IS_HELD_UP: Condition = sa.and_(IS_BILLABLE, sa.or_(HAS_LIVE_MONEY, IS_QUESTIONED))


def needs_attention() -> Condition:
    """要対応: what waits for a person, or for trouble to pass; or was held up, and waits for a month."""
    month, punctual_until = planning.due_last(utc_now())
    may_be = Order.id.in_(sa.union_all(*suspects(month)))
    return sa.and_(may_be, IS_SUBSCRIPTION, waits_after(month, punctual_until))


def in_turn(question: Condition) -> Condition:
    """The same, asked from left to right of those rows alone that are found by other conditions.

    CASE: else as a column SQLite looks up both sides of each AND and OR, whatever the first one says; and
    as a condition any index that a part of it might use is gone through.
    """
    return sa.case((question, sa.true()), else_=sa.false())


def suspects(month: date) -> list[sa.Select[int]]:
    """The ids of all orders of which any of causes_of_attention may be so after the registration of `month`,
    or of which was not noted when they left.

    Of every other that waits what is kept of it (order_search/waits.py) says all.  They come in several
    parts: asked for by one condition or another, databases read all orders.  Among them may be some of which
    nothing is so.
    """
    kept = waits.kept.c
    is_left_early = sa.and_(kept.left_at < end_of(month), had_registration(month))
    through = sa.select(kept.order_id).where(waits.IS_SUBSCRIPTION, kept.is_through)
    found = (
        sa.select(kept.order_id).where(waits.IS_SUBSCRIPTION, kept.is_suspect),
        through.where(is_left_early),
        *may_be_put_off(),
        sa.select(Alert.order_id).where(IS_ASKED_ABOUT),
        sa.select(Order.id).where(IS_SUBSCRIPTION, NEEDS_REFUND),
    )
    return [one.correlate(None) for one in found]


def may_be_put_off() -> tuple[sa.Select[int], sa.Select[int]]:
    """The ids of all orders of which IS_PUT_OFF may be so; of which was not noted when they left, all.

    The others were planned after they left, so none before the first of those that wait did.
    """
    kept = waits.kept.c
    through = sa.select(kept.order_id).where(waits.IS_SUBSCRIPTION, kept.is_through)
    first = through.with_only_columns(sa.func.min(kept.left_at)).scalar_subquery()
    planned_since = sa.select(Billing.order_id).where(
        sa.literal_column(f"({PUT_OFF})"),
        Billing.planned_at >= first,
        through.where(kept.order_id == Billing.order_id).correlate(Billing).exists(),
    )
    return through.where(kept.left_at.is_(None)), planned_since


def waits_after(month: date, punctual_until: datetime) -> Condition:
    """Any of causes_of_attention: what is held up counts already, so of what was left behind nobody asks that again."""
    causes = causes_of_attention(month, punctual_until)
    return sa.or_(*(causes | {"passed_over": was_left_behind(month, punctual_until)}).values())


def causes_of_attention(month: date, punctual_until: datetime) -> dict[str, Condition]:
    """What it is that waits, one by one, after the registration of `month` (planning.due_last)."""
    return {
        "put_off": IS_PUT_OFF,
        "lacks_card": LACKS_CARD,
        "unfit_card": HAS_UNFIT_CARD,
        "to_refund": NEEDS_REFUND,
        "held_up": IS_HELD_UP,
        "passed_over": was_passed_over(month, punctual_until),
    }


_OF_TAB: dict[SubscriptionTab, Condition] = {
    SubscriptionTab.AWAITING: IS_UNDELIVERED,
    # Those of earlier months that were not registered are here too: nobody may lose sight of them.
    SubscriptionTab.DELIVERED: IS_BILLABLE,
    SubscriptionTab.REPORTED: Order.payment_status == PaymentStatus.BILLING_REPORTED,
    SubscriptionTab.FAILED: Order.payment_status == PaymentStatus.CAPTURE_FAILED,
    SubscriptionTab.ALL: sa.true(),
}


def wanted(criteria: SubscriptionCriteria) -> list[Condition]:
    """The WHERE conditions on Order for the tab and the search."""
    is_attention = criteria.tab is SubscriptionTab.ATTENTION
    return [*searched(criteria), needs_attention() if is_attention else _OF_TAB[criteria.tab]]


def searched(criteria: SubscriptionCriteria) -> list[Condition]:
    """The same for every tab."""
    found: list[Condition] = [IS_SUBSCRIPTION]
    is_by_order = criteria.date_field is SubscriptionDate.ORDERED
    found += conditions(
        SearchCriteria(
            day_from=criteria.day_from if is_by_order else None,
            day_to=criteria.day_to if is_by_order else None,
            order_numbers=(criteria.order_no,) if criteria.order_no else (),
            keywords=((KeywordField.EMAIL, criteria.email),) if criteria.email else (),
        ),
        utc_now(),
    )
    if not is_by_order:
        found += _period(criteria)
    if criteria.subscription_id:
        found.append(Order.subscription_id == criteria.subscription_id)
    if criteria.is_ok is not None:
        found.append(_result(is_ok=criteria.is_ok))
    if criteria.is_going_on is not None:
        found.append(~_is_ended() if criteria.is_going_on else _is_ended())
    if criteria.reminder:
        found.append(NEEDS_REMINDER)
    return found


def _period(criteria: SubscriptionCriteria) -> list[Condition]:
    first = start_of_day(criteria.day_from) if criteria.day_from else None
    end = start_of_day(criteria.day_to + timedelta(days=1)) if criteria.day_to else None
    if criteria.date_field is SubscriptionDate.DELIVERED:
        column: sa.ColumnElement[Any] = DELIVERED_AT
    else:
        column = Billing.registered_at.expression
    inside = [column >= first] if first else []
    inside += [column < end] if end else []
    if not inside:
        return []
    if criteria.date_field is SubscriptionDate.DELIVERED:
        return [IS_THROUGH, *inside]
    return [_of_latest_billing(*inside)]


def _of_latest_billing(*about: Condition) -> Condition:
    return sa.exists().where(Billing.id == LATEST_BILLING, *about).correlate(Order)


def _result(*, is_ok: bool) -> Condition:
    """有効性OK/NG: the result of the latest registration; one paid since (R106) is OK again."""
    is_taken = CardTransaction.gateway_state.in_(sorted(TAKEN_STATES))
    was_repaid = sa.and_(
        Order.payment_status == PaymentStatus.BILLING_REPORTED,
        sa.exists()
        .where(CardTransaction.order_id == Order.id, CardTransaction.is_current, is_taken)
        .correlate(Order),
    )
    is_ng = _of_latest_billing(Billing.state.in_(_NG))
    if is_ok:
        is_paid = _of_latest_billing(Billing.state == BillingState.PAID)
        return sa.or_(is_paid, sa.and_(was_repaid, is_ng))
    return sa.and_(~was_repaid, is_ng)


def _is_ended() -> Condition:
    """解約・完了, as far as orders tell: the newest order of the same 定期購入ID was cancelled.

    The contract itself is not known here.  A subscription whose next order simply does not come
    any more counts as 継続中: when it would have come is not known either.
    """
    newest = aliased(Order)
    status_of_newest = (
        sa.select(newest.payment_status)
        .where(newest.subscription_id == Order.subscription_id)
        .order_by(newest.ordered_at.desc(), newest.id.desc())
        .limit(1)
        .correlate(Order)
        .scalar_subquery()
    )
    # An order without an id stands for itself; NULL is an order that is not paid by SGP card.
    status = sa.func.coalesce(status_of_newest, Order.payment_status)
    return sa.cast(status, sa.String) == PaymentStatus.CANCELLED.value


NEEDS_REMINDER: Condition = sa.and_(IS_UNDELIVERED, SEEMS_GONE)
