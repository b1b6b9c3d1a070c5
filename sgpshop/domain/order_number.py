"""What an order number may be (R142), and which numbers its payments have at SMBC-GP (R141)."""

from __future__ import annotations

import hashlib
import re

#: What other programs number with: `P…`, `20261128-001`, `#1001`; nothing is converted.
PATTERN = r"^#?[A-Za-z0-9][A-Za-z0-9-]{0,26}$"
#: what the API takes: the same without the mark that would have to be escaped in its addresses
INTAKE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9-]{0,26}$"
#: addresses of screens under /orders/ (interfaces.md §4), which would hide an order of that number
RESERVED = frozenset({"bulk", "export", "imports", "reconcile", "views"})
#: no number begins with it, and no screen
_MARK = "-"
#: SMBC-GP takes so many of A–Z, a–z, 0–9 and hyphens, `-99` included
LONGEST = 27
_LONGEST_BASE = LONGEST - len("-99")
_DIGEST = 12
_LATER = re.compile(r"(.+)-([1-9]\d?)")


def is_well_formed(number: str) -> bool:
    """Whether it is made of what a number may be made of, in a length that fits."""
    return re.fullmatch(PATTERN, number) is not None


def is_reserved(number: str) -> bool:
    """Whether the number is the address of one of our own screens: no new order may have it."""
    return number in RESERVED


def at_gateway(number: str, sequence: int = 0) -> str:
    """The number of an order's first payment at SMBC-GP, or of its later one with that `sequence`.

    The `#` of some carts may not go there.  Where `-1` would make it too long, the hyphens go, and
    where that is not enough the rest is a digest: the order's own number stays what it is.
    """
    base = number.removeprefix("#")
    if not sequence:
        return base
    if len(base) > _LONGEST_BASE:
        base = base.replace("-", "")
    if len(base) > _LONGEST_BASE:
        digest = hashlib.sha256(number.encode()).hexdigest()[:_DIGEST]
        base = base[: _LONGEST_BASE - _DIGEST] + digest
    return f"{base}-{sequence}"


def later_stem(number: str) -> str | None:
    """What the numbers of an order's later payments begin with, if not with its own; None: with it."""
    stem = at_gateway(number, 1).rpartition("-")[0]
    return None if stem == at_gateway(number) else stem


def as_later(number: str) -> tuple[str, int] | None:
    """`<first>-n`, of which it may be a later payment, as first number at SMBC-GP and n; None: of none.

    Of a long order number the first is its `later_stem`.
    """
    found = _LATER.fullmatch(number) if len(number) <= LONGEST else None
    return (found[1], int(found[2])) if found else None


def in_address(number: str) -> str:
    """The number as /orders/… has it: one taken in before the rule has a mark that no screen has."""
    return _MARK + number if is_reserved(number) else number


def from_address(text: str) -> str:
    """The number that `in_address` made `text` of."""
    return text.removeprefix(_MARK)
