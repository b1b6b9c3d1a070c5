"""A slip file of any program, or pasted lines, as bytes -> rows with values and problems (rules.md §9.1, S17).

No database here.  What cannot be read as a whole raises FileRefused and leaves nothing behind; a
row that cannot be used is told by its line and does not spoil the others.  A file of ours says all
that §9.1 has, and every word of it counts; other programs' files are read by their layout
(services/files), and their rows that are no shipments of ours are left out, not failed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sgpshop.domain.card_data import contains_card_number, mask_card_numbers
from sgpshop.domain.carriers import carrier_called
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.row_files import FileRefused, Limits, Record, heading_key
from sgpshop.domain.text import nfkc
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
from sgpshop.services.order_files.reading import cells as cell_forms
from sgpshop.services.order_files.reading.cells import CellProblem, clean, order_number
from sgpshop.services.slips.columns import COLUMNS, TITLES, SlipColumn

#: Headings of ours for the fields of a file that has none.
_OUR_WORDS = {"order_no": "注文番号", "slip_no": "伝票番号", "ship_date": "出荷日"}
#: Joins cells for one check of all; neither a digit nor something that stands inside a number.
_BETWEEN_CELLS = "|"
_LONGEST_NUMBER = 50
_SHORTEST_CARRIERS = 10
#: of `SlipRow.more_slips`
LONGEST_MORE = 400
#: What divides several numbers in one cell.
_BETWEEN_SLIPS = re.compile(r"[,、;/\s]+")
_SLIP = re.compile(r"[0-9A-Za-z-]{1,30}")
_NOT_YET = "対象外:伝票番号がまだありません(未発送)。"
#: Companies whose numbers have 12 digits, the last of which checks the others.
_CHECKED = frozenset({"001", "002", "003"})

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


@dataclass(slots=True)
class ReadRow:
    """One row; `values` by field of SlipColumn, empty when there is a `problem` or it is `left_out`."""

    line: int
    cells: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    #: as far as it could be read: may be shown and stored
    order_no: str = ""
    #: why it is no shipment of ours; not a failure
    left_out: str = ""
    #: what to know about it all the same
    remark: str = ""

    @property
    def slips(self) -> list[str]:
        """The slip numbers that it brings."""
        return f"{self.values.get('slip_no', '')} {self.values.get('more_slips', '')}".split()


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

    Pasted lines may come without a heading when their columns stand in the order of §9.1; a file too,
    where that is certain of every row.  Raises FileRefused.
    """
    records = list(read_rows(io.BytesIO(content), limits))
    if not records:
        raise FileRefused("中身が空です。1行目に項目名、2行目から伝票番号を入れてください。")
    if _is_data(records[0]):
        places = {column: n for n, column in enumerate(COLUMNS)}
        own = [_own_row(row, TITLES, places, limits) for row in records]
        if is_pasted:
            return SlipFile(TITLES, own)
        if all(map(_is_surely_ours, own)):
            return SlipFile(TITLES, own, program="SGP Shop の伝票番号ファイル(見出しなし)")
    known = layouts(Purpose.SLIPS)
    table = recognise(iter(records), known, _ANY, telling=("order_no", "slip_no"))
    heading = next((row for row in records if row.cells == table.headings), records[0])
    header = [mask_card_numbers(cell.strip())[:100] for cell in table.headings]
    if not table.has_headings:  # so that its error file can be handed in again
        header = [_OUR_WORDS.get(name, "") for name in header]
    if table.layout is _ANY and (places_of_ours := _places(heading)):
        rows = [_own_row(row, header, places_of_ours, limits) for row in table.rows]
        file = SlipFile(header, rows)
    else:
        _require_columns(table, heading)
        rows = [_row(row, table, header, limits) for row in table.rows]
        program = table.layout.program + ("" if table.has_headings else "(見出しなし)")
        file = SlipFile(header, rows, is_ours=False, program=program)
    if not rows:
        raise FileRefused("項目名の行だけで、データの行がありません。")
    if all(row.left_out == _NOT_YET for row in rows):
        refuse_others(records[:FIRST_ROWS], known)
        raise FileRefused(
            f"{file.program and f'「{file.program}」のファイルのようですが、'}どの行にも伝票番号がありません。"
            "送り状を発行したあとに出力したファイルを選んでください。" + table.layout.export
        )
    return file


def typed(rows: Sequence[list[str]], limits: Limits) -> SlipFile:
    """Rows of the first four columns, several numbers of a parcel (複数個口) divided by blanks."""
    limits.require_lines(len(rows))
    return SlipFile(TITLES, [_typed_row(n, row, limits) for n, row in enumerate(rows, start=1)])


def _typed_row(line: int, cells: list[str], limits: Limits) -> ReadRow:
    row = _kept(Record(line, cells), TITLES, limits)
    if not row.problem:
        _take_typed(row)
    return row


def _take_typed(row: ReadRow) -> None:
    kept, (first, *others) = row.cells, divided(row.cells[-1])
    row.cells = [*kept[:-1], first]
    _parse(row, {column: n for n, column in enumerate(COLUMNS)})
    row.cells = kept
    if not row.problem:
        _add(row, others)
    if row.problem:
        row.values = {}


def _add(row: ReadRow, others: Sequence[str]) -> None:
    """The further numbers of the same parcel, and what to know of all of them."""
    first, carrier = row.values["slip_no"], row.values["carrier_code"]
    try:
        more = [cell_forms.slip_number(slip) for slip in others]
    except CellProblem as problem:
        row.problem = f"伝票番号の形式：「伝票番号」{problem}"
        return
    row.values["more_slips"] = " ".join(dict.fromkeys(slip for slip in more if slip != first))
    if len(row.values["more_slips"]) > LONGEST_MORE:
        row.problem = "伝票番号の形式：1つの荷物の伝票番号が多すぎます。"
    row.remark = " ".join(filter(None, (_doubt(slip, carrier) for slip in row.slips)))


def divided(text: str) -> list[str]:
    """The numbers that are typed into one field; at least one, which may be ""."""
    return _BETWEEN_SLIPS.split(nfkc(text).strip())


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


def _kept(record: Record, header: list[str], limits: Limits) -> ReadRow:
    """The row as it is kept, with what is wrong with all of it."""
    cells, longest = record.cells, limits.max_cell
    is_long = longest is not None and max(map(len, cells)) > longest
    kept = [cell[:longest] for cell in cells] if is_long else cells
    row = ReadRow(record.line, kept)
    if contains_card_number(_BETWEEN_CELLS.join(cells)):
        row.cells = [mask_card_numbers(cell) for cell in kept]
        row.problem = (
            "カード番号：クレジットカード番号と思われる数字があります。カード番号は取り込めません。"
        )
    elif is_long:
        row.problem = f"長すぎる値：{longest:,}文字を超える値があります。"
    elif any(cell.strip() for cell in cells[len(header) :]):
        row.problem = (
            '列の数が合わない：項目名より多くの列があります。カンマを含む値は"で囲んでください。'
        )
    return row


def _own_row(
    record: Record, header: list[str], places: dict[SlipColumn, int], limits: Limits
) -> ReadRow:
    row = _kept(record, header, limits)
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


def _row(record: Record, table: Table, header: list[str], limits: Limits) -> ReadRow:
    """A row of another program's file."""
    row = _kept(record, header, limits)
    if not row.problem:
        texts = table.texts(record, clean)
        row.left_out = _no_shipment(texts)
        if not row.left_out:
            try:
                _take(row, texts)
            except CellProblem as problem:
                row.problem = str(problem)
    return row


def _no_shipment(texts: dict[str, str]) -> str:
    if texts.get("deleted", "") not in ("", "0"):
        return "対象外:取り消された送り状です。"
    if texts["slip_no"] and not any(map(str.isdigit, texts["order_no"] + texts["slip_no"])):
        return "対象外:見出しの行です。"
    if not texts["slip_no"]:
        return _NOT_YET
    if not texts["order_no"]:
        return "対象外:該当注文なし(注文番号の欄が空です)。"
    return ""


def _take(row: ReadRow, texts: dict[str, str]) -> None:
    number = texts["order_no"]
    _require_undamaged("注文番号", number)
    if len(number) > _LONGEST_NUMBER:
        raise CellProblem("注文番号の形式：注文番号の欄が長すぎます。")
    row.order_no = number
    remarks = []
    carrier = carrier_called(texts.get("carrier", ""))
    if texts.get("carrier") and not carrier:
        word = texts["carrier"][:30]
        remarks.append(f"配送会社「{word}」は登録できる会社にないため、読み取りませんでした。")
    slips = []
    for part in filter(None, _BETWEEN_SLIPS.split(nfkc(texts["slip_no"]))):
        _require_undamaged("伝票番号", part)
        if not _SLIP.fullmatch(part):
            raise CellProblem(
                f"伝票番号の形式：「{part[:40]}」は半角の英数字とハイフン30文字以内ではありません。"
            )
        slips.append(_whole(part, carrier, remarks))
    day = texts.get("ship_date", "")
    try:
        ship_date = cell_forms.day_or_none(day)
    except CellProblem as problem:
        raise CellProblem(f"出荷日が不正：「{day[:20]}」{problem}") from None
    row.remark = " ".join(remarks)
    row.values = {
        "order_no": number,
        "delivery_number": _parcel_number(texts.get("delivery_number", "")),
        "carrier_code": carrier,
        "slip_no": slips[0],
        "more_slips": " ".join(slips[1:]),
        "status": DeliveryStatus.DELIVERED,
        "ship_date": ship_date,
        "mail": False,
    }


def _parcel_number(text: str) -> int:
    try:
        return cell_forms.whole(0, 999)(text) if text else 0
    except CellProblem as problem:
        raise CellProblem(f"配送先番号が不正：「{text[:20]}」{problem}") from None


def _require_undamaged(title: str, text: str) -> None:
    try:
        cell_forms.undamaged(text)
    except CellProblem as problem:
        raise CellProblem(f"{title}の形式：「{title}」{problem}") from None


def _whole(slip: str, carrier: str, remarks: list[str]) -> str:
    """The number with the zero that Excel took, where its last digit proves it; what does not fit is told."""
    digits = slip.replace("-", "")
    if carrier in _CHECKED and len(digits) == 11 and digits == slip and _checks(f"0{slip}"):
        remarks.append("Excelで消えた先頭の0を補いました。")
        return f"0{slip}"
    if doubt := _doubt(slip, carrier):
        remarks.append(doubt)
    return slip


def _doubt(slip: str, carrier: str) -> str:
    """What to know of a number whose last digit does not check the others."""
    digits = slip.replace("-", "")
    if carrier in _CHECKED and digits.isdigit() and not _checks(digits):
        return f"伝票番号「{slip}」の末尾の数字が合いません。番号を確かめてください。"
    return ""


def _checks(digits: str) -> bool:
    return digits.isdigit() and len(digits) == 12 and int(digits[:11]) % 7 == int(digits[11])
