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


#: days left, in Japanese days, from which a hold is shown as SOON and URGENT (R130)
SOON_DAYS, URGENT_DAYS = 14, 3


def days_left(expires_at: datetime, now: datetime) -> int:
    """Japanese days until the hold ends: 0 on its last day, negative once that day is over."""
    return (jst_day(expires_at) - jst_day(now)).days


def hold_warning(expires_at: datetime, now: datetime) -> HoldWarning:
    """How loudly to warn of a hold that ends at `expires_at`; both aware (R130)."""
    if expires_at <= now:
        return HoldWarning.EXPIRED
    left = days_left(expires_at, now)
    if left <= URGENT_DAYS:
        return HoldWarning.URGENT
    return HoldWarning.SOON if left <= SOON_DAYS else HoldWarning.NONE


class CancelKind(StrEnum):
    """The three ways in which SMBC-GP cancels, told apart by the calendar (protocol.md §3.3)."""

    VOID = "VOID"
    RETURN = "RETURN"
    RETURNX = "RETURNX"


def cancel_kinds(
    processed_at: datetime, now: datetime, *, is_captured: bool
) -> tuple[CancelKind, ...]:
    """The kinds in the order in which to try them; both times aware (R100, P28).

    `processed_at` is the gateway's time of the last processing.  The first kind fits our own
    clock; the others follow because the gateway judges by its clock, which near midnight or a
    month's end may show another day.  An authorization is never RETURNX.
    """
    done, today = jst_day(processed_at), jst_day(now)
    if today <= done:
        first = CancelKind.VOID
    elif is_captured and (today.year, today.month) != (done.year, done.month):
        first = CancelKind.RETURNX
    else:
        first = CancelKind.RETURN
    possible = [kind for kind in CancelKind if is_captured or kind is not CancelKind.RETURNX]
    later = possible[possible.index(first) + 1 :]
    earlier = possible[: possible.index(first)]
    return (first, *later, *reversed(earlier))
