"""Searching within help: its own pages, read as paragraphs, so that nothing has to be written twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from sgpshop.domain.text import asked_keys, nfkc, search_key

#: What is a paragraph by itself; a dd belongs to the dt before it.
_PARAGRAPHS = frozenset({"p", "li", "dd"})
_HEADINGS = frozenset({"h2", "h3", "dt"})


@dataclass
class Paragraph:
    """One piece of help: the heading over it, its words, the anchor nearest to it."""

    page: str
    section: str
    heading: str
    anchor: str
    #: words that people say instead, from data-also of the heading: one paragraph answers to them
    also: str
    text: str

    @property
    def href(self) -> str:
        """Where it stands."""
        return f"{self.page}#{self.anchor}"


@dataclass
class _Reader(HTMLParser):
    """Takes the paragraphs out of a page of help."""

    page: str
    found: list[Paragraph] = field(default_factory=list)
    _section: str = ""
    _heading: str = ""
    _anchor: str = ""
    _also: str = ""
    #: the tag whose words are being read, and the words
    _reading: str = ""
    _words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._also = given.get("data-also") or self._also
        if tag in _HEADINGS | {"section"}:
            self._anchor = given.get("id") or self._anchor
        if tag in _HEADINGS | _PARAGRAPHS and tag != self._reading:
            self._reading, self._words = tag, []

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag != self._reading:
            return
        words = " ".join("".join(self._words).split())
        self._reading = ""
        if tag in _HEADINGS:
            self._heading = words
            if tag == "h2":
                self._section = words
        elif words:
            heading = "" if self._heading == self._section else self._heading
            place = (self.page, self._section, heading, self._anchor)
            self.found.append(Paragraph(*place, self._also, words))
            self._also = ""


def paragraphs(page: str, html: str) -> list[Paragraph]:
    """The pieces of the page of help at the address `page`, in its order."""
    reader = _Reader(page)
    reader.feed(html)
    return reader.found


def holding(word: str, pieces: Sequence[Paragraph]) -> list[Paragraph]:
    """The pieces that tell of what was typed, however it is written; headings that hold it come first.

    All words between blanks; where no piece holds those, the words a sentence is about (月次の締め方),
    and where none holds all of these, the pieces that hold most of them, at least half.
    """
    keys = [key for key in asked_keys(word) if key]
    found = _holding(keys, len(keys), pieces)
    if not found:
        keys = _words(_RUN, word)
        found = _holding(keys, len(keys), pieces)
    if not found:
        keys = _words(_HALF, word)
        for wanted in range(len(keys), len(keys) // 2, -1):
            found = found or _holding(keys, wanted, pieces)
    return found


#: Japanese has no blanks: a word begins where the kind of sign changes, and hiragana between are particles
#: and endings.  A long word of kanji is mostly made of words of two (月末処理).
_OTHERS = "|[ァ-ヴー]{2,}|[0-9a-z-]{2,}"
_RUN = re.compile("[一-龥々]+" + _OTHERS)
_HALF = re.compile("[一-龥々]{2}(?=[一-龥々]{2})|[一-龥々]+" + _OTHERS)
#: they ask, and say nothing of what is asked
_ASKING = frozenset({"方", "方法", "手順", "場合", "時", "何", "教", "知", "仕方", "意味"})


def _words(kind: re.Pattern[str], typed: str) -> list[str]:
    found = dict.fromkeys(kind.findall(nfkc(typed).lower()))
    return [search_key(one) for one in found if one not in _ASKING]


def _holding(keys: Sequence[str], wanted: int, pieces: Sequence[Paragraph]) -> list[Paragraph]:
    """The pieces that hold at least so many of the keys."""

    def is_in(*texts: str) -> bool:
        all_of_it = search_key(*texts)
        return sum(key in all_of_it for key in keys) >= wanted > 0

    found = [one for one in pieces if is_in(one.section, one.heading, one.also, one.text)]
    return sorted(found, key=lambda one: not is_in(one.section, one.heading, one.also))
