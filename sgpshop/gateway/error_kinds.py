"""What an ErrInfo code says about the money: its kind, and whether it is a clear no.

``error_kinds.csv`` lists every documented code that a card shop can see, with its kind; a new one is
a line there, and gets its own words, if the composed ones do not do, in `error_words`.  A code
outside the list is never a clear no (protocol.md §4.2, P9).
"""

import csv
import functools
from collections.abc import Iterable
from enum import StrEnum
from importlib import resources


class ErrorKind(StrEnum):
    """Who can do something about a code (protocol.md §4.1)."""

    RETRYABLE = "retryable"
    OUTCOME_UNKNOWN = "outcome_unknown"
    BUYER_CARD = "buyer_card"
    MERCHANT = "merchant"
    CONFIGURATION = "configuration"
    THREE_DS = "three_ds"
    TOKEN = "token"  # noqa: S105 - the name of a kind
    RECURRING_FILE = "recurring_file"
    NOTIFICATION_TEST = "notification_test"


#: Of several codes the leftmost kind here decides: U > C > M > B > R (protocol.md §4.2).
_WORST_FIRST = (
    ErrorKind.OUTCOME_UNKNOWN,
    ErrorKind.CONFIGURATION,
    ErrorKind.MERCHANT,
    ErrorKind.RECURRING_FILE,
    ErrorKind.THREE_DS,
    ErrorKind.TOKEN,
    ErrorKind.BUYER_CARD,
    ErrorKind.RETRYABLE,
    ErrorKind.NOTIFICATION_TEST,
)

#: The REJECTED rows of P9 by prefix; one answer must stay within one row.
_REFUSED = (
    *("E00", "E01", "E11", "E21", "E31", "E41", "E61", "EX1", "M01", "42G", "E91099997"),
    "FILE_WINDOW_CLOSED",
)
_CONGESTED = ("E92",)
_NEVER_CLEAR = frozenset({"E11010999"})


@functools.cache
def known_codes() -> dict[str, ErrorKind]:
    """Return every documented code with its kind."""
    table = resources.files(__package__).joinpath("error_kinds.csv").read_text(encoding="ascii")
    return {row["code"]: ErrorKind(row["kind"]) for row in csv.DictReader(table.splitlines())}


def is_clear_no(codes: Iterable[str]) -> bool:
    """Return whether an answer with these codes says that nothing was done (P9, REJECTED).

    False, so "outcome unknown", for a code that is not documented, for system, communication
    and exclusion codes, for prefixes the table does not name, and for a mixture of rows.
    """
    codes = tuple(codes)
    rows = (_REFUSED, _CONGESTED)
    return bool(codes) and any(all(_in_row(code, row) for code in codes) for row in rows)


def _in_row(code: str, prefixes: tuple[str, ...]) -> bool:
    return code in known_codes() and code not in _NEVER_CLEAR and code.startswith(prefixes)


def kind_of(code: str) -> ErrorKind:
    """Return the kind of one code; OUTCOME_UNKNOWN if it is not documented."""
    return known_codes().get(code, ErrorKind.OUTCOME_UNKNOWN)


def worst(codes: Iterable[str]) -> str:
    """Return the code whose kind decides for all of them, the first of equals.

    Raises ValueError if there is none.
    """
    return min(codes, key=lambda code: _WORST_FIRST.index(kind_of(code)))
