"""The Excel form, for a person: real dates in Japan time, yen with separators, a filter (§14.3).

Text is always a text cell in the format «text»: zeros stay, and nothing runs, not even after the
cell was edited (S18).
"""

from __future__ import annotations

import tempfile
import unicodedata
from datetime import datetime
from typing import IO, Any

from sgpshop.domain.csv_writing import Value
from sgpshop.domain.payment_calendar import JST
from sgpshop.services.order_files.exporting.columns import MONEY, TITLES, rows
from sgpshop.services.order_files.exporting.reading import Source

#: what Excel can open, heading included; more go on another sheet
ROWS_PER_SHEET = 1_048_576
#: the first year Excel knows; an older date stays text
_FIRST_YEAR = 1900
_FONT = {"font_name": "Yu Gothic", "font_size": 10, "valign": "top"}
_WIDTHS = {
    "注文番号": 22,
    "注文日時": 18,
    "承認日時": 18,
    "金額送信日時": 18,
    "売上日時": 18,
    "取消日時": 18,
    "オーソリ期限": 18,
    "配送希望日": 12,
    "住所": 36,
    "お届け先住所": 36,
    "メールアドレス": 26,
    "注文者": 16,
    "注文者(振り仮名)": 16,
    "お届け先氏名": 16,
    "電話番号": 14,
    "お届け先電話": 14,
    "備考": 30,
    "取引ID": 34,
    "伝票番号": 16,
    "商品名": 36,
    "選択肢": 18,
    "商品コード": 16,
    "JAN": 15,
    "エラー内容": 40,
    "エラーコード": 14,
}


def write_excel(source: Source, out: IO[bytes], *, per_sheet: int = ROWS_PER_SHEET) -> int:
    """Write all orders of `source` into `out`; how many rows without headings."""
    import xlsxwriter  # type: ignore[import-untyped]  # for a book alone

    with tempfile.TemporaryDirectory(prefix="sgpshop-") as folder:
        book = xlsxwriter.Workbook(
            out,
            {
                "constant_memory": True,
                "tmpdir": folder,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        sheets = _Sheets(book, per_sheet)
        try:
            for orders in source():
                for row in rows(orders):
                    sheets.write(row)
            sheets.end()
            book.close()
        finally:
            sheets.let_go()
    return sheets.written


class _Sheets:
    """Writes row after row, on a new sheet whenever one is full."""

    def __init__(self, book: Any, per_sheet: int) -> None:
        self._book = book
        self._per_sheet = per_sheet
        self._head = book.add_format(
            {**_FONT, "bold": True, "bg_color": "#EAEEF4", "bottom": 1, "num_format": "@"}
        )
        self._text = book.add_format({**_FONT, "num_format": "@"})
        self._number = book.add_format({**_FONT, "num_format": "0"})
        self._money = book.add_format({**_FONT, "num_format": "#,##0"})
        self._moment = book.add_format({**_FONT, "num_format": "yyyy/mm/dd hh:mm:ss"})
        self._day = book.add_format({**_FONT, "num_format": "yyyy/mm/dd"})
        self._is_money = [title in MONEY for title in TITLES]
        self._number_of_sheets = 0
        self.written = 0
        self._begin()

    def write(self, row: list[Value]) -> None:
        """One row below the others."""
        if self._at == self._per_sheet:
            self.end()
            self._begin()
        for column, value in enumerate(row):
            if value is not None and value != "":
                self._write_cell(column, value)
        self._at += 1
        self.written += 1

    def end(self) -> None:
        """The filter over all rows of the present sheet."""
        self._sheet.autofilter(0, 0, max(1, self._at - 1), len(TITLES) - 1)

    def let_go(self) -> None:
        """Close what the library keeps open when it is not allowed to finish."""
        for sheet in self._book.worksheets():
            if sheet.row_data_fh is not None:
                sheet.row_data_fh.close()

    def _begin(self) -> None:
        self._number_of_sheets += 1
        more = f" {self._number_of_sheets}" if self._number_of_sheets > 1 else ""
        self._sheet = self._book.add_worksheet(f"注文{more}")
        self._sheet.freeze_panes(1, 1)
        for column, title in enumerate(TITLES):
            self._sheet.set_column(column, column, _WIDTHS.get(title, _width(title)))
            self._sheet.write_string(0, column, title, self._head)
        self._at = 1

    def _write_cell(self, column: int, value: Value) -> None:
        sheet, at = self._sheet, self._at
        if isinstance(value, str):
            sheet.write_string(at, column, value, self._text)
        elif isinstance(value, int):
            wanted = self._money if self._is_money[column] else self._number
            sheet.write_number(at, column, value, wanted)
        elif value is None or value.year < _FIRST_YEAR:
            sheet.write_string(at, column, str(value or ""), self._text)
        elif isinstance(value, datetime):
            local = value.astimezone(JST).replace(tzinfo=None, microsecond=0)
            sheet.write_datetime(at, column, local, self._moment)
        else:
            sheet.write_datetime(at, column, value, self._day)


def _width(title: str) -> float:
    """Wide enough for the heading and the arrow of its filter."""
    wide = sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in title)
    return max(9.0, wide + 3.0)
