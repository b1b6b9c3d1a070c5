"""What an ErrInfo code means: its kind, whether it is a clear no, a sentence and the next step.

``error_codes.csv`` lists every documented code with its kind; the sentences are composed in
``error_texts.py``.  A code outside the list is never a clear no (protocol.md §4.2, P9).
"""

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from sgpshop.gateway import error_texts


class ErrorKind(StrEnum):
    """Who can do something about a code (protocol.md §4.1)."""

    RETRYABLE = "retryable"
    OUTCOME_UNKNOWN = "outcome_unknown"
    BUYER_CARD = "buyer_card"
    MERCHANT = "merchant"
    CONFIGURATION = "configuration"
    THREE_DS = "three_ds"
    TOKEN = "token"  # noqa: S105 - the name of a kind
    TOKEN_JS = "token_js"  # noqa: S105 - from the buyer's browser, never on this wire
    OTHER_METHOD = "other_method"
    RECURRING_FILE = "recurring_file"
    NOTIFICATION_TEST = "notification_test"


@dataclass(frozen=True)
class Explanation:
    """One code in words for staff: what happened and what it means, then what to do."""

    code: str
    kind: ErrorKind
    sentence: str
    next_step: str


#: Of several codes the leftmost kind here decides: U > C > M > B > R (protocol.md §4.2).
_WORST_FIRST = (
    ErrorKind.OUTCOME_UNKNOWN,
    ErrorKind.OTHER_METHOD,
    ErrorKind.CONFIGURATION,
    ErrorKind.MERCHANT,
    ErrorKind.RECURRING_FILE,
    ErrorKind.THREE_DS,
    ErrorKind.TOKEN,
    ErrorKind.TOKEN_JS,
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

#: Codes of the monthly file beside the documented list (protocol.md §13.9).
_FILE_CODES = {"FILE_WINDOW_CLOSED": ErrorKind.RECURRING_FILE}


@functools.cache
def known_codes() -> dict[str, ErrorKind]:
    """Return every documented code with its kind."""
    table = resources.files(__package__).joinpath("error_codes.csv").read_text(encoding="ascii")
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
    return _is_known(code) and code not in _NEVER_CLEAR and code.startswith(prefixes)


def _is_known(code: str) -> bool:
    return code in known_codes() or code in _FILE_CODES


def kind_of(code: str) -> ErrorKind:
    """Return the kind of one code; OUTCOME_UNKNOWN if it is not documented."""
    return known_codes().get(code) or _FILE_CODES.get(code, ErrorKind.OUTCOME_UNKNOWN)


def worst(codes: Iterable[str]) -> str:
    """Return the code whose kind decides for all of them, the first of equals.

    Raises ValueError if there is none.
    """
    return min(codes, key=lambda code: _WORST_FIRST.index(kind_of(code)))


@functools.cache
def _explain_known(code: str) -> Explanation:
    kind = kind_of(code)
    what, next_step = error_texts.describe(code, kind.value)
    return Explanation(code, kind, what + _what_it_means(code, kind), next_step)


def explain(code: str) -> Explanation:
    """Return the words for any code, documented or not."""
    if _is_known(code):
        return _explain_known(code)
    what, next_step = error_texts.describe_unlisted(code)
    kind = ErrorKind.OUTCOME_UNKNOWN
    return Explanation(code, kind, what + _what_it_means(code, kind), next_step)


def _what_it_means(code: str, kind: ErrorKind) -> str:
    if kind in (ErrorKind.NOTIFICATION_TEST, ErrorKind.TOKEN_JS):
        return ""  # neither is the answer to an operation of ours
    return error_texts.UNCHANGED if is_clear_no([code]) else error_texts.IN_DOUBT
