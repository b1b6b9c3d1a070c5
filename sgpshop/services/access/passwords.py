"""Passwords of people: what is refused, and how they are kept (S1)."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sgpshop.domain.errors import ShopError
from sgpshop.domain.text import has_control_characters, search_key
from sgpshop.services.access.rate_limits import TooOften

SHORTEST, LONGEST = 12, 128

_COMMON_FILE = Path(__file__).with_name("common_passwords.txt")
_OWN_NAMES = ("sgpshop", "smbcgp", "smbc", "gmopayment", "sgp")
_LETTERS = re.compile(r"[^\W\d_]+")
_TRAILING = re.compile(r"[\W\d_]+$")
_LOOK_ALIKES = str.maketrans("@$013457", "asoleast")
#: "abcabcabcabc", "12341234…": one short unit again and again, perhaps cut at the end
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}(.{0,3})")
_FEWEST_DIFFERENT = 5

#: At 32 MiB each; two at once, so that a flood of sign-ins cannot take all memory and cores.
_hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
_turn = threading.BoundedSemaphore(2)
#: With those who wait for a turn.  Each holds a thread of the web process: one too many comes again.
MOST_AT_ONCE = 6
_places = threading.BoundedSemaphore(MOST_AT_ONCE)
_COME_AGAIN = 5
#: Of a random text nobody knows: an unknown name costs as much time as a wrong password (S2).
NOBODY = (
    "$argon2id$v=19$m=32768,t=3,p=1$EKRDDlZq7fQBXKfuStPj5A$"
    "FCbSAez/VYNMB3IdBEY8/cCafWClUJNbg7hGntEJL84"
)


class PasswordRefused(ShopError):
    """The password cannot be used; the sentence says why (S1)."""


@contextmanager
def one_of_few() -> Iterator[None]:
    """Around everything that makes or compares a hash, before anything is counted or written (P23).

    Raises TooOften at once when MOST_AT_ONCE are at it.
    """
    if not _places.acquire(blocking=False):
        raise TooOften("ログインなどの操作が集中しています。", _COME_AGAIN)
    try:
        yield
    finally:
        _places.release()


def check(password: str, name: str) -> None:
    """Raise PasswordRefused unless `password` is good enough for the person `name` (S1)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"パスワードは{SHORTEST}文字以上{LONGEST}文字以内にしてください。")
    if has_control_characters(password):
        raise PasswordRefused("パスワードに改行などの制御文字は使えません。")
    if _is_common(search_key(password), search_key(name)):
        raise PasswordRefused(
            "推測されやすいパスワードです。よく使われる言葉や並び、名前、商品名を避けてください。"
        )


def make_hash(password: str) -> str:
    """The text to keep for `password`."""
    with _turn:
        return _hasher.hash(password)


def matches(password: str, stored_hash: str | None) -> bool:
    """Whether `kept` was made from `password`; None, for nobody, takes as long and is False."""
    try:
        with _turn:
            return _hasher.verify(stored_hash or NOBODY, password) and stored_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored_hash: str) -> bool:
    """Whether `kept` was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored_hash)


@cache
def _common() -> frozenset[str]:
    lines = _COMMON_FILE.read_text(encoding="utf-8").split()
    return frozenset(search_key(line) for line in lines)


def _is_common(text: str, name: str) -> bool:
    if len(set(text)) < _FEWEST_DIFFERENT or _REPEATED.fullmatch(text) or _is_series(text):
        return True
    plain = _TRAILING.sub("", text).translate(_LOOK_ALIKES)
    return any(_is_one_common_word(form, name) for form in (text, plain))


def _is_series(text: str) -> bool:
    """«123456789012», «9876…», «abcdef…»: each character is the neighbour of the one before."""
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}


def _is_one_common_word(text: str, name: str) -> bool:
    """Whether nothing but one common word, names everybody knows, digits and signs is in `text`."""
    known = _common()
    if text in known:
        return True
    own_names = (*_OWN_NAMES, name) if len(name) > 2 else _OWN_NAMES
    rest = text
    for own_name in own_names:
        rest = rest.replace(own_name, " ")
    words = {_unit(word) for word in _LETTERS.findall(rest)}
    return words <= known and (len(words) == 1 or (not words and rest != text))


def _unit(word: str) -> str:
    """`word`, or what it repeats: «sakurasakura» -> «sakura»."""
    again = (word + word).find(word, 1)
    return word[:again]
