"""What will be registered next, what is still missing for it, and until when (R102, R108, R155).

Counted by the condition the registration itself uses, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache, reduce
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
from sgpshop.models import Attempt, Order, utc_now
from sgpshop.services.order_search import waits
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
    NEEDS_REFUND,
    causes_of_attention,
    in_turn,
    suspects,
    waits_after,
)
from sgpshop.storage.questions import Question, answer


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
    #: 配送完了, whatever month they are of
    delivered: Total
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


#: what is counted of what waits, as it is kept, the yen of each beside it: what is not 配送完了, and the rest
#: by when it left, `due` between `earlier` and `later`, `unnoted` where nobody knows
_KEPT = ("undelivered", "reminder", "earlier", "due", "later", "unnoted")
#: of these, what is put right by those that are asked
_PUT_RIGHT = ("earlier", "due", "later")
#: what is asked of the few that may be otherwise (stages.suspects), or are being registered
_ASKED = (
    *("next", "earlier", "later", "under_way", "in_review"),
    *("to_refund", "put_off", "lacks_card", "unfit_card", "attention"),
)


def outlook(billing_day: int, now: datetime | None = None) -> Outlook:
    """The figures at `now` (aware); one query."""
    return answer(outlook_question(billing_day, now or utc_now()))


def outlook_question(billing_day: int, now: datetime) -> Question[Outlook]:
    """The same, to be asked together with others."""
    over = due_month(now, billing_day)
    upcoming, this_month = next_month(over), month_of(now)
    next_at = next_registration(now, billing_day)
    last_day = _last_day(this_month)

    def read(figures: tuple[Any, ...]) -> Outlook:
        return Outlook(
            next_at=next_at,
            days_until_next=days_left(next_at, now),
            next_month=upcoming,
            later_at=registers_at(next_month(upcoming), billing_day),
            last_day=last_day,
            days_until_last=(last_day - jst_day(now)).days,
            this_month_at=registers_at(this_month, billing_day),
            **_totals(figures),
        )

    return Question(_statement(over, *planning.due_last(utc_now())), read)


def _totals(figures: tuple[Any, ...]) -> dict[str, Total]:
    """What the columns of `_statement` come to, by name."""
    *pairs, more = (int(figure or 0) for figure in figures)
    of_each = [Total(*pair) for pair in zip(pairs[0::2], pairs[1::2], strict=True)]
    kept, asked = of_each[: len(_KEPT)], of_each[len(_KEPT) : len(_KEPT) + len(_ASKED)]
    found = dict(zip(_KEPT, kept, strict=True))
    # Of those that were asked, what they say themselves takes the place of what is kept.
    through = (found[name] for name in ("earlier", "due", "later", "unnoted"))
    found["delivered"] = reduce(_plus, through)
    for name, otherwise in zip(_PUT_RIGHT, of_each[-len(_PUT_RIGHT) :], strict=True):
        found[name] = _plus(found[name], otherwise, -1)
    found.pop("unnoted")
    found["next"] = _plus(found["earlier"], found.pop("due"))
    for name, total in zip(_ASKED, asked, strict=True):
        found[name] = _plus(found.get(name, Total()), total)
    for name in ("to_refund", "attention"):
        found[name] = replace(found[name], yen=found[name].yen + more)
    return found


def _plus(one: Total, other: Total, times: int = 1) -> Total:
    return Total(one.count + times * other.count, one.yen + times * other.yen)


@lru_cache(maxsize=4)
def _statement(over: date, month: date, punctual_until: datetime) -> sa.Select[*tuple[Any, ...]]:
    """Count and yen of each of _KEPT, of each of _ASKED, of what is kept of the latter as _PUT_RIGHT;
    and what more was taken of 要返金.
    """
    upcoming, kept = next_month(over), waits.kept.c
    is_due = kept.left_at >= end_of(over), kept.left_at < end_of(upcoming)
    of_kept = {
        "undelivered": sa.and_(~kept.is_through),
        "reminder": sa.and_(~kept.is_through, kept.seems_gone),
        "earlier": sa.and_(kept.is_through, kept.left_at < end_of(over)),
        "due": sa.and_(kept.is_through, *is_due),
        "later": sa.and_(kept.is_through, kept.left_at >= end_of(upcoming)),
        "unnoted": sa.and_(kept.is_through, kept.left_at.is_(None)),  # among stages.suspects
    }
    # Each a piece of the index: one look at all of them, each compared with each, takes three times as long.
    figures = sa.func.count(), sa.func.sum(kept.total)
    all_kept = [
        sa.select(*figures).where(waits.IS_SUBSCRIPTION, of_kept[name]).subquery() for name in _KEPT
    ]
    causes = causes_of_attention(month, punctual_until)
    # Each question once an order, however many figures are made of it.
    questions = {
        "billable": IS_BILLABLE,
        "free": IS_FREE,
        "due_next": to_register(upcoming),
        "left_before": is_of(over),
        "in_review": Order.payment_status == PaymentStatus.NEEDS_REVIEW,
        **causes,
        **{f"kept_{name}": of_kept[name] for name in _PUT_RIGHT},
    }
    # OFFSET: else each is put, and asked, where its count is and where its yen are.
    asked = (
        sa.select(
            Order.total, *(in_turn(question).label(name) for name, question in questions.items())
        )
        .outerjoin(waits.kept, kept.order_id == Order.id)
        .where(Order.id.in_(_otherwise(max(over, month))), IS_SUBSCRIPTION)
        .offset(0)
        .subquery()
    )
    is_ = asked.c
    meant = {
        **{name: is_[name] for name in _ASKED if name in questions},
        "next": sa.and_(is_.due_next, is_.free),
        "earlier": sa.and_(is_.due_next, is_.left_before, is_.free),
        "later": sa.and_(is_.billable, is_.free, ~is_.due_next),
        "under_way": sa.and_(is_.billable, ~is_.free),
        "attention": sa.or_(*(is_[name] for name in causes)),
    }
    those = [*(meant[name] for name in _ASKED), *(is_[f"kept_{name}"] for name in _PUT_RIGHT)]
    all_asked = sa.select(*_figures(is_.total, those)).subquery()
    # Money that already moved is among these in 要返金 only.
    more = more_taken([IS_SUBSCRIPTION, NEEDS_REFUND])
    parts = [*all_kept, all_asked]
    whole: sa.FromClause = reduce(lambda left, right: left.join(right, sa.true()), parts)
    return sa.select(*parts, more).select_from(whole)


def _otherwise(month: date) -> sa.CompoundSelect[int]:
    """The ids of the orders that are asked themselves: more than one condition, more than one part."""
    waiting = sa.exists().where(waits.kept.c.order_id == Attempt.order_id, waits.IS_SUBSCRIPTION)
    under_way = sa.select(Attempt.order_id).where(Attempt.is_open, waiting.correlate(Attempt))
    in_review = sa.select(Order.id).where(
        IS_SUBSCRIPTION, Order.payment_status == PaymentStatus.NEEDS_REVIEW
    )
    return sa.union_all(
        *suspects(month),
        under_way.correlate(None),
        in_review.correlate(None),
    )


def _figures(
    total: sa.ColumnElement[int], conditions: Sequence[sa.ColumnElement[bool]]
) -> list[sa.ColumnElement[Any]]:
    """Count and yen of each."""
    return [
        figure.filter(is_meant)
        for is_meant in conditions
        for figure in (sa.func.count(), sa.func.sum(total))
    ]


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
    kept = waits.kept.c
    undelivered = (
        sa.select(sa.func.count(), sa.func.sum(kept.total))
        .where(waits.IS_SUBSCRIPTION, ~kept.is_through)
        .subquery()
    )
    attention = (
        sa.select(sa.func.count(), sa.func.sum(Order.total))
        .where(
            Order.id.in_(sa.union_all(*suspects(month))),
            IS_SUBSCRIPTION,
            waits_after(month, punctual_until),
        )
        .subquery()
    )
    return sa.select(
        *undelivered.c, *attention.c, more_taken([IS_SUBSCRIPTION, NEEDS_REFUND])
    ).select_from(undelivered.join(attention, sa.true()))


def _last_day(month: date) -> date:
    return jst_day(end_of(month) - timedelta(seconds=1))
