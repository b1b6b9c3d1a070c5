"""Months of subscription sales: when one is over, when it is registered, when results come (R101, R102).

A month is the `date` of its first day.  All boundaries are Japan time (P28).
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

from sgpshop.domain.payment_calendar import jst_day, start_of_day

#: Registrations and the fetching of results begin at this hour (R102).
HOUR = timedelta(hours=6)
#: The window of the monthly file is the 1st to this day of a month (protocol.md §13.9).
FILE_WINDOW_ENDS = 10
#: So long before its end files are made of whatever is ready, and asking about it anew may not end.
FILE_WINDOW_CLOSING = timedelta(hours=2)
#: So long after the day of results their absence is no accident any more.
RESULTS_OVERDUE = timedelta(days=2)
_WRITTEN = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


def month_of(moment: datetime) -> date:
    """The Japanese month of an aware `moment`: the billable one of what was delivered then (R101)."""
    return jst_day(moment).replace(day=1)


def next_month(month: date) -> date:
    """The month after it."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def previous_month(month: date) -> date:
    """The month before it."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def end_of(month: date) -> datetime:
    """The first moment that is not in `month` any more, in UTC."""
    return start_of_day(next_month(month))


@lru_cache(maxsize=256)  # a list asks of few months, order by order
def registers_at(month: date, billing_day: int) -> datetime:
    """When the sales of `month` are registered: at 06:00 of that day of the next month, in UTC."""
    return start_of_day(next_month(month).replace(day=billing_day)) + HOUR


def file_window_ends(now: datetime) -> datetime:
    """The first moment at which no monthly file of the month of `now` is taken any more, in UTC."""
    return start_of_day(month_of(now).replace(day=FILE_WINDOW_ENDS + 1))


def results_at(window: date, result_day: int) -> datetime:
    """When results of what was registered in the month `window` are to be had, in UTC."""
    return start_of_day(window.replace(day=result_day)) + HOUR


def due_month(now: datetime, billing_day: int) -> date:
    """The latest month whose registration has begun at `now`."""
    last = previous_month(month_of(now))
    return last if registers_at(last, billing_day) <= now else previous_month(last)


def next_registration(now: datetime, billing_day: int) -> datetime:
    """The next moment at which sales are registered, in UTC."""
    return registers_at(next_month(due_month(now, billing_day)), billing_day)


def written(month: date) -> str:
    """`2026-11`."""
    return f"{month:%Y-%m}"


def parse_month(text: str) -> date:
    """The month of `2026-11`.  Raises ValueError."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError("a month is written like 2026-11")
    return date(int(found[1]), int(found[2]), 1)
