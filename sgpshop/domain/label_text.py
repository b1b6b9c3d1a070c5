"""Addresses, phone numbers and wishes as carriers' programs take them: in fields of fixed length."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sgpshop.domain.csv_writing import csv_guarded
from sgpshop.domain.text import nfkc

#: How long a text is in a field: characters, or bytes of CP932.
Measure = Callable[[str], int]


def in_bytes(text: str) -> int:
    """Bytes of CP932, where a full-width character takes two."""
    return len(text.encode("cp932", "replace"))


class Address(NamedTuple):
    """The parts at which an address may be broken; joined they are the address."""

    prefecture: str
    #: 市区町村
    city: str
    #: 町名・番地
    street: str
    #: 建物名・部屋番号
    building: str


_PREFECTURE = re.compile("東京都|北海道|(?:京都|大阪)府|[^都道府県]{2,3}県")
#: Cities whose names hold a sign of another kind of place.
_ODD_CITIES = (
    "市川市|市原市|四日市市|廿日市市|八日市場市|野々市市|余市郡余市町|高市郡[^町村]{1,4}[町村]|"
    "町田市|大町市|十日町市|杵島郡大町町|佐波郡玉村町|村山市|村上市|田村市|羽村市|大村市|"
    "東村山市|武蔵村山市|郡山市|郡上市|大和郡山市|小郡市|蒲郡市"
)
_CITY = re.compile(
    f"{_ODD_CITIES}|[^市区町村]{{1,5}}郡[^町村]{{1,6}}[町村]|[^市区町村郡]{{1,6}}市[^市町村区0-9]{{1,4}}区"
    "|[^市区町村]{1,7}[市区町村]"
)
_DIGIT, _JOINT = "0-9０-９", "-－−‐―ーの"
#: Up to the end of the first house number: 三の丸３－１－１, 千代田1丁目2番3号.
_HOUSE = re.compile(
    f"[^{_DIGIT}]*[{_DIGIT}]+(?:(?:丁目|番地|番町|番|号(?![棟室館])|[{_JOINT}])+[{_DIGIT}]*)*"
)


def divided(prefecture: str, address: str) -> Address:
    """An address at its usual breaks; where none is found everything stays in the street."""
    rest = address.strip()
    if not prefecture and (found := _PREFECTURE.match(rest)):
        prefecture, rest = found[0], rest[found.end() :]
    rest = rest.removeprefix(prefecture).strip()
    city = found[0] if (found := _CITY.match(rest)) else ""
    rest = rest[len(city) :].strip()
    house = found.end() if (found := _HOUSE.match(rest)) else len(rest)
    return Address(prefecture, city, rest[:house].strip(), rest[house:].strip())


def spread(parts: Sequence[str], limits: Sequence[int], measure: Measure) -> list[str] | None:
    """`parts`, one to a field if they fit so, else one after the other; None: they do not fit at all.

    No field begins with what gets an apostrophe in a file (S18), like the hyphen of 1-2, unless one must.
    """
    if all(measure(part) <= limit for part, limit in zip(parts, limits, strict=True)):
        return list(parts)
    text = "".join(parts)
    return _one_after_the_other(text, limits, measure, _between_words) or _one_after_the_other(
        text, limits, measure, lambda _text, end: end
    )


def _one_after_the_other(
    left: str, limits: Sequence[int], measure: Measure, broken: Callable[[str, int], int]
) -> list[str] | None:
    fields = []
    for limit in limits:
        end = broken(left, cut(left, limit, measure))
        fields.append(left[:end])
        left = left[end:]
    return None if left else fields


def _between_words(text: str, end: int) -> int:
    """Where to break at `end` or before it, so that what follows needs no apostrophe."""
    while end > 1 and csv_guarded(text[end:]) != text[end:]:
        end -= 1
    return end


def cut(text: str, limit: int, measure: Measure) -> int:
    """How many characters of `text` fit."""
    end = min(len(text), limit)
    while measure(text[:end]) > limit:
        end -= 1
    return end


def phone(text: str) -> str:
    """A phone number in half-width signs, as it is dialled in Japan."""
    return re.sub(r"^\+81[-( ]*0?", "0", nfkc(text).strip().translate(_DASHES))


def postal_code(text: str) -> str:
    """〒 as 100-0001; what is none stays as it is."""
    plain = nfkc(text).strip().translate(_DASHES).removeprefix("〒")
    digits = plain.replace("-", "")
    is_one = len(digits) == 7 and digits.isascii() and digits.isdigit()
    return f"{digits[:3]}-{digits[3:]}" if is_one else plain


_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−ー"), "-")
_HOURS = re.compile(r"(\d{1,2})(?::00|時)?(?:-|~|から)(\d{1,2})(?::00|時)?")
_DIGITS = re.compile(r"(\d{2})(\d{2})")


def hours(text: str) -> tuple[int, int] | None:
    """A wish like 午前中, 14時～16時, 14:00-16:00 or 1416 as hours; (0, 0): none; None: not known."""
    plain = "".join(nfkc(text).translate(_DASHES).replace("〜", "~").split())
    if not plain or plain in ("-", "--", "//", "指定なし", "設定なし", "希望なし", "最短"):
        return (0, 0)
    if plain.startswith("午前") or plain.upper() == "AM":
        return (8, 12)
    found = _HOURS.search(plain) or _DIGITS.fullmatch(plain)
    return (int(found[1]), int(found[2])) if found else None
