"""What a spreadsheet program makes of a CSV file's cells that look like a number, a day or a time.

Opening and saving is enough: 0012 becomes 12, 10-20 becomes 10月20日, 10:15:30 becomes 10:15.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from sgpshop.domain.order_number import LONGEST

#: 4.90715E+11 (Excel), 1.23456789012346E+020 (LibreOffice): the end of the number is lost for good.
_CUT_NUMBER = re.compile(r"\d(?:\.\d+)?E\+\d{1,3}", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"\+?\d+(?:\.\d*)?(?:E[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"(?:\d{4}[/-])?(\d{1,2})[/月-](\d{1,2})日?", re.ASCII)
_LIKE_A_DAY = re.compile(r"(\d{1,2})[/-](\d{1,2})", re.ASCII)


#: no shop's numbers begin with more
_MOST_ZEROS = 10


def alike_but_for_zeros(number: str) -> list[str]:
    """Numbers of which `number` may be what is left without leading zeros, or the other way round."""
    if not (number.isascii() and number.isdigit()):
        return []
    plain = number.lstrip("0")
    alike = ("0" * n + plain for n in range(_MOST_ZEROS + 1))
    return [one for one in alike if one and one != number and len(one) <= LONGEST]


def shows_zeros(number: str) -> bool:
    """Whether it is a number that no spreadsheet program took the leading zeros of."""
    return number.isascii() and number.isdigit() and number.startswith("0")


def is_cut_number(text: str) -> bool:
    """Whether only the first digits of a long number are left."""
    return _CUT_NUMBER.fullmatch(text) is not None


def is_left_of(found: object, known: object) -> bool:
    """Whether `found` is not another value but what a spreadsheet program left of `known`."""
    if isinstance(found, datetime) and isinstance(known, datetime):
        return found == known.replace(second=0, microsecond=0)
    if not isinstance(found, str) or not isinstance(known, str) or found == known:
        return False
    if _PLAIN_NUMBER.fullmatch(found) and _LIKE_A_NUMBER.fullmatch(known):
        return Decimal(found) == Decimal(known)
    day, like_a_day = _DAY.fullmatch(found), _LIKE_A_DAY.fullmatch(known)
    if day and like_a_day:
        return [int(part) for part in day.groups()] == [int(part) for part in like_a_day.groups()]
    return found.zfill(8) == f"{known}:00".zfill(8)
