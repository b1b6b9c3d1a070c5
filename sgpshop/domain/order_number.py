"""What an order number may be (R142): one rule for files, the API and whatever else takes orders in."""

from __future__ import annotations

import re

#: as it is written in the API's document; half-width letters and digits, nothing converted
PATTERN = r"^[A-Za-z0-9]{1,24}$"
#: addresses of screens under /orders/ (interfaces.md §4), which would hide an order of that number
RESERVED = frozenset({"bulk", "export", "imports", "reconcile"})
#: no number has it, and no screen
_MARK = "-"


def is_well_formed(number: str) -> bool:
    """Whether it is made of what a number may be made of, in a length that fits."""
    return re.fullmatch(PATTERN, number) is not None


def is_reserved(number: str) -> bool:
    """Whether the number is the address of one of our own screens: no new order may have it."""
    return number in RESERVED


def in_address(number: str) -> str:
    """The number as /orders/… has it: one taken in before the rule has a mark that no screen has."""
    return _MARK + number if is_reserved(number) else number


def from_address(text: str) -> str:
    """The number that `in_address` made `text` of."""
    return text.removeprefix(_MARK)
