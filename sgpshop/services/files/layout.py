"""What another program's file looks like, as data: which headings give it away, what they mean here.

One module in `layouts/` is one program's layouts, or those of a kind that their headings tell; they are
found there by themselves (no list to keep), and a sample beside the tests proves one.  To add one:

    LAYOUT = Layout(
        id="b15",                                  # of the catalogue of layouts
        program="ネクストエンジン 出荷確定",            # as a person knows it; shown, and in 「どのファイルが使えるか」
        purpose=Purpose.SLIPS,                     # which import reads it
        signature=("受注番号", "発送伝票番号"),        # headings that must all be there …
        without=("GoQ管理番号",),                    # … and those of a similar file that must not be
        columns={                                  # our field -> where it stands there
            "order_no": "受注番号",                  # one heading; what is not there is simply not said
            "slip_no": first("発送伝票番号", "伝票番号"),   # the first cell that is not empty
            "name": join("姓", "名", by=" "),         # all that are not empty, joined
            "carriage": add("送料", "クール便手数料"),    # yen added up
            "status": say("ステータス", {"900": "0"}),  # their word -> ours; unlisted ones go through
            "order_state": when("対応状況", "取消", then="0"),  # only if one of the words is in the cell
            "carrier_code": always("003"),          # what the layout itself says
        },
        export="受注一覧 → CSVダウンロード",             # how to get the right file from that program
        refusal="",                                # why no such file can be taken, if so: told, nothing read
    )

Headings are compared by `heading_key` (width, case, blanks, a leading `*` make no difference), so write
them as people see them.  The most special layout wins: the one with the most headings in its signature.
What headings alone cannot say (rows that are fees, files without headings) is a function of the layout:
`rows` gets the rows of one order and gives the rows that are meant; `shape` says whether cells of a
row without headings are this layout's, by position in `positions`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, cached_property
from itertools import chain, islice

from sgpshop.domain.amounts import yen_in
from sgpshop.domain.errors import ShopError
from sgpshop.domain.row_files import FileRefused, Record, heading_key

#: The row of headings is among so many first ones: titles, dates and explanations may stand above it.
FIRST_ROWS = 10

#: fields of one row -> the text that stands there
Fields = dict[str, str]


@dataclass
class Row:
    """One row of the file: its line, and what it says by field."""

    line: int
    texts: Fields


class RowsRefused(ShopError):
    """What the rows of one order say cannot be taken; the others can."""


class Purpose(StrEnum):
    """Which import a file is for."""

    ORDERS = "orders"
    #: the second half of an order file: rows of items, joined by order number
    ITEMS = "items"
    SLIPS = "slips"
    CONSOLE = "console"
    #: for none: it was written for another program, or to be read by people
    NONE = "none"


#: What a file of another import is, and where it belongs.
BELONGS = {
    Purpose.ORDERS: "注文のファイルです。「注文ファイル取込」で選んでください。",
    Purpose.ITEMS: "注文の商品のファイルです。「注文ファイル取込」で、注文のファイルと一緒に選んでください。",
    Purpose.SLIPS: (
        "伝票番号のファイルです。"
        "「伝票番号一括ステータス変更機能」の「ファイル・貼り付け」で選んでください。"
    ),
    Purpose.CONSOLE: "SMBC-GPの取引の一覧です。「取引一覧と突き合わせ」で選んでください。",
}


@dataclass(frozen=True)
class Source:
    """Where a field stands: headings, and what becomes of several cells."""

    headings: tuple[str, ...]
    combine: Callable[[list[str]], str]
    words: Mapping[str, str] = field(default_factory=dict)
    #: of a field that no heading gives
    constant: str = ""


def _first(texts: list[str]) -> str:
    return texts[0]


def first(*headings: str) -> Source:
    """The first cell that is not empty."""
    return Source(headings, _first)


def join(*headings: str, by: str = "") -> Source:
    """All cells that are not empty, joined."""
    return Source(headings, by.join)


def add(*headings: str) -> Source:
    """Cells in yen, added up; words that are no amount are left for the import to refuse."""

    def total(texts: list[str]) -> str:
        amounts = [yen_in(text) for text in texts]
        wrong = (text for text, yen in zip(texts, amounts, strict=True) if yen is None)
        return next(wrong, "") or str(sum(filter(None, amounts)))

    return Source(headings, total)


def say(heading: str, words: Mapping[str, str]) -> Source:
    """Their word as ours; a word that is not listed goes through as it is."""
    return Source((heading,), lambda texts: texts[0], words)


def when(heading: str, *words: str, then: str) -> Source:
    """`then` if one of `words` is in the cell (any filled cell, without words); else it says nothing."""
    return Source(
        (heading,),
        lambda texts: then if not words or any(word in texts[0] for word in words) else "",
    )


def always(text: str) -> Source:
    """What every row of such a file means."""
    return Source((), lambda texts: "", constant=text)


@dataclass(frozen=True)
class Layout:
    """One kind of file; see the head of this module."""

    id: str
    program: str
    purpose: Purpose
    signature: tuple[str, ...]
    columns: Mapping[str, str | Source]
    without: tuple[str, ...] = ()
    export: str = ""
    refusal: str = ""
    #: the rows of one order to the rows that are meant; raises RowsRefused
    rows: Callable[[list[Row]], list[Row]] | None = None
    #: fields that `rows` brings though no heading gives them
    adds: tuple[str, ...] = ()
    #: of a parcel: taken only where it has no 伝票番号 here, and never a reason to keep its order out
    fills: tuple[str, ...] = ()
    #: the layout of the file that has the items of these orders, joined by order number
    partner: str = ""
    #: whether the cells of a row without headings are of this layout, and what stands where (from 0)
    shape: Callable[[Sequence[str]], bool] | None = None
    positions: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)

    def fits(self, keys: frozenset[str]) -> bool:
        """Whether a row of headings, as `heading_key`s, is of this layout."""
        return all(heading_key(name) in keys for name in self.signature) and not any(
            heading_key(name) in keys for name in self.without
        )

    def sources(self) -> dict[str, Source]:
        """Every field with where it stands."""
        return {
            name: first(source) if isinstance(source, str) else source
            for name, source in self.columns.items()
        }


def unread(
    id_: str,
    program: str,
    *signature: str,
    refusal: str,
    without: tuple[str, ...] = (),
    shape: Callable[[Sequence[str]], bool] | None = None,
) -> Layout:
    """A file that no import reads; `refusal` says what it is for."""
    return Layout(
        id=id_,
        program=program,
        purpose=Purpose.NONE,
        signature=signature,
        without=without,
        columns={},
        refusal=refusal,
        shape=shape,
    )


@dataclass(frozen=True)
class Table:
    """A file of rows whose layout is known: its headings, and its rows to be read once."""

    layout: Layout
    #: as they stand there; the layout's own words where the file has none
    headings: list[str]
    rows: Iterator[Record]
    has_headings: bool = True
    _places: dict[str, tuple[Source, tuple[int, ...]]] = field(default_factory=dict)

    @property
    def fields(self) -> set[str]:
        """The fields that this file speaks of."""
        return set(self._places)

    def places(self, name: str) -> tuple[int, ...]:
        """Which cells a field is taken from."""
        return self._places[name][1] if name in self._places else ()

    def only(self, *names: str) -> Table:
        """The same table, read for these fields alone."""
        return replace(self, _places={n: self._places[n] for n in names if n in self._places})

    def moved(self, by: int) -> dict[str, tuple[Source, tuple[int, ...]]]:
        """Where fields are taken from, if so many other columns stood before."""
        return {
            name: (source, tuple(place + by for place in places))
            for name, (source, places) in self._places.items()
        }

    @cached_property
    def _cells(self) -> tuple[list[tuple[str, int]], list[tuple[str, Source, tuple[int, ...]]]]:
        """Fields that are one cell as it stands there, as most are, and the others."""
        plain, others = [], []
        for name, (source, places) in self._places.items():
            is_plain = source.combine is _first and not source.words and not source.constant
            if is_plain and len(places) == 1:
                plain.append((name, places[0]))
            else:
                others.append((name, source, places))
        return plain, others

    @property
    def unread(self) -> list[str]:
        """Headings that nothing is taken from, as they stand there."""
        read = {place for _, places in self._places.values() for place in places}
        return [name for n, name in enumerate(self.headings) if name.strip() and n not in read]

    def texts(self, record: Record, clean: Callable[[str], str] = str.strip) -> Fields:
        """What one row says: every field of the file, "" where its cells are empty."""
        cells, width = record.cells, len(record.cells)
        plain, others = self._cells
        found = {name: clean(cells[n]) if n < width else "" for name, n in plain}
        for name, source, places in others:
            texts = [text for n in places if n < width and (text := clean(cells[n]))]
            text = source.combine(texts) if texts else source.constant
            found[name] = source.words.get(text, text) if source.words else text
        return found


@cache
def layouts(*purposes: Purpose) -> tuple[Layout, ...]:
    """All layouts for these purposes, the most special first."""
    room = importlib.import_module("sgpshop.services.files.layouts")
    found: list[Layout] = []
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        found += _of(importlib.import_module(module.name))
    wanted = [layout for layout in found if not purposes or layout.purpose in purposes]
    return tuple(sorted(wanted, key=lambda layout: (-len(layout.signature), layout.id)))


def _of(module: object) -> list[Layout]:
    return [value for value in vars(module).values() if isinstance(value, Layout)]


def recognise(
    records: Iterator[Record],
    known: Iterable[Layout],
    otherwise: Layout | None = None,
    telling: Sequence[str] = (),
) -> Table:
    """The table that these rows are, by the first row that has the headings of a known layout.

    `otherwise` is the layout of files of no known one: its columns are then looked for in the row with
    the most of their headings.  A file of another import is refused with where it belongs, unless
    `otherwise` finds all `telling` fields in it.  Raises FileRefused also for an empty file, and for a
    file that is known but cannot be taken, with its reason.
    """
    start = list(islice(records, FIRST_ROWS))
    if not start:
        raise FileRefused("ファイルが空です。1行目に項目名、2行目からデータを入れてください。")
    known = list(known)
    if found := _known(start, known):
        layout, n = found
        if layout.refusal:
            raise FileRefused(f"「{layout.program}」のファイルです。{layout.refusal}")
        if n is None:
            return _without_headings(layout, start[0], chain(start, records))
        return _table(layout, start[n], chain(start[n + 1 :], records))
    table, told = None, False
    if otherwise is not None:
        wanted = {heading_key(name) for s in otherwise.sources().values() for name in s.headings}
        hits = [
            (len(wanted.intersection(map(heading_key, record.cells))), sum(map(bool, record.cells)))
            for record in start
        ]
        n = hits.index(max(hits))  # where no word is known, titles above have fewer cells
        table = _table(otherwise, start[n], chain(start[n + 1 :], records))
        told = bool(telling) and all(table.places(name) for name in telling)
    if not told:
        refuse_others(start, known)
    if table is None:
        raise FileRefused("見出しの行から、どのプログラムのファイルか分かりませんでした。")
    return table


def refuse_others(start: Sequence[Record], known: Sequence[Layout]) -> None:
    """Raise FileRefused where these first rows are of a layout that is not among the `known` ones."""
    if found := _known(start, [one for one in layouts() if one not in known]):
        layout = found[0]
        belongs = layout.refusal or BELONGS[layout.purpose]
        raise FileRefused(
            f"「{layout.program}」のファイルのため、ここでは読み取れません。{belongs}"
        )


def _known(start: Sequence[Record], known: Sequence[Layout]) -> tuple[Layout, int | None] | None:
    """The layout of these first rows, and which is the row of its headings; None: it has none."""
    for n, record in enumerate(start):
        keys = frozenset(map(heading_key, record.cells))
        for layout in known:
            if layout.signature and layout.fits(keys):
                return layout, n
    by_shape = (one for one in known if one.shape and one.shape(start[0].cells))
    return next(((layout, None) for layout in by_shape), None)


def _table(layout: Layout, heading: Record, rows: Iterator[Record]) -> Table:
    keys = [heading_key(cell) for cell in heading.cells]
    at = {key: n for n, key in reversed(list(enumerate(keys))) if key}  # of two the first counts
    places = {}
    for name, source in layout.sources().items():
        found = tuple(at[key] for key in map(heading_key, source.headings) if key in at)
        if found or source.constant:
            places[name] = (source, found)
    return Table(layout, list(heading.cells), rows, _places=places)


def _without_headings(layout: Layout, row: Record, rows: Iterator[Record]) -> Table:
    sources = layout.sources()
    places: dict[str, tuple[Source, tuple[int, ...]]] = {
        name: (source, ()) for name, source in sources.items() if source.constant
    }
    headings = [""] * len(row.cells)
    for name, there in layout.positions.items():
        cells = (there,) if isinstance(there, int) else there
        places[name] = (sources.get(name, first()), cells)
        headings[cells[0]] = name
    return Table(layout, headings, _all_alike(layout, rows), has_headings=False, _places=places)


def _all_alike(layout: Layout, rows: Iterator[Record]) -> Iterator[Record]:
    """The rows, as long as every one has the shape by which the first was known."""
    for row in rows:
        if layout.shape is not None and not layout.shape(row.cells):
            raise FileRefused(
                f"見出しがないため「{layout.program}」として読みましたが、{row.line}行目の形が違います。"
                f"見出しの行を付けて出力してください。{layout.export}"
            )
        yield row
