"""What will be registered next, what is still missing for it, and until when (R102, R108, R155).

Counted by the condition the registration itself uses, so the two cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.billing_calendar import (
    due_month,
    end_of,
    month_of,
    next_month,
    next_registration,
    registers_at,
)
from sgpshop.domain.payment_calendar import days_left, jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, utc_now
from sgpshop.services.order_search.totals import Total, more_taken
from sgpshop.services.subscriptions.billing import planning
from sgpshop.services.subscriptions.billing.selecting import (
    IS_BILLABLE,
    IS_FREE,
    is_of,
    to_register,
)
from sgpshop.services.subscriptions.stages import (
    IS_SUBSCRIPTION,
    IS_UNDELIVERED,
    NEEDS_REFUND,
    NEEDS_REMINDER,
    causes_of_attention,
    stands_or_goes_back,
    waits_after,
)
from sgpshop.storage.questions import Question
from sgpshop.storage.rows import read as rows_of


@dataclass(frozen=True)
class Outlook:
    """What comes next; months are the first of theirs, days are counted in Japan."""

    #: the next registration, and the latest month it takes
    next_at: datetime
    days_until_next: int
    next_month: date
    next: Total
    #: of `next`: of months whose own registration day is over
    earlier: Total
    #: delivered since that month ended: registered one month later
    later: Total
    later_at: datetime
    #: being registered just now
    under_way: Total
    #: not 配送完了, and until when they have to be to be registered on `this_month_at`
    undelivered: Total
    last_day: date
    days_until_last: int
    this_month_at: datetime
    #: of those: a slip number is there or a parcel is through, 配送完了 of all is not
    reminder: Total
    #: 要確認 subscription orders: on no other tab than すべて
    in_review: Total
    #: 要返金: returned after the sale was reported (R104)
    to_refund: Total
    #: could not be registered, through no fault of the card: tried again (R105)
    put_off: Total
    #: カード未確認: nothing shows yet which card is to pay
    lacks_card: Total
    #: the card that is kept will not pay on the day (R102a)
    unfit_card: Total
    #: all that waits for a person or for trouble to pass, as the tab 要対応 lists it
    attention: Total


#: what is counted, in the order of the statement's columns
_COUNTED = (
    *("next", "earlier", "later", "under_way", "undelivered", "reminder", "in_review"),
    *("to_refund", "put_off", "lacks_card", "unfit_card", "attention"),
)


def outlook(billing_day: int, now: datetime | None = None) -> Outlook:
    """The figures at `now` (aware); one query."""
    now = now or utc_now()
    over = due_month(now, billing_day)
    upcoming, this_month = next_month(over), month_of(now)
    next_at = next_registration(now, billing_day)
    last_day = _last_day(this_month)
    statement = _statement(over, *planning.due_last(utc_now()))
    figures = tuple(rows_of(statement).one())
    pairs = zip(figures[0::2], figures[1::2], strict=False)
    totals = {
        name: Total(count, int(yen)) for name, (count, yen) in zip(_COUNTED, pairs, strict=True)
    }
    for name in ("to_refund", "attention"):
        totals[name] = replace(totals[name], yen=totals[name].yen + int(figures[-1] or 0))
    return Outlook(
        next_at=next_at,
        days_until_next=days_left(next_at, now),
        next_month=upcoming,
        later_at=registers_at(next_month(upcoming), billing_day),
        last_day=last_day,
        days_until_last=(last_day - jst_day(now)).days,
        this_month_at=registers_at(this_month, billing_day),
        **totals,
    )


@lru_cache(maxsize=4)
def _statement(over: date, month: date, punctual_until: datetime) -> sa.Select[*tuple[Any, ...]]:
    """Count and yen of each of _COUNTED, and what more was taken of 要返金."""
    upcoming = next_month(over)
    causes = causes_of_attention(month, punctual_until)
    # Each question once an order, however many figures are made of it.
    questions = {
        "billable": IS_BILLABLE,
        "free": IS_FREE,
        "due_next": to_register(upcoming),
        "left_before": is_of(over),
        "undelivered": IS_UNDELIVERED,
        "reminder": NEEDS_REMINDER,
        "in_review": Order.payment_status == PaymentStatus.NEEDS_REVIEW,
        **causes,
    }
    # OFFSET: else each is put, and asked, where its count is and where its yen are.
    asked = (
        sa.select(
            Order.total, *(_asked(question).label(name) for name, question in questions.items())
        )
        .where(stands_or_goes_back(PaymentStatus.AWAITING_BILLING, PaymentStatus.NEEDS_REVIEW))
        .offset(0)
        .subquery()
    )
    is_ = asked.c
    meant = {
        **{name: is_[name] for name in _COUNTED if name in questions},
        "next": sa.and_(is_.due_next, is_.free),
        "earlier": sa.and_(is_.due_next, is_.left_before, is_.free),
        "later": sa.and_(is_.billable, is_.free, ~is_.due_next),
        "under_way": sa.and_(is_.billable, ~is_.free),
        "attention": sa.or_(*(is_[name] for name in causes)),
    }
    columns: list[Any] = [
        column
        for name in _COUNTED
        for column in (
            sa.func.count().filter(meant[name]),
            sa.func.coalesce(sa.func.sum(is_.total).filter(meant[name]), 0),
        )
    ]
    # Money that already moved is among these in 要返金 only.
    columns.append(more_taken([IS_SUBSCRIPTION, NEEDS_REFUND]))
    return sa.select(*columns).select_from(asked)


def _asked(question: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """As a column.  CASE: else SQLite looks up both sides of each AND and OR, whatever the first one says."""
    return sa.case((question, sa.true()), else_=sa.false())


@dataclass(frozen=True)
class Urgent:
    """What of it stands on the first page: counted by the same conditions as `Outlook`."""

    undelivered: Total
    days_until_last: int
    attention: Total


def urgent_question(now: datetime) -> Question[Urgent]:
    """The figures at `now` (aware), to be asked together with others."""
    days_until_last = (_last_day(month_of(now)) - jst_day(now)).days

    def read(figures: tuple[Any, ...]) -> Urgent:
        undelivered, its_yen, attention, yen, more = (int(one or 0) for one in figures)
        return Urgent(
            undelivered=Total(undelivered, its_yen),
            days_until_last=days_until_last,
            attention=Total(attention, yen + more),
        )

    return Question(_urgent(*planning.due_last(now)), read)


@lru_cache(maxsize=4)
def _urgent(month: date, punctual_until: datetime) -> sa.Select[*tuple[Any, ...]]:
    asked = (
        sa.select(
            Order.total,
            IS_UNDELIVERED.label("undelivered"),
            _asked(waits_after(month, punctual_until)).label("attention"),
        )
        .where(stands_or_goes_back(PaymentStatus.AWAITING_BILLING))
        .offset(0)  # as above
        .subquery()
    )
    return sa.select(
        *(
            figure.filter(is_meant)
            for is_meant in (asked.c.undelivered, asked.c.attention)
            for figure in (sa.func.count(), sa.func.sum(asked.c.total))
        ),
        more_taken([IS_SUBSCRIPTION, NEEDS_REFUND]),
    ).select_from(asked)


def _last_day(month: date) -> date:
    return jst_day(end_of(month) - timedelta(seconds=1))
