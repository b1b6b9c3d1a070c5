"""A slip file of any program, or pasted lines, as bytes -> rows with values and problems (rules.md §9.1, S17).

No database here.  What cannot be read as a whole raises FileRefused and leaves nothing behind; a
row that cannot be used is told by its line and does not spoil the others.  A file of ours says all
that §9.1 has, and every word of it counts; other programs' files are read by their layout
(services/files), and their rows that are no shipments of ours are left out, not failed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from sgpshop.domain.card_data import mask_card_numbers
from sgpshop.domain.row_files import FileRefused, Limits, Record, heading_key
from sgpshop.services.deliveries.slips.columns import COLUMNS, TITLES, SlipColumn
from sgpshop.services.deliveries.slips.rows import NOT_YET, ReadRow, foreign_row, own_row, typed_row
from sgpshop.services.files.layout import (
    FIRST_ROWS,
    Layout,
    Purpose,
    Table,
    first,
    layouts,
    recognise,
    refuse_others,
)
from sgpshop.services.files.reading import read_rows
from sgpshop.services.order_files.reading.cells import CellProblem, clean, order_number

#: Headings of ours for the fields of a file that has none.
_OUR_WORDS = {"order_no": "注文番号", "slip_no": "伝票番号", "ship_date": "出荷日"}
_SHORTEST_CARRIERS = 10
#: 配送先番号 are 0 to 999
_LONGEST_PLACE = 3
#: What is copied from two columns of a spreadsheet.
_PAIR = [column for column in COLUMNS if column.required]

#: Files of no program we know: by the words that programs use (of carriers' words one at most).
_SLIP_WORDS = (
    "お問い合せ送り状No.", "お問合せ送り状№", "問い合せ№", "お問い合わせ番号", "お問合せ番号",
    "送り状番号", "お荷物伝票番号", "発送伝票番号", "配送伝票番号", "出荷伝票番号", "追跡番号",
)  # fmt: skip
_ANY = Layout(
    id="",
    program="",
    purpose=Purpose.SLIPS,
    signature=(),
    columns={
        "order_no": first(
            "注文番号", "受注番号", "店舗伝票番号", "受注コード", "売上ID", "注文ID", "オーダー番号",
            "OrderId", "order-id", "お客様管理番号", "お客様管理ナンバー", "お客様側管理番号",
            "顧客管理番号", "お客様番号", "ordernum", "displayOrderNumber",
        ),
        "slip_no": first(*_SLIP_WORDS, "deliverynum", "伝票番号"),
        "ship_date": first(
            "出荷日", "発送日", "出荷確定日", "出荷日時", "出荷日付", "受託日", "ShipDate", "出荷予定日",
            "発送予定日",
        ),
        "carrier": first(
            "配送会社", "配送会社コード", "発送方法", "配送方法", "配送業者", "配送業者(名称)",
            "配送先 配送会社名", "ShipCompanyCode", "carrier",
        ),
        "delivery_number": "配送先番号",
    },
)  # fmt: skip


@dataclass(frozen=True)
class SlipFile:
    """A file that can be read: its headings, and its rows by line."""

    header: list[str]
    rows: list[ReadRow]
    #: in our own form (§9.1): each row is meant
    is_ours: bool = True
    #: how people know the program that wrote it; "": ours, or none we know
    program: str = ""


def read(content: bytes, limits: Limits, *, is_pasted: bool = False) -> SlipFile:
    """Read a file, or lines typed or pasted into a form.

    Pasted lines may come without a heading when their columns stand in the order of §9.1, or are 注文番号
    and 伝票番号 alone; a file too, where the order of §9.1 is certain of every row.  Raises FileRefused.
    """
    records = list(read_rows(io.BytesIO(content), limits))
    if not records:
        raise FileRefused("中身が空です。1行目に項目名、2行目から伝票番号を入れてください。")
    if _is_data(records[0]):
        columns = _PAIR if is_pasted and all(map(_is_pair, records)) else COLUMNS
        titles = [column.title for column in columns]
        places = {column: n for n, column in enumerate(columns)}
        own = [own_row(row, titles, places, limits) for row in records]
        if is_pasted:
            return SlipFile(titles, own)
        if all(map(_is_surely_ours, own)):
            return SlipFile(titles, own, program="SGP Shop の伝票番号ファイル(見出しなし)")
    known = layouts(Purpose.SLIPS)
    table = recognise(iter(records), known, _ANY, telling=("order_no", "slip_no"))
    heading = next((row for row in records if row.cells == table.headings), records[0])
    header = [mask_card_numbers(cell.strip())[:100] for cell in table.headings]
    if not table.has_headings:  # so that its error file can be handed in again
        header = [_OUR_WORDS.get(name, "") for name in header]
    if table.layout is _ANY and (places_of_ours := _places(heading)):
        rows = [own_row(row, header, places_of_ours, limits) for row in table.rows]
        file = SlipFile(header, rows)
    else:
        _require_columns(table, heading)
        rows = [foreign_row(row, table, header, limits) for row in table.rows]
        program = table.layout.program + ("" if table.has_headings else "(見出しなし)")
        file = SlipFile(header, rows, is_ours=False, program=program)
    if not rows:
        raise FileRefused("項目名の行だけで、データの行がありません。")
    if all(row.left_out == NOT_YET for row in rows):
        refuse_others(records[:FIRST_ROWS], known)
        raise FileRefused(
            f"{file.program and f'「{file.program}」のファイルのようですが、'}どの行にも伝票番号がありません。"
            "送り状を発行したあとに出力したファイルを選んでください。" + table.layout.export
        )
    return file


def typed(rows: Sequence[list[str]], limits: Limits) -> SlipFile:
    """Rows of the first four columns, several numbers of a parcel (複数個口) divided by blanks."""
    limits.require_lines(len(rows))
    return SlipFile(TITLES, [typed_row(n, row, limits) for n, row in enumerate(rows, start=1)])


def _is_data(first_row: Record) -> bool:
    """Whether pasted lines begin without a heading: with an order number."""
    known = {key for column in COLUMNS for key in column.heading_keys}
    if any(heading_key(cell) in known for cell in first_row.cells):
        return False
    try:
        order_number(clean(first_row.cells[0]))
    except CellProblem:
        return False
    return True


def _is_pair(row: Record) -> bool:
    """Whether a row has an order number and a slip number alone: a 配送先番号 is shorter."""
    return len(row.cells) == len(_PAIR) and len(row.cells[-1].strip()) > _LONGEST_PLACE


def _is_surely_ours(row: ReadRow) -> bool:
    """Whether a row without headings can be nothing but one of ours: its number is as long as a carrier's."""
    return not row.problem and len(row.values["slip_no"].replace("-", "")) >= _SHORTEST_CARRIERS


def _places(heading: Record) -> dict[SlipColumn, int]:
    """Where each column of ours stands; none where a required one is missing.  Raises FileRefused."""
    keys = [heading_key(clean(cell)) for cell in heading.cells]
    places: dict[SlipColumn, int] = {}
    for column in COLUMNS:
        found = [n for n, key in enumerate(keys) if key in column.heading_keys]
        if len(found) > 1:
            raise FileRefused(f"{heading.line}行目に項目名「{column.title}」が2回あります。")
        if found:
            places[column] = found[0]
    return places if all(column in places for column in COLUMNS if column.required) else {}


def _require_columns(table: Table, heading: Record) -> None:
    """Raise FileRefused when a row cannot say its order or its number, or might say two."""
    titles = {"order_no": "注文番号", "slip_no": "伝票番号"}
    missing = [title for name, title in titles.items() if not table.places(name)]
    if missing and table.layout.program:
        raise FileRefused(
            f"「{table.layout.program}」のファイルのようですが、{'と'.join(missing)}の列がありません。"
            + table.layout.export
        )
    if missing:
        raise FileRefused(
            f"{heading.line}行目に必要な項目名がありません: {'、'.join(missing)}。"
            "1行目には項目名(注文番号、伝票番号など)を入れてください。"
        )
    if table.layout is _ANY:
        wanted = {heading_key(word) for word in _SLIP_WORDS}
        claims = [cell for cell in heading.cells if heading_key(cell) in wanted]
        if len(claims) > 1:
            raise FileRefused(
                f"伝票番号と思われる列が複数あります: {'、'.join(claims)[:100]}。"
                "使う列の項目名を「伝票番号」にして、ほかの列を消してから選んでください。"
            )
