"""What orders are searched by (R35), and the SQL conditions that say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.handling import Handling
from sgpshop.domain.order_acts import UNCANCELLED_STATUSES
from sgpshop.domain.order_rules import (
    CHECK_STATE,
    HELD_STATES,
    HOLDING_STATUSES,
    LIVE_STATES,
)
from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.domain.payment_status import UNPAID, PaymentStatus
from sgpshop.domain.text import asked_keys, digits_only, phone_key, search_key
from sgpshop.extensions import db
from sgpshop.models import (
    SGP_METHOD,
    Alert,
    Attempt,
    Billing,
    BillingState,
    BulkItem,
    CardTransaction,
    Delivery,
    ItemResult,
    MoneyMovement,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.models.order import SHIPPED_UNCAPTURED, UNFINISHED
from sgpshop.services.order_search import holds, index
from sgpshop.services.order_search.index import Condition, exists
from sgpshop.services.orders.money_movements import MOVED

#: An order number shorter than this is never taken as a beginning (R35).
PREFIX_LEAST = 4
#: What a search takes, whoever asks: numbers, characters of a word, days and hours.
MOST_NUMBERS, LONGEST_WORD, MOST_DAYS, MOST_HOURS = 200, 100, 90, 9999
_DEFAULT_DAYS = 7


class DateField(StrEnum):
    """期間対象: which date the period is about (R33)."""

    ORDERED_AT = "ordered_at"
    WISH_DATE = "wish_date"
    CAPTURED_AT = "captured_at"
    CANCELLED_AT = "cancelled_at"
    REFUNDED_ON = "refunded_on"


class KeywordField(StrEnum):
    """キーワード対象: where a word is looked for (R34)."""

    BUYER = "buyer"
    EMAIL = "email"
    MEMBER = "member_id"
    TEL = "tel"
    ORDER_NO = "order_no"
    RECIPIENT = "recipient"
    SLIP = "slip_no"
    AMOUNT = "amount"


class Method(StrEnum):
    """決済方法 as the list tells them apart."""

    SGP = "SGP"
    OTHER = "other"


@dataclass(frozen=True)
class SearchCriteria:
    """All conditions; they combine with AND, several values of one with OR (R35).

    Days are Japanese calendar days, both ends included; amounts are yen.  The default finds all.
    """

    date_field: DateField = DateField.ORDERED_AT
    day_from: date | None = None
    day_to: date | None = None
    #: what was typed into the search box: anywhere in an order
    word: str = ""
    #: exact numbers; a single one of PREFIX_LEAST characters or more is a beginning
    order_numbers: tuple[str, ...] = ()
    processing: tuple[ProcessingClass, ...] = ()
    method: Method | None = None
    statuses: tuple[PaymentStatus, ...] = ()
    is_member: bool | None = None
    keywords: tuple[tuple[KeywordField, str], ...] = ()
    amount_min: int | None = None
    amount_max: int | None = None
    item: str = ""
    slip: str = ""
    has_slip: bool | None = None
    kinds: tuple[OrderKind, ...] = ()
    handling: tuple[Handling, ...] = ()
    #: still to be sent, paid or given back
    unfinished: bool = False
    unsent: bool = False
    #: オーソリ期限 ends within so many Japanese days, expired ones included (R130)
    auth_days_left: int | None = None
    #: 要確認 for at least so many hours (R20)
    waiting_hours: int | None = None
    #: an ErrInfo code of any of the order's attempts
    error: str = ""
    #: 返送済み・返金未対応, without those marked 返金しない (R90a)
    returned_open: bool = False
    #: 発送済み・売上処理待ち: it left, or came back and its payment stays; a capture is due (R130)
    shipped_uncaptured: bool = False
    #: SMBC-GPとの食い違い: a look-up found something nobody has acknowledged yet (R121)
    alert: bool = False
    #: 未回収: gone out by the end of that day, and paid later or not yet (R149)
    uncollected_on: date | None = None
    #: the lines of this bulk run that failed (失敗した注文を選ぶ, R49)
    failed_of: str = ""

    @property
    def contradictions(self) -> list[str]:
        """The parameters that end a range before it begins."""
        ranges = {
            "to": (self.day_from, self.day_to),
            "amount_max": (self.amount_min, self.amount_max),
        }
        return [
            name
            for name, (low, high) in ranges.items()
            if low is not None and high is not None and low > high  # type: ignore[operator]
        ]

    @property
    def is_typed(self) -> bool:
        """Whether it holds what somebody typed, of which nobody else asks the same."""
        texts = self.word, self.item, self.slip, self.order_numbers, self.keywords
        return any(texts)

    def without_statuses(self) -> SearchCriteria:
        """The same search over every status, as the tabs count it."""
        return replace(self, statuses=())


def default_period(today: date) -> tuple[date, date]:
    """First and last day of a search that names no condition (R36)."""
    return today - timedelta(days=_DEFAULT_DAYS - 1), today


_R = TypeVar("_R")


def made_once(
    make: Callable[[SearchCriteria, datetime], _R],
) -> Callable[[SearchCriteria, datetime], _R]:
    """`make(criteria, now)`, which makes a statement; what it made is kept for the day.

    Nothing is kept of what people typed, and how words are looked for depends on the database.
    """
    kept = lru_cache(maxsize=64)(make)

    def made(criteria: SearchCriteria, now: datetime) -> _R:
        if criteria.is_typed:
            return make(criteria, now)
        return kept(criteria, start_of_day(jst_day(now)))

    return made


def conditions(criteria: SearchCriteria, now: datetime) -> list[Condition]:
    """The WHERE conditions on `Order` that `criteria` stands for, on the day of `now`.

    Hours are counted when the statement is asked.
    """
    found: list[Condition] = [*_period(criteria), *_numbers(criteria), *_amounts(criteria)]
    if len(criteria.statuses) == 1:  # the tabs; an IN would be spelled out anew for each page
        found.append(Order.payment_status == criteria.statuses[0])
    elif criteria.statuses:
        found.append(Order.payment_status.in_(criteria.statuses))
    if criteria.processing:
        found.append(Order.processing_class.in_(criteria.processing))
    if criteria.method is not None:
        is_sgp = Order.method == SGP_METHOD
        found.append(is_sgp if criteria.method is Method.SGP else ~is_sgp)
    if criteria.is_member is not None:
        is_guest = sa.func.coalesce(Order.member_id, "") == ""
        found.append(~is_guest if criteria.is_member else is_guest)
    if criteria.kinds:
        found.append(Order.kind.in_(criteria.kinds))
    if criteria.handling:
        found.append(Order.handling.in_([one.value for one in criteria.handling]))
    if criteria.word:
        found.append(index.holds(asked_keys(criteria.word)))
    found += [_keyword(field, word) for field, word in criteria.keywords]
    found += _parcels(criteria)
    found += _payment(criteria, now)
    return found


def _period(criteria: SearchCriteria) -> list[Condition]:
    first, last = criteria.day_from, criteria.day_to
    if criteria.date_field is DateField.WISH_DATE:
        wished = [Delivery.wish_date >= first] if first else []
        wished += [Delivery.wish_date <= last] if last else []
        return [_any_delivery(*wished)] if wished else []
    if criteria.date_field is DateField.ORDERED_AT:
        return _within(Order.ordered_at, first, last)
    if not (first or last):
        return []
    # Sub-selects on indexes of their own: else all orders are walked through by date of order.
    if criteria.date_field is DateField.CANCELLED_AT:
        by_day = sa.select(CardTransaction.order_id).where(
            CardTransaction.is_current, *_within(CardTransaction.cancelled_at, first, last)
        )
    else:  # what 売上集計 adds up (R149)
        day, is_refund = MoneyMovement.day, criteria.date_field is DateField.REFUNDED_ON
        moved = [day >= first] if first else []
        moved += [day <= last] if last else []
        by_day = sa.select(MoneyMovement.order_id).where(
            MoneyMovement.is_refund == is_refund, MOVED != 0, *moved
        )
        # What was booked and taken back is neither sold nor given back.
        by_day = by_day.group_by(MoneyMovement.order_id).having(sa.func.sum(MOVED) != 0)
    return [Order.id.in_(by_day.correlate(None))]


def _within(moment: Any, first: date | None, last: date | None) -> list[Condition]:
    """From the beginning of one Japanese day to the end of another, both included."""
    found: list[Condition] = [moment >= start_of_day(first)] if first else []
    return found + ([moment < start_of_day(last + timedelta(days=1))] if last else [])


#: Numbers are found in capitals and small letters, by an index of its own.
_NUMBER = sa.func.lower(Order.order_no)


def _numbers(criteria: SearchCriteria) -> list[Condition]:
    numbers = [number.lower() for number in criteria.order_numbers]
    if not numbers:
        return []
    # `#1001` of some carts is found by 1001 too
    both = [*numbers, *(f"#{number}" for number in numbers)]
    if len(numbers) > 1 or len(numbers[0]) < PREFIX_LEAST:
        return [_NUMBER.in_(both)]
    # A sub-select on the index: beside ORDER BY ordered_at LIMIT a plain range would make
    # the planner walk through all orders by date.
    begins = map(begins_with, both)
    return [Order.id.in_(sa.select(Order.id).where(sa.or_(*begins)).correlate(None))]


def begins_with(text: str) -> Condition:
    """Condition: the number of an order begins with `text`, in small letters, by the index."""
    if db.engine.dialect.name == "sqlite":  # whose LIKE has no use for the index
        return _NUMBER.between(text, text + "~")  # which sorts behind every character of a number
    # What a range has in it is a matter of the language that the database was made with.
    return _NUMBER.startswith(text, autoescape=True)


def _amounts(criteria: SearchCriteria) -> list[Condition]:
    found: list[Condition] = []
    if criteria.amount_min is not None:
        found.append(Order.total >= criteria.amount_min)
    if criteria.amount_max is not None:
        found.append(Order.total <= criteria.amount_max)
    return found


#: The fields of the index that a word is looked for in.
_KEYWORD_FIELDS = {
    KeywordField.BUYER: index.BUYER,
    KeywordField.EMAIL: index.EMAIL,
    KeywordField.MEMBER: index.MEMBER,
    KeywordField.TEL: index.TEL,
    KeywordField.ORDER_NO: index.NUMBER,
    KeywordField.RECIPIENT: index.RECIPIENT,
    KeywordField.SLIP: index.SLIP,
}


def _keyword(field: KeywordField, word: str) -> Condition:
    if field is KeywordField.AMOUNT:
        amount = digits_only(word)
        return Order.total == int(amount) if 0 < len(amount) <= 9 else sa.false()
    key = phone_key(word) if field is KeywordField.TEL else search_key(word)
    return index.holds((key,), (_KEYWORD_FIELDS[field],))


def _parcels(criteria: SearchCriteria) -> list[Condition]:
    found: list[Condition] = []
    if criteria.item:
        found.append(index.holds((search_key(criteria.item),), (index.ITEM,)))
    if criteria.slip:
        found.append(index.holds((search_key(criteria.slip),), (index.SLIP,)))
    if criteria.has_slip is not None:
        with_slip = _any_delivery(Delivery.slip_no != "")
        found.append(with_slip if criteria.has_slip else ~with_slip)
    return found


def _any_delivery(*conditions: Condition) -> Condition:
    return exists(Delivery.order_id == Order.id, *conditions)


def _payment(criteria: SearchCriteria, now: datetime) -> list[Condition]:
    found: list[Condition] = []
    if criteria.unfinished:
        found.append(written(UNFINISHED))
    if criteria.unsent:
        found.append(Order.id.in_(holds.of_other_amounts.correlate(None)))
        # With the cast no planner goes through all that is held, by status.
        status = sa.cast(Order.payment_status, sa.String)
        found.append(status.in_(sorted(HOLDING_STATUSES)))
        found.append(_transaction(_UNSENT))
    if criteria.auth_days_left is not None:
        end = start_of_day(jst_day(now) + timedelta(days=criteria.auth_days_left + 1))
        ending = sa.select(CardTransaction.order_id).where(holds.ends_at < end)
        found.append(Order.id.in_(ending.correlate(None)))
    if criteria.waiting_hours is not None:
        found.append(Order.payment_status == PaymentStatus.NEEDS_REVIEW)
        then = _ago(timedelta(hours=criteria.waiting_hours))
        # An old order whose capture went unanswered a moment ago has not waited since it came in.
        just_now = exists(
            Attempt.order_id == Order.id, Attempt.is_open, Attempt.uncertain_since > then
        )
        found += [Order.ordered_at <= then, ~just_now]
    if criteria.error:
        like = Attempt.error_codes.contains(criteria.error, autoescape=True)
        found.append(exists(Attempt.order_id == Order.id, like))
    if criteria.returned_open:
        found += _returned_open()
    if criteria.shipped_uncaptured:
        found += [written(SHIPPED_UNCAPTURED), ~_IS_BILLED_AGAIN]
    if criteria.alert:  # a sub-select: they are few
        open_ones = sa.select(Alert.order_id).where(Alert.acknowledged_at.is_(None))
        found.append(Order.id.in_(open_ones.correlate(None)))
    if criteria.uncollected_on:
        found.append(Order.id.in_(_uncollected(criteria.uncollected_on)))
    if criteria.failed_of:
        failed = sa.select(BulkItem.order_id).where(
            BulkItem.run_id == criteria.failed_of, BulkItem.result == ItemResult.FAILED
        )
        found.append(Order.id.in_(failed))
    return found


def written(rows: sa.TextClause) -> Condition:
    """The condition of a partial index, as that is written: the index serves no other.

    Without a type: of a Boolean SQLite is asked whether it is 1.
    """
    return sa.literal_column(f"({rows})")


def _ago(span: timedelta) -> sa.BindParameter[datetime]:
    """The moment before so much time, counted from when the statement is asked: it may be kept."""
    moment = Order.ordered_at.type
    return sa.bindparam(None, callable_=lambda: utc_now() - span, type_=moment, unique=True)


#: A 定期購入 that failed has no capture (rules.md §4.3): it is among 売上失敗, and registered again.
_IS_BILLED_AGAIN = sa.and_(
    Order.kind == OrderKind.SUBSCRIPTION, Order.payment_status == PaymentStatus.CAPTURE_FAILED
)
#: order_rules.is_unsent of an order that stands so; NULL differs from nothing.
_UNSENT = sa.and_(
    CardTransaction.gateway_amount != Order.total,
    sa.or_(
        CardTransaction.gateway_state.in_(sorted(HELD_STATES)),
        sa.and_(
            ~CardTransaction.is_charge,
            sa.or_(
                CardTransaction.gateway_state.in_(sorted(LIVE_STATES)),
                sa.and_(
                    Order.kind == OrderKind.NORMAL,
                    CardTransaction.gateway_state.is_distinct_from(CHECK_STATE),
                ),
            ),
        ),
    ),
)


def _transaction(condition: Condition) -> Condition:
    is_its_own = CardTransaction.order_id == Order.id
    return exists(is_its_own, CardTransaction.is_current, condition)


def _uncollected(day: date) -> sa.CompoundSelect[int]:
    """Orders that had wholly gone out when `day` ended, and of which no money had come by then (R149).

    That is what still waits for its money, and what was paid later.
    """
    later = _any_delivery(Delivery.delivered_at >= start_of_day(day + timedelta(days=1)))
    is_gone = sa.and_(Order.processing_class == ProcessingClass.DELIVERED, ~later)
    registered = sa.select(Billing.order_id).where(Billing.state == BillingState.REGISTERED)
    return sa.union(
        sa.select(Order.id).where(Order.payment_status.in_(sorted(UNPAID)), is_gone),
        sa.select(Order.id).where(Order.id.in_(registered), is_gone),
        sa.select(MoneyMovement.order_id).where(
            MoneyMovement.day > day, MoneyMovement.owed_since <= day
        ),
    )


def _returned_open() -> list[Condition]:
    # A sub-select on the partial index of returned orders, which are few: beside GROUP BY and
    # ORDER BY the planner would walk through all orders, and without the cast through nearly all,
    # by status.
    few = sa.select(Order.id).where(Order.processing_class == ProcessingClass.RETURNED)
    return [
        Order.id.in_(few.correlate(None)),
        sa.cast(Order.payment_status, sa.String).in_(sorted(UNCANCELLED_STATUSES)),
        ~sa.and_(
            Order.kind == OrderKind.SUBSCRIPTION,
            Order.payment_status == PaymentStatus.CAPTURE_FAILED,
        ),
        Order.cancel_waived_at.is_(None),
    ]
