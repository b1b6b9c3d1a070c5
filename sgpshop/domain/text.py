"""Text as people type it: one form for searching, plain checks for storing (S25)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_NOT_DIGITS = re.compile(r"\D+")
#: Bidirectional overrides, zero-width characters and the byte order mark.
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")

#: So many marks over one letter are more than any language has (Unicode's Stream-Safe Text, UAX 15).
_MOST_MARKS = 30
#: Shorter texts are normalized in no time, whatever is in them.
_SHORT = 200
#: Letters by their class that become marks when they are taken apart.
_HIDDEN_MARKS = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")


def nfkc(text: str) -> str:
    """`text` with full-width and other forms made plain (Unicode NFKC).

    Python sorts the marks over one letter by moving each past the others, so a hundred thousand of
    them burn seconds: all but the first 30 in a row are left out.
    """
    if text.isascii():
        return text
    if len(text) > _SHORT:
        text = "".join(_without_heaps(text))
    return unicodedata.normalize("NFKC", text)


def _without_heaps(text: str) -> Iterator[str]:
    marks = 0
    for sign in text:
        marks = marks + 1 if unicodedata.combining(sign) or sign in _HIDDEN_MARKS else 0
        if marks <= _MOST_MARKS:
            yield sign


def search_key(*parts: str | None) -> str:
    """`parts` in one form for searching: width, case, kana kind and spaces make no difference.

    Written beside the stored text and applied to what a person types; never used for identifiers
    or shown (S25).  The parts stay apart by a line break, so no hit runs over two of them.
    """
    return "\n".join(filter(None, (_folded(part) for part in parts if part)))


def _folded(text: str) -> str:
    text = INVISIBLE.sub("", nfkc(text))
    return "".join(text.lower().translate(_KATAKANA_TO_HIRAGANA).split())


def digits_only(text: str | None) -> str:
    """The digits of a phone number or the like, full-width ones made half-width."""
    return _NOT_DIGITS.sub("", nfkc(text or ""))


def is_name(text: str, longest: int) -> bool:
    """Whether `text` can be the name of somebody or something: seen as it is, and not empty (S25)."""
    return (
        1 <= len(text) <= longest
        and text == text.strip()
        and not has_control_characters(text)
        and not INVISIBLE.search(text)
    )


def has_control_characters(text: str, *, lines: bool = False) -> bool:
    """Whether `text` holds characters no field may hold (S25); `lines` allows line breaks, tabs."""
    allowed = "\n\r\t" if lines else ""
    return any(unicodedata.category(c) in ("Cc", "Cs") and c not in allowed for c in text)
