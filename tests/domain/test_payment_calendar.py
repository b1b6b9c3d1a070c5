"""Days are Japanese days, and a hold warns in time (P28, R130)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from sgpshop.domain.payment_calendar import (
    HoldWarning,
    days_left,
    hold_warning,
    jst_day,
    start_of_day,
)

NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)  # 12:00 in Japan


def test_a_day_begins_at_15_hours_utc_of_the_day_before() -> None:
    assert start_of_day(date(2026, 11, 23)) == datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
    assert jst_day(datetime(2026, 11, 22, 14, 59, tzinfo=UTC)) == date(2026, 11, 22)
    assert jst_day(datetime(2026, 11, 22, 15, 0, tzinfo=UTC)) == date(2026, 11, 23)


@pytest.mark.parametrize(
    ("left", "warning"),
    [
        (timedelta(days=15), HoldWarning.NONE),
        (timedelta(days=14), HoldWarning.SOON),
        (timedelta(days=4), HoldWarning.SOON),
        (timedelta(days=3), HoldWarning.URGENT),
        (timedelta(minutes=1), HoldWarning.URGENT),
        (timedelta(0), HoldWarning.EXPIRED),
        (timedelta(days=-1), HoldWarning.EXPIRED),
    ],
)
def test_the_warning_grows_as_the_hold_runs_out(left: timedelta, warning: HoldWarning) -> None:
    assert hold_warning(NOON + left, NOON) is warning  # R130: 14, 3, expired


def test_days_left_count_calendar_days_not_hours() -> None:
    midnight = start_of_day(date(2026, 11, 24))
    assert days_left(midnight, NOON) == 1
    assert days_left(midnight - timedelta(seconds=1), NOON) == 0
