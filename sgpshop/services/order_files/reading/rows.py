"""One row to the values it stands for, every problem named by the heading as it stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sgpshop.domain.amounts import yen_in
from sgpshop.domain.card_data import card_number_among, contains_card_number
from sgpshop.domain.row_files import Record
from sgpshop.services.files.layout import Fields, Row, Table
from sgpshop.services.order_files.reading.cells import CellDamaged, CellProblem
from sgpshop.services.order_files.reading.columns import BY_KEY, REQUIRED, FileColumn, Part

_NEAREST_DAY = "最短日"


@dataclass
class FileRow:
    """What one row says, by field; what it does not say is not in it."""

    line: int
    order: dict[str, Any] = field(default_factory=dict)
    delivery: dict[str, Any] = field(default_factory=dict)
    item: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def values(self, part: Part) -> dict[str, Any]:
        """The values that describe `part`."""
        if part is Part.ORDER:
            return self.order
        return self.item if part is Part.ITEM else self.delivery


def wrong_shape(table: Table, record: Record, max_cell: int | None) -> str:
    """Why a row cannot be used whatever it says; "" when it can.  Nothing of it is echoed (S11)."""
    cells, width = record.cells, len(table.headings)
    if card_number_among(cells) and (where := _card_number(table, cells)):
        return (
            f"{where}にクレジットカード番号と思われる数字があります。カード番号は取り込めません。"
        )
    if extra := [cell for cell in cells[width:] if cell]:
        return (
            f"列が1行目の項目名より{len(extra)}個多くあります。"
            '区切りの文字を含む値は"で囲んでください。'
        )
    if len(cells) < width:
        return f"列の数が足りません(項目名{width}個に対し{len(cells)}個)。"
    if max_cell is not None and max(map(len, cells)) > max_cell:
        return f"{max_cell:,}文字を超える値があります。"
    return ""


def plain(texts: Fields) -> None:
    """Fields of layouts that are not ours, in terms of ours."""
    if texts.get("adjustment"):
        signed = yen_in(texts["adjustment"])
        if signed:
            name = "discount" if signed < 0 else "commission"
            before = yen_in(texts.get(name) or "0") or 0
            texts[name] = str(before + abs(signed))
    if texts.get("wish_date") == _NEAREST_DAY:  # no day, but words that somebody will want to see
        texts["wish_date"] = ""
        texts["wish_time"] = " ".join(filter(None, (_NEAREST_DAY, texts.get("wish_time", ""))))


def parse(row: Row, table: Table) -> FileRow:
    """All values of `row`; whatever cannot be used is in `problems` or `warnings`."""
    found = FileRow(row.line)
    of_part = {part: found.values(part) for part in Part}
    for name, text in row.texts.items():
        if not text or (column := BY_KEY.get(name)) is None:
            continue
        try:
            of_part[column.part][column.field] = column.parse(text)
        except CellProblem as problem:
            sentence = f"「{title(table, column)}」{problem}"
            is_spare = column.spare or column.key in table.layout.fills
            if is_spare or (isinstance(problem, CellDamaged) and not column.is_number):
                found.warnings.append(f"{sentence}この項目は空のまま取り込みます。")
            else:
                found.problems.append(sentence)
    return found


def title(table: Table, column: FileColumn) -> str:
    """What the file calls a field, if it has it."""
    places = table.places(column.key)
    heading = table.headings[places[0]].strip() if places and table.has_headings else ""
    return next(iter(heading.splitlines()), "")[:30] or column.title


def missing(table: Table) -> list[str]:
    """Our names of the required fields that the file has no heading for."""
    there = table.fields | set(table.layout.adds)
    return [column.title for column in REQUIRED if column.key not in there]


def _card_number(table: Table, cells: list[str]) -> str:
    """Where a card number stands; "" when only cells side by side look like one."""
    columns = {
        place: column
        for name in table.fields
        if (column := BY_KEY.get(name))
        for place in table.places(name)
    }
    for i, cell in enumerate(cells):
        column = columns.get(i)
        if contains_card_number(cell):
            return f"「{title(table, column)}」" if column else "取り込まない列"
    return ""
