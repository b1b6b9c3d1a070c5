"""The heading, and one record to the values it stands for, every problem named by its column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sgpshop.domain.card_data import contains_card_number
from sgpshop.domain.csv_reading import FileRefused, Limits, Record, heading_key
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files.reading.cells import CellProblem, clean
from sgpshop.services.order_files.reading.columns import COLUMNS, ORDER_NO, FileColumn, Part

#: Joins cells for one check of all; neither a digit nor something that stands inside a number.
_BETWEEN_CELLS = "|"
#: AccessID and AccessPass as the gateway makes them (protocol.md §2.1): longer than any card number.
_RANDOM = re.compile(r"[0-9A-Za-z]{32}")


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


@dataclass
class FileRow:
    """The values of one record by field, for the columns the file has."""

    line: int
    #: by which rows are grouped: as it stands there, perhaps not a valid number
    order_no: str
    order: dict[str, Any] = field(default_factory=dict)
    delivery: dict[str, Any] = field(default_factory=dict)
    item: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def has_valid_number(self) -> bool:
        """Whether the order number is one (only then may it be shown and stored)."""
        return "order_no" in self.order

    def values(self, part: Part) -> dict[str, Any]:
        """The values that describe `part`."""
        if part is Part.ORDER:
            return self.order
        return self.item if part is Part.ITEM else self.delivery


def number_in(heading: Heading, record: Record) -> str:
    """The order number as it stands in a row, by which rows are grouped; "" when there is none."""
    texts = (clean(record.cells[i]) for i in heading.places[ORDER_NO] if i < len(record.cells))
    return next(filter(None, texts), "")


def parse_row(heading: Heading, record: Record, max_cell: int | None) -> FileRow:
    """All values of `record`; whatever cannot be used is in `problems`, and never echoed (S11)."""
    cells = record.cells
    row = FileRow(record.line, number_in(heading, record))
    if contains_card_number(_BETWEEN_CELLS.join(cells)) and (
        title := _card_number_in(heading, cells)
    ):
        row.problems.append(
            f"{title}にクレジットカード番号と思われる数字があります。カード番号は取り込めません。"
        )
        return row
    if extra := [cell for cell in cells[heading.width :] if cell]:
        row.problems.append(
            f'列が1行目の項目名より{len(extra)}個多くあります。カンマを含む値は"で囲んでください。'
        )
    elif len(cells) < heading.width:
        row.problems.append(f"列の数が足りません(項目名{heading.width}個に対し{len(cells)}個)。")
    if max_cell is not None and max(map(len, cells)) > max_cell:
        row.problems.append(f"{max_cell:,}文字を超える値があります。")
    for column, places in heading.places.items():
        _parse_column(row, column, [cells[i] for i in places if i < len(cells)])
    return row


def _parse_column(row: FileRow, column: FileColumn, cells: list[str]) -> None:
    texts = [text for cell in cells if cell and (text := clean(cell))]
    values = row.values(column.part)
    if not texts:
        if column.required:
            row.problems.append(f"「{column.title}」が空です。")
        else:
            values[column.field] = column.empty
        return
    text = texts[0] if column.joined_by is None else column.joined_by.join(texts)
    try:
        values[column.field] = column.parse(text)
    except CellProblem as problem:
        row.problems.append(f"「{column.title}」{problem}")


def _card_number_in(heading: Heading, cells: list[str]) -> str:
    """Where a card number stands; "" when only the gateway's own random values look like one."""
    columns = {i: column for column, places in heading.places.items() for i in places}
    for i, cell in enumerate(cells):
        column = columns.get(i)
        is_random = column is not None and column.is_random and _RANDOM.fullmatch(cell)
        if contains_card_number(cell) and not is_random:
            return f"「{column.title}」" if column else "取り込まない列"
    return ""


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
