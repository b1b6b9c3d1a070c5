"""Card numbers in text: found so that they are refused or masked, never kept (S11).

A number is a card's when its digits have the prefix and length of a brand and pass the Luhn check.
Digits may be full-width and stand in groups divided by spaces or hyphens.  A digit run counts as a
whole: 16 digits inside an 18-digit order number are not a card number.  Nor are those inside a random
value of 32 hexadecimal digits, as the gateway's 取引ID and our own run numbers are: one in some
thousands of them holds a row of digits that passes every check.

The text comes from anybody, so one pass over it finds what can be a number at all, and each find
costs the same small work: the time grows with the length of the text, whatever stands in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

#: spaces, hyphens, and what is typed for them or invisible; a line break or tab ends a number
_SEPARATOR = (
    "[ \u00a0\u00ad\u2000-\u200f\u202a-\u202f\u205f-\u2064\u2066-\u2069\u3000\ufeff"
    "\\-\u2010-\u2015\u2212\u30fc\ufe58\ufe63\uff0d\uff70]"
)
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
_RUN = re.compile(rf"(?<![0-9])[0-9](?:{_SEPARATOR}{{0,3}}+[0-9]){{13,}}+")
_GROUP = re.compile("[0-9]+")

#: Prefix and length of every brand, in one look at a row of digits.
_BRAND = re.compile(
    "(?:"
    "4(?:.{15}|.{18})"  # Visa; 13 digits are long withdrawn, and are what a JAN code has
    "|5[1-5].{14}"  # Mastercard
    "|(?:222[1-9]|22[3-9].|2[3-6]..|27[01].|2720).{12}"
    "|(?:352[89]|35[3-8].).{12,15}"  # JCB
    "|3[47].{13}"  # American Express
    "|(?:30[0-5].|3095|3[689]..).{10}(?:..)?"  # Diners Club
    "|(?:6011|64[4-9].|65..|62..|81..).{12,15}"  # Discover; UnionPay
    ")"
)
#: yymmddHHMMSS and four digits, as shops number orders; of Mastercard's numbers from 2221 on that
#: look so, three in a thousand are a moment.
_MOMENT = re.compile(
    "2[2-7](?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){2}[0-9]{4}"
)
_LONGEST = 19
#: No run of so many digits is longer, with three signs between each two.
_LONGEST_RUN = _LONGEST + 3 * (_LONGEST - 1)
#: lengths that nearly all cards have; 17 and 18 are also a postal code followed by a phone number
_COMMON = (14, 15, 16, 19)
#: groupings printed on cards, besides fours
_PRINTED = {(4, 6, 5), (4, 6, 4), (6, 13), (8, 8)}
#: Where a number may begin that is printed so, with one and the same sign between its groups
#: («4012-3456-7890 4012-…» is two slip numbers): one block, fours with a shorter rest, or the above.
_PRINTED_START = re.compile(
    "(?<![0-9])(?=[2-68])(?="
    "(?P<block>[0-9]{14,19})(?![0-9])"
    f"|[0-9]{{4}}(?P<sign>{_SEPARATOR}{{1,3}})(?:"
    "(?P<fours>[0-9]{4}(?P=sign)[0-9]{4}(?P=sign)[0-9]{2,4}(?![0-9]))"
    "(?P<rest>(?<=[0-9]{4})(?P=sign)[0-9]{1,3}(?![0-9]))?"
    "|(?P<six>[0-9]{6}(?P=sign)[0-9]{4,5}(?![0-9])))"
    f"|(?P<two>[0-9]{{6}}{_SEPARATOR}{{1,3}}[0-9]{{13}}(?![0-9])"
    f"|[0-9]{{8}}{_SEPARATOR}{{1,3}}[0-9]{{8}}(?![0-9])))"
)
#: a random value of the gateway or of ours
_RANDOM = re.compile("(?<![0-9A-Za-z])(?=[0-9]*[a-f])[0-9a-f]{32}(?![0-9A-Za-z])")
_RANDOM_LENGTH, _SHORTEST = 32, 14
#: a group so long is a phone, slip or JAN number beside something else
_NUMBER_OF_ITS_OWN = 10
#: digit -> its share in the Luhn sum when it is doubled
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_ZERO = ord("0")


def contains_card_number(text: str) -> bool:
    """Whether a card number stands anywhere in `text`."""
    return next(_spans(text), None) is not None


def card_number_among(cells: Iterable[str]) -> bool:
    """Whether one stands in a cell of a row: one check of all, for it costs less than one of each."""
    return contains_card_number("|".join(cells))  # the sign stands inside no number


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
    text = _with_ascii_digits(text)
    return (span for span in _looking_so(text) if not _is_in_random_value(text, *span))


def _is_in_random_value(text: str, start: int, stop: int) -> bool:
    first = max(0, start - (_RANDOM_LENGTH - _SHORTEST))
    values = (_RANDOM.match(text, at) for at in range(first, start + 1))
    return any(value is not None and stop <= value.end() for value in values)


def _looking_so(text: str) -> Iterator[tuple[int, int]]:
    for run in _RUN.finditer(text):
        start, stop = run.span()
        if stop - start <= _LONGEST_RUN and _is_alone(run[0]):
            yield start, stop
            continue
        for found in _PRINTED_START.finditer(text, start, stop):
            if found.start() >= start and (end := _printed_end(text, found)):
                yield found.start(), end
                start = end


def _with_ascii_digits(text: str) -> str:
    """`text`, as long as it was, with 0-9 for every sign that stands for one of them."""
    if text.isascii():
        return text
    others = set(_OTHER_DIGIT.findall(text))
    if not others:
        return text
    return text.translate({ord(sign): str(unicodedata.decimal(sign)) for sign in others})


def _is_alone(run: str) -> bool:
    """A run that is a card number as a whole, in any grouping that is likelier one than not."""
    groups = _GROUP.findall(run)
    digits = "".join(groups)
    if len(digits) > _LONGEST or not _is_card_number(digits):
        return False
    sizes = tuple(map(len, groups))
    in_fours = all(size == 4 for size in sizes[:-1]) and sizes[-1] <= 4
    is_odd = len(digits) in _COMMON and max(sizes) < _NUMBER_OF_ITS_OWN
    return len(sizes) == 1 or in_fours or sizes in _PRINTED or is_odd


def _printed_end(text: str, found: re.Match[str]) -> int:
    """Where the number ends that begins at `found`; 0 when its digits are no card's."""
    ends = (found.end(name) for name in ("block", "fours", "rest", "six", "two"))
    for end in ends:
        if end > 0 and _is_card_number("".join(_GROUP.findall(text, found.start(), end))):
            return end
    return 0


def _is_card_number(digits: str) -> bool:
    """Prefix and length of a brand, and the check digit of ISO/IEC 7812-1 (Luhn)."""
    if not _BRAND.fullmatch(digits) or _MOMENT.fullmatch(digits):
        return False
    values = digits.encode()[::-1]
    plain, doubled = values[::2], values[1::2].translate(_DOUBLED)
    return (sum(plain) - _ZERO * len(plain) + sum(doubled)) % 10 == 0
