"""Months of subscription sales end in Japan, whatever the server's zone and the length of the month (P28)."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from sgpshop.domain.billing_calendar import (
    due_month,
    end_of,
    month_of,
    next_month,
    next_registration,
    parse_month,
    previous_month,
    registers_at,
    results_at,
    written,
)
from sgpshop.domain.payment_calendar import JST

#: (last day of a month, the month after it)
ENDS = [
    (date(2026, 12, 31), date(2027, 1, 1)),
    (date(2027, 2, 28), date(2027, 3, 1)),
    (date(2028, 2, 29), date(2028, 3, 1)),
    (date(2027, 4, 30), date(2027, 5, 1)),
]
ZONES = [timezone(timedelta(hours=hours)) for hours in (-11, 0, 9, 14)]


@pytest.mark.parametrize(("last", "after"), ENDS)
@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_month_ends_at_midnight_in_japan(last: date, after: date, zone: timezone) -> None:
    month = last.replace(day=1)
    midnight = datetime(after.year, after.month, after.day, tzinfo=JST)
    assert end_of(month) == midnight
    assert month_of((midnight - timedelta(seconds=1)).astimezone(zone)) == month  # P29
    assert month_of(midnight.astimezone(zone)) == after
    assert (next_month(month), previous_month(after)) == (after, month)


@pytest.mark.parametrize(("last", "after"), ENDS)
@pytest.mark.parametrize("billing_day", [1, 8, 10])
def test_a_month_is_due_from_six_on_its_day(last: date, after: date, billing_day: int) -> None:
    month = last.replace(day=1)
    begins = datetime(after.year, after.month, billing_day, 6, tzinfo=JST)  # R102
    assert registers_at(month, billing_day) == begins
    assert due_month(begins - timedelta(seconds=1), billing_day) == previous_month(month)
    assert due_month(begins, billing_day) == month
    assert next_registration(begins - timedelta(seconds=1), billing_day) == begins
    assert results_at(after, 18) == datetime(after.year, after.month, 18, 6, tzinfo=JST)


def test_a_month_is_written_with_its_year() -> None:
    assert written(parse_month("2028-02")) == "2028-02"
    for text in ("2028-13", "2028-2", "28-02", "2028-02-01", "", "２０２８-02"):
        with pytest.raises(ValueError, match="2026-11"):
            parse_month(text)
