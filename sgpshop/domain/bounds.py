"""The ends of what anybody may hand in: ids, versions and days beyond them are no use to us.

Every entrance asks here (routes, forms, JSON, cursors, commands): what a database cannot keep or
Python cannot count with must end as a sentence, never as a fault of ours.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

#: ids, versions and numbers of yen in the database
MOST: Final = 2**31 - 1
#: the days an order, a key or a period can be about
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
DAYS_WORDS: Final = "2000年から2099年の間"
_A_DAY = timedelta(days=1)


def whole_number(text: str, most: int = MOST) -> int | None:
    """The number from 0 to `most` that plain digits say; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if number <= most else None


def is_usable(day: date) -> bool:
    """Whether a day that somebody names can be meant, and be counted with in any zone."""
    return FIRST_DAY <= day <= LAST_DAY


def is_countable(moment: datetime) -> bool:
    """Whether a time, of a cursor for instance, can be taken to any zone."""
    try:
        return moment - _A_DAY < moment < moment + _A_DAY
    except OverflowError:
        return False
