"""The pictures of the first page: what was captured, which holds end when, why captures failed.

Each figure leads to its orders; yen are ints, days are Japanese ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.payment_calendar import SOON_DAYS, URGENT_DAYS, jst_day, start_of_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import in_short, worst
from sgpshop.models import Attempt, AttemptState, Order, split_codes
from sgpshop.services.order_search import holds as kept
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import money_days
from sgpshop.storage.among import among
from sgpshop.storage.questions import Question
from sgpshop.storage.rows import read as rows_of

#: so many days are drawn, today included: at first, and when more are asked for
DAYS, MORE_DAYS = 14, 30
#: the last day of each heap of holds, counted from today; None: all the rest
HEAPS = (-1, URGENT_DAYS, 7, SOON_DAYS, 21, 30, None)
_REASONS_SHOWN = 5
_UNTOLD = "通信エラー・その他"


@dataclass(frozen=True)
class Captured:
    """Yen captured on each of the last days, oldest first, and since the first of the month."""

    days: dict[date, int]
    this_month: int

    @property
    def today(self) -> int:
        """Of the last of them."""
        return next(reversed(self.days.values()))


def captured(now: datetime, number: int = DAYS) -> Question[Captured]:
    """What was taken by captures (実売上), whatever was given back later: the rows of 売上集計."""
    days = _last_days(jst_day(now), number)

    def read(row: tuple[Any, ...]) -> Captured:
        *of_days, of_month = (int(sum_ or 0) for sum_ in row)
        return Captured(dict(zip(days, of_days, strict=True)), of_month)

    return Question(_captured_by(days[-1], number), read)


def _last_days(today: date, number: int) -> list[date]:
    return [today - timedelta(days=back) for back in reversed(range(number))]


@lru_cache(maxsize=4)
def _captured_by(today: date, number: int) -> sa.Select[*tuple[Any, ...]]:
    days, month = _last_days(today, number), today.replace(day=1)
    by_day = money_days.sold(min(month, days[0]), today)
    spans = [(one, one) for one in days] + [(month, today)]
    sums = (
        sa.func.sum(by_day.c.yen).filter(by_day.c.day.between(first, last)) for first, last in spans
    )
    return sa.select(*sums)


@dataclass(frozen=True)
class Holds:
    """How many authorizations end in each of the HEAPS, expired ones first, and what ends soon (R130)."""

    heaps: list[int]
    #: within SOON_DAYS, expired ones included
    soon: Total


def holds(now: datetime) -> Question[Holds]:
    """When they end."""

    def read(row: tuple[Any, ...]) -> Holds:
        *heaps, yen = row
        return Holds(heaps, Total(sum(heaps[: HEAPS.index(SOON_DAYS) + 1]), int(yen or 0)))

    return Question(_heaps(jst_day(now)), read)


@lru_cache(maxsize=2)
def _heaps(today: date) -> sa.Select[*tuple[Any, ...]]:
    """How many end in each, and the yen of what ends soon."""
    ends = [
        None if last is None else start_of_day(today + timedelta(days=last + 1)) for last in HEAPS
    ]
    # Each a piece of the index: one look at all of them, each compared with each, takes five times as long.
    figures = [
        *(
            sa.select(sa.func.count(kept.ends_at)).where(*_between(start, end))
            for start, end in zip((None, *ends), ends, strict=False)
        ),
        sa.select(sa.func.sum(kept.yen)).where(*_between(None, ends[HEAPS.index(SOON_DAYS)])),
    ]
    return sa.select(*(one.scalar_subquery() for one in figures))


def _between(start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    since = [kept.ends_at >= start] if start else []
    return since + ([kept.ends_at < end] if end else [])


@dataclass(frozen=True)
class Reason:
    """Why captures failed that are still open; `code` where only one leads to these orders."""

    words: str
    count: int
    code: str


_REASONS = sa.select(Attempt.order_id, Attempt.error_codes).where(
    Attempt.id.in_(
        sa.select(sa.func.max(Attempt.id))
        .where(among(Attempt.order_id, "ids"))
        .group_by(Attempt.order_id)
    ),
    Attempt.state == AttemptState.REJECTED,
)


def reasons(order_ids: Sequence[int]) -> dict[int, str]:
    """Why the capture of each of these orders failed last, in few words; one query."""
    rows = rows_of(_REASONS, {"ids": order_ids})
    return {order_id: _short(text) for order_id, text in rows}


def _short(error_codes: str) -> str:
    known = split_codes(error_codes)
    return in_short(worst(known)) if known else _UNTOLD


def failures() -> list[Reason]:
    """The commonest reasons of the orders in 売上失敗, in few words; one query."""
    rows = rows_of(_failed())
    counts: Counter[str] = Counter()
    codes: dict[str, set[str]] = {}
    for text, number in rows:
        known = split_codes(text)
        words = _short(text)
        counts[words] += number
        codes.setdefault(words, set()).add(worst(known) if known else "")
    return [
        Reason(words, number, codes[words].pop() if len(codes[words]) == 1 else "")
        for words, number in counts.most_common(_REASONS_SHOWN)
    ]


@cache
def _failed() -> sa.Select[str, int]:
    newest = (
        sa.select(sa.func.max(Attempt.id))
        .join(Order, Order.id == Attempt.order_id)
        .where(Order.payment_status == PaymentStatus.CAPTURE_FAILED)
        .group_by(Attempt.order_id)
    )
    return (
        sa.select(Attempt.error_codes, sa.func.count())
        .where(Attempt.id.in_(newest), Attempt.state == AttemptState.REJECTED)
        .group_by(Attempt.error_codes)
    )
