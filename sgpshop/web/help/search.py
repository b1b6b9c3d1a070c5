"""Searching within help: its own pages, read as paragraphs, so that nothing has to be written twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from sgpshop.domain.text import asked_keys, search_key

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
    """The pieces that hold all words typed, however they are written; headings that do come first."""
    keys = [key for key in asked_keys(word) if key]
    if not keys:
        return []

    def is_in(*texts: str) -> bool:
        all_of_it = search_key(*texts)
        return all(key in all_of_it for key in keys)

    found = [one for one in pieces if is_in(one.section, one.heading, one.also, one.text)]
    if not found and "の" in word:  # 月次の締め: the two words of it, wherever they stand
        return holding(word.replace("の", " "), pieces)
    return sorted(found, key=lambda one: not is_in(one.section, one.heading, one.also))
