"""Lines of text to records under a known heading (RFC 4180 with a required header)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sgpshop.services.order_files.reading.columns import COLUMNS, FileColumn, heading_key
from sgpshop.services.order_files.reading.decoding import FileRefused, Limits, text_lines

#: No file of ours or of a cart has nearly so many columns; its separators are lost.
_MOST_COLUMNS = 300


@dataclass(frozen=True)
class Record:
    """One row: the number of its first line in the file, and its cells as they stand there."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Heading:
    """Which cells belong to which known column, in the order in which they are asked."""

    width: int
    places: dict[FileColumn, tuple[int, ...]]

    def __contains__(self, field: str) -> bool:
        return any(column.field == field for column in self.places)


def read_records(stream: BinaryIO, limits: Limits) -> tuple[Heading, Iterator[Record]]:
    """The heading and the rows of a CSV file; blank rows are passed over.

    Raises FileRefused, also while iterating, for a file that is not readable CSV.
    """
    rows = read_rows(stream, limits)
    first = next(rows, None)
    if first is None:
        raise FileRefused("ファイルが空です。1行目に項目名、2行目から注文を入れてください。")
    return _heading(first.cells), rows


def read_rows(stream: BinaryIO, limits: Limits, delimiter: str = ",") -> Iterator[Record]:
    """The rows of any CSV file, its heading first.  Raises FileRefused while iterating.

    Too long a cell is cut one character behind the limit: enough to tell that it is too long.
    """
    longest = limits.max_cell
    reader = csv.reader(text_lines(stream, limits), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise FileRefused(_broken_quotes(line)) from None
        if _swallowed_lines(cells, longest):
            raise FileRefused(_broken_quotes(line))
        if len(cells) > _MOST_COLUMNS:
            raise FileRefused(
                f"{line}行目に{len(cells):,}列あります。{_MOST_COLUMNS}列までです。"
                "列を区切る文字と、ファイルの種類を確認してください。"
            )
        if any(cells):
            yield Record(line, cells if longest is None else [c[: longest + 1] for c in cells])


def _swallowed_lines(cells: list[str], max_cell: int | None) -> bool:
    """Whether an unclosed quote ran over following lines: too long a cell, with line breaks."""
    return max_cell is not None and any(len(c) > max_cell and "\n" in c for c in cells)


def _broken_quotes(line: int) -> str:
    return (
        f'{line}行目から始まるデータの引用符(")が閉じられていないか、正しく使われていません。'
        '引用符を含む値は全体を"で囲み、中の"は""と書いてください。'
    )


def _heading(cells: list[str]) -> Heading:
    keys = [heading_key(cell) for cell in cells]
    times = Counter(keys)
    twice = sorted({cells[i].strip() for i, key in enumerate(keys) if key and times[key] > 1})
    if twice:
        raise FileRefused(f"1行目に同じ項目名が2回あります: {_listed(twice)}")
    places = {
        column: tuple(keys.index(key) for key in column.heading_keys if key in keys)
        for column in COLUMNS
    }
    missing = [column.title for column in COLUMNS if column.required and not places[column]]
    if missing:
        raise FileRefused(
            f"1行目に必要な項目名がありません: {_listed(missing)}。"
            "1行目には項目名(注文番号、注文日時など)を入れてください。"
        )
    return Heading(len(cells), {column: found for column, found in places.items() if found})


def _listed(names: list[str]) -> str:
    shown = "、".join(name[:30] for name in names[:7])
    return shown + (" ほか" if len(names) > 7 else "")
