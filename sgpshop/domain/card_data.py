"""Card numbers in text: found so that they are refused or masked, never kept (S11).

A number is a card's when its digits have the prefix and length of a brand and pass the Luhn check.
Digits may be full-width and stand in groups divided by spaces or hyphens.  A digit run counts as a
whole: 16 digits inside an 18-digit order number are not a card number.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator

#: spaces, hyphens, and what is typed for them or invisible; a line break or tab ends a number
_SEPARATOR = (
    "[ \u00a0\u00ad\u2000-\u200f\u202a-\u202f\u205f-\u2064\u2066-\u2069\u3000\ufeff"
    "\\-\u2010-\u2015\u2212\u30fc\ufe58\ufe63\uff0d\uff70]"
)
_RUN = re.compile(rf"\d(?:{_SEPARATOR}{{0,3}}\d){{13,}}")
_GROUP = re.compile(r"\d+")

#: (first prefix, last prefix, lengths); prefixes of one row have as many digits
_BRANDS = (
    ("4", "4", (16, 19)),  # Visa; 13 digits are long withdrawn, and are what a JAN code has
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),
    ("36", "36", (14, 16)),
    ("38", "39", (14, 16)),
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "649", (16, 17, 18, 19)),
    ("65", "65", (16, 17, 18, 19)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay; holds Discover's 622126-622925
    ("81", "81", (16, 17, 18, 19)),
)
_SHORTEST, _LONGEST = 14, 19
#: lengths that nearly all cards have; 17 and 18 are also a postal code followed by a phone number
_COMMON = (14, 15, 16, 19)
#: groupings printed on cards, besides fours
_PRINTED = {(4, 6, 5), (4, 6, 4), (6, 13), (8, 8)}
#: a group so long is a phone, slip or JAN number beside something else
_NUMBER_OF_ITS_OWN = 10


def contains_card_number(text: str) -> bool:
    """Whether a card number stands anywhere in `text`."""
    return next(_spans(text), None) is not None


def mask_card_numbers(text: str) -> str:
    """`text` with all but the last four digits of every card number replaced by `*`."""
    parts, end = [], 0
    for start, stop in _spans(text):
        number = text[start:stop]
        hidden = sum(map(str.isdecimal, number)) - 4
        parts += [text[end:start], re.sub(r"\d", "*", number, count=hidden)]
        end = stop
    return "".join([*parts, text[end:]])


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand, from left to right, without overlaps."""
    for run in _RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            if last := _card_end(text, groups, first):
                yield groups[first][0], groups[last - 1][1]
            first = last or first + 1


def _card_end(text: str, groups: list[tuple[int, int]], first: int) -> int:
    """The end (exclusive) of the groups from `first` on that form a card number, or 0."""
    digits, sizes = "", []
    for last in range(first, len(groups)):
        start, stop = groups[last]
        sizes.append(stop - start)
        if len(digits) + sizes[-1] > _LONGEST:
            break
        digits += "".join(str(unicodedata.decimal(character)) for character in text[start:stop])
        if not _is_card_number(digits):
            continue
        if first == 0 and last == len(groups) - 1:
            looks_so = _is_printed_so(sizes) or _is_odd_but_alone(digits, sizes)
        else:
            looks_so = _is_printed_so(sizes) and _is_uniform(text, groups[first : last + 1])
        if looks_so:
            return last + 1
    return 0


def _is_card_number(digits: str) -> bool:
    return (
        _SHORTEST <= len(digits) <= _LONGEST
        and any(
            len(digits) in lengths and low <= digits[: len(low)] <= high
            for low, high, lengths in _BRANDS
        )
        and _passes_luhn(digits)
    )


def _passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = (value * 2 - 9 if value > 4 else value * 2 for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def _is_printed_so(sizes: list[int]) -> bool:
    """One block, fours with a shorter rest, or another grouping seen on cards."""
    in_fours = all(size == 4 for size in sizes[:-1]) and sizes[-1] <= 4
    return len(sizes) == 1 or in_fours or tuple(sizes) in _PRINTED


def _is_odd_but_alone(digits: str, sizes: list[int]) -> bool:
    """Any other grouping, with nothing beside it that is likelier than a card."""
    return len(digits) in _COMMON and max(sizes) < _NUMBER_OF_ITS_OWN


def _is_uniform(text: str, groups: list[tuple[int, int]]) -> bool:
    """Whether one separator divides all groups: «4012-3456-7890 4012-…» is two slip numbers."""
    pairs = itertools.pairwise(groups)
    return len({text[left[1] : right[0]] for left, right in pairs}) <= 1
