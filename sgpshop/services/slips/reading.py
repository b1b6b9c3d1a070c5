"""A slip file or pasted lines, as bytes -> rows with values and problems (rules.md §9.1, S17).

No database here.  What cannot be read as a whole raises FileRefused and leaves nothing behind; a
row that cannot be used is told by its line and does not spoil the others.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from sgpshop.domain.card_data import contains_card_number, mask_card_numbers
from sgpshop.domain.csv_reading import FileRefused, Limits, Record, heading_key
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files.reading.cells import CellProblem, clean, order_number
from sgpshop.services.slips.columns import COLUMNS, TITLES, SlipColumn

#: No slip file has more columns: another kind of file, or its separators are lost.
MOST_COLUMNS = 100
#: Joins cells for one check of all; neither a digit nor something that stands inside a number.
_BETWEEN_CELLS = "|"


@dataclass(slots=True)
class ReadRow:
    """One row; `values` by field of SlipColumn, empty when there is a `problem`."""

    line: int
    cells: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    #: as far as it could be read: may be shown and stored
    order_no: str = ""


@dataclass(frozen=True)
class SlipFile:
    """A file that can be read: its headings, and its rows by line."""

    header: list[str]
    rows: list[ReadRow]


def read(content: bytes, limits: Limits, *, is_pasted: bool = False) -> SlipFile:
    """Read a file, or lines typed or pasted into a form.

    Pasted lines may come without a heading when their columns stand in the order of §9.1.  Raises
    FileRefused.
    """
    records = read_rows(io.BytesIO(content), limits)
    first = next(records, None)
    if first is None:
        raise FileRefused("中身が空です。1行目に項目名、2行目から伝票番号を入れてください。")
    _require_narrow(first)
    if is_pasted and _is_data(first):
        header, places = TITLES, {column: n for n, column in enumerate(COLUMNS)}
        rows = [_row(first, header, places, limits)]
    else:
        header, places = _header(first), _places(first)
        rows = []
    for record in records:
        _require_narrow(record)
        rows.append(_row(record, header, places, limits))
    if not rows:
        raise FileRefused("項目名の行だけで、データの行がありません。")
    return SlipFile(header, rows)


def _require_narrow(record: Record) -> None:
    if len(record.cells) > MOST_COLUMNS:
        raise FileRefused(
            f"{record.line}行目に{len(record.cells):,}列あります。{MOST_COLUMNS}列までです。"
            "伝票番号のCSVファイルか確認してください。"
        )


def _is_data(first: Record) -> bool:
    """Whether pasted lines begin without a heading: with an order number."""
    known = {key for column in COLUMNS for key in column.heading_keys}
    if any(heading_key(cell) in known for cell in first.cells):
        return False
    try:
        order_number(clean(first.cells[0]))
    except CellProblem:
        return False
    return True


def _header(first: Record) -> list[str]:
    return [mask_card_numbers(cell.strip())[:100] for cell in first.cells]


def _places(first: Record) -> dict[SlipColumn, int]:
    """Where each known column stands.  Raises FileRefused."""
    keys = [heading_key(clean(cell)) for cell in first.cells]
    places: dict[SlipColumn, int] = {}
    for column in COLUMNS:
        found = [n for n, key in enumerate(keys) if key in column.heading_keys]
        if len(found) > 1:
            raise FileRefused(f"{first.line}行目に項目名「{column.title}」が2回あります。")
        if found:
            places[column] = found[0]
    missing = [column.title for column in COLUMNS if column.required and column not in places]
    if missing:
        raise FileRefused(
            f"{first.line}行目に必要な項目名がありません: {'、'.join(missing)}。"
            "1行目には項目名(注文番号、伝票番号など)を入れてください。"
        )
    return places


def _row(
    record: Record, header: list[str], places: dict[SlipColumn, int], limits: Limits
) -> ReadRow:
    cells = record.cells
    longest = limits.max_cell
    cells_kept = cells if longest is None else [cell[:longest] for cell in cells]
    row = ReadRow(record.line, cells_kept)
    if contains_card_number(_BETWEEN_CELLS.join(cells)):
        row.cells = [mask_card_numbers(cell) for cell in cells_kept]
        row.problem = (
            "カード番号：クレジットカード番号と思われる数字があります。カード番号は取り込めません。"
        )
    elif longest is not None and max(map(len, cells)) > longest:
        row.problem = f"長すぎる値：{longest:,}文字を超える値があります。"
    elif any(cell.strip() for cell in cells[len(header) :]):
        row.problem = (
            '列の数が合わない：項目名より多くの列があります。カンマを含む値は"で囲んでください。'
        )
    if not row.problem:
        _parse(row, places)
    return row


def _parse(row: ReadRow, places: dict[SlipColumn, int]) -> None:
    values: dict[str, Any] = {}
    for column in COLUMNS:
        place = places.get(column)
        cell = row.cells[place] if place is not None and place < len(row.cells) else ""
        text = clean(cell) if cell else ""
        if not text and column.required:
            row.problem = f"{column.missing_label}：「{column.title}」が空です。"
            return
        try:
            values[column.field] = column.parse(text) if text else column.empty
        except CellProblem as problem:
            row.problem = f"{column.label}：「{column.title}」{problem}"
            return
        row.order_no = values["order_no"]  # the first column: the others are told with it
    row.values = values
