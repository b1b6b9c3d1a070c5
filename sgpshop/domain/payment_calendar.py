"""Days as the shop counts them: Japan time, whatever the server's zone is (rules.md §0, P28)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum

JST = timezone(timedelta(hours=9), "JST")


def jst_day(moment: datetime) -> date:
    """The Japanese calendar day of an aware `moment`."""
    return moment.astimezone(JST).date()


def start_of_day(day: date) -> datetime:
    """The first moment of a Japanese day, in UTC."""
    return datetime.combine(day, time(), JST).astimezone(UTC)


class HoldWarning(StrEnum):
    """How urgent the end of an authorization is (R130)."""

    NONE = "none"
    SOON = "soon"
    URGENT = "urgent"
    EXPIRED = "expired"


#: days left, in Japanese days, from which a hold is shown as SOON and URGENT, and told by mail (R130, R156)
SOON_DAYS, URGENT_DAYS = 14, 3


def days_left(until: datetime, now: datetime) -> int:
    """Japanese days left, of a hold say: 0 on its last day, negative once that day is over."""
    return (jst_day(until) - jst_day(now)).days


def hold_warning(expires_at: datetime, now: datetime) -> HoldWarning:
    """How loudly to warn of a hold that ends at `expires_at`; both aware (R130)."""
    if expires_at <= now:
        return HoldWarning.EXPIRED
    left = days_left(expires_at, now)
    if left <= URGENT_DAYS:
        return HoldWarning.URGENT
    return HoldWarning.SOON if left <= SOON_DAYS else HoldWarning.NONE
