"""Words that rows are made of, read by a program that may not know all of them.

A row can hold a word of a later version (an upgrade is under way and this process is still the old
one) or of an earlier one (a reason that no longer exists).  It must not take a page down.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Self, TypeVar

_W = TypeVar("_W", bound=StrEnum)

#: Label and sentence of a reason that nobody knows here.
_UNKNOWN_REASON = (
    "理由不明",
    "ほかの版のプログラムが記録した理由です。注文の詳細で現在の状態を確認してください。",
)


class Labelled(StrEnum):
    """Words that are shown: each member is its value and its Japanese label."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        """A member as the class body writes it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class Reason(Labelled):
    """Why something is not done: a word that is stored, a short label, and a sentence about it."""

    sentence: str

    def __new__(cls, value: str, label: str = "", sentence: str = "") -> Self:
        """A member as the class body writes it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label, member.sentence = label, sentence
        return member

    @property
    def parts(self) -> tuple[str, str, str]:
        """What a member of another act is written as that says the same."""
        return self.value, self.label, self.sentence


#: Label and sentence of reasons that rows of earlier versions still name.
_RETIRED = {"preorder": ("予約商品", "予約商品は、当時の一括処理では実売上処理できませんでした。")}


def read(enum: type[_W], text: str) -> _W:
    """The member of `enum` for `text`; for a word nobody knows here, one that equals no member."""
    known: _W | None = enum._value2member_map_.get(text)  # type: ignore[assignment] # asked of every row
    return _stranger(enum, text) if known is None else known


def is_known(word: StrEnum) -> bool:
    """Whether `word` is one of this program's."""
    return word.name in type(word).__members__


def unknown(word: str) -> str:
    """The label of a word that nobody knows here."""
    return f"不明({word})"


@cache
def _stranger(enum: type[_W], text: str) -> _W:
    member = str.__new__(enum, text)
    member._name_ = f"?{text}"
    member._value_ = text
    if isinstance(member, Labelled):
        member.label = unknown(member)
    if isinstance(member, Reason):
        member.label, member.sentence = _RETIRED.get(text, _UNKNOWN_REASON)
    return member
