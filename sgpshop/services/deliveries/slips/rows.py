"""What one row of a slip file says: of ours, typed, or of another program (rules.md §9.1).  No database here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sgpshop.domain.card_data import card_number_among, mask_card_numbers
from sgpshop.domain.carriers import carrier_called
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.row_files import Limits, Record
from sgpshop.domain.text import nfkc
from sgpshop.services.deliveries.slips.columns import COLUMNS, TITLES, SlipColumn
from sgpshop.services.files.layout import Table
from sgpshop.services.order_files.reading import cells as cell_forms
from sgpshop.services.order_files.reading.cells import CellProblem, clean

_LONGEST_NUMBER = 50
#: of `SlipRow.more_slips`
LONGEST_MORE = 400
_TOO_MANY = "伝票番号の形式：1つの荷物の伝票番号が多すぎます。"
#: What divides several numbers in one cell.
_BETWEEN_SLIPS = re.compile(r"[,、;/\s]+")
_SLIP = re.compile(r"[0-9A-Za-z-]{1,30}")
NOT_YET = "対象外:伝票番号がまだありません(未発送)。"
#: the doubt of a remark that the preview counts
WRONG_DIGIT = "末尾の数字が合いません"
#: Companies whose numbers have 12 digits, the last of which checks the others.
_CHECKED = frozenset({"001", "002", "003"})


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


def typed_row(line: int, cells: list[str], limits: Limits) -> ReadRow:
    """A row of the first four columns, several numbers of a parcel (複数個口) divided by blanks."""
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
        row.problem = _TOO_MANY
    row.remark = " ".join(filter(None, (_doubt(slip, carrier) for slip in row.slips)))


def divided(text: str) -> list[str]:
    """The numbers that are typed into one field; at least one, which may be ""."""
    return _BETWEEN_SLIPS.split(nfkc(text).strip())


def _kept(record: Record, header: list[str], limits: Limits) -> ReadRow:
    """The row as it is kept, with what is wrong with all of it."""
    cells, longest = record.cells, limits.max_cell
    is_long = longest is not None and max(map(len, cells)) > longest
    kept = [cell[:longest] for cell in cells] if is_long else cells
    row = ReadRow(record.line, kept)
    if card_number_among(cells):
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


def own_row(
    record: Record, header: list[str], places: dict[SlipColumn, int], limits: Limits
) -> ReadRow:
    """A row of a file of ours, whose columns stand at `places`."""
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


def foreign_row(record: Record, table: Table, header: list[str], limits: Limits) -> ReadRow:
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
    if not any(map(str.isdigit, texts["slip_no"])):  # also what stands for none: `-`, `/`, N/A
        return NOT_YET
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
    more = " ".join(slips[1:])
    if len(more) > LONGEST_MORE:
        raise CellProblem(_TOO_MANY)
    row.remark = " ".join(remarks)
    row.values = {
        "order_no": number,
        "delivery_number": _parcel_number(texts.get("delivery_number", "")),
        "carrier_code": carrier,
        "slip_no": slips[0],
        "more_slips": more,
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
        return f"伝票番号「{slip}」の{WRONG_DIGIT}。番号を確かめてください。"
    return ""


def _checks(digits: str) -> bool:
    return digits.isdigit() and len(digits) == 12 and int(digits[:11]) % 7 == int(digits[11])
