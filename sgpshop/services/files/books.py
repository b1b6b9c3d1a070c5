"""Excel books (xlsx, xls): the rows of the first sheet that has any, every cell as text."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, NoReturn
from xml.parsers import expat

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from sgpshop.domain.csv_reading import FileRefused, Limits, Record

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
#: A book unpacks to so many times what a CSV file may have; more is no list of orders.
_UNPACKED = 20
_MOST_UNPACKED = 1_000_000_000
#: The reader makes room for the whole rectangle up to the last cell, whatever is in between.
_MOST_CELLS = 5_000_000
_CHUNK = 1 << 20
_CELL = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.IGNORECASE | re.ASCII)
_ROW = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
_TABLE = b"sheetData"
#: Excel keeps 15 digits of a number; what is longer lost its end, and is to be seen so.
_MOST_DIGITS = 15


def is_book(start: bytes) -> bool:
    """Whether a file that begins so is for this module (a mere ZIP archive is refused by it)."""
    return start.startswith((_ZIP, _OLE))


def read_book(content: bytes, limits: Limits) -> Iterator[Record]:
    """The rows of the first visible sheet with any.  Raises FileRefused, also while iterating."""
    if content.startswith(_ZIP):
        _require_reasonable(content, limits)
    for number, values in enumerate(_values(content), start=1):
        limits.require_lines(number)
        yield Record(number, [_text(value) for value in values])


def _values(content: bytes) -> Iterator[list[Any]]:
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        for sheet in book.sheets_metadata:
            is_shown = sheet.visible is SheetVisibleEnum.Visible
            if is_shown and sheet.typ is SheetTypeEnum.WorkSheet:
                rows = book.get_sheet_by_name(sheet.name)
                if rows.height:
                    yield from rows.iter_rows()  # from the first row, empty ones included
                    return
    except PasswordError:
        raise FileRefused(
            "パスワードの付いたExcelブックは読み取れません。パスワードを外して保存してください。"
        ) from None
    except (CalamineError, OSError, ValueError, ArithmeticError):
        raise FileRefused(_UNREADABLE) from None
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":  # how the library says that it broke
            raise
        raise FileRefused(_UNREADABLE) from None


_UNREADABLE = (
    "Excelブックとして読み取れません。Excelで開いて保存し直すか、CSV形式で保存してください。"
)


def _require_reasonable(content: bytes, limits: Limits) -> None:
    """Unpack once, keeping nothing: how large it is by its own word is nothing to go by."""
    most = limits.max_bytes * _UNPACKED if limits.max_bytes else _MOST_UNPACKED
    size = 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if "[Content_Types].xml" not in names:
                raise FileRefused(
                    "ZIP圧縮ファイルは取り込めません。中のファイルを取り出してから選んでください。"
                )
            for entry in archive.infolist():
                with archive.open(entry) as part:
                    sheet = _Measure("worksheets/" in entry.filename)
                    while chunk := part.read(_CHUNK):
                        size += len(chunk)
                        if size > most:
                            raise FileRefused(_TOO_LARGE + limits.or_else)
                        sheet.feed(chunk)
                    sheet.end()
                if sheet.rows * sheet.columns > _MOST_CELLS:
                    raise FileRefused(_TOO_LARGE + limits.or_else)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
        raise FileRefused(_UNREADABLE) from None


_TOO_LARGE = "Excelブックの中身が大きすぎます。使っていない行と列を削除してください。"


class _Measure:
    """How far the cells of a part reach, wherever it lies: any part may be named as a sheet.

    Raises FileRefused for a sheet that is no plain XML: the library would read it all the same.
    """

    def __init__(self, is_sheet: bool) -> None:
        self.rows = self.columns = 0
        self._row = self._column = 0
        self._is_sheet = is_sheet
        self._is_broken = False
        self._before = b""
        self._parser = expat.ParserCreate("utf-8")  # as the library reads it, whatever it declares
        self._parser.StartElementHandler = self._start
        self._parser.EntityDeclHandler = self._refuse

    def feed(self, chunk: bytes) -> None:
        self._is_sheet = self._is_sheet or _TABLE in self._before + chunk
        self._before = chunk[-len(_TABLE) :]
        self._parse(chunk)

    def end(self) -> None:
        self._parse(b"", is_final=True)
        if self._is_broken and self._is_sheet:
            self._refuse()

    def _parse(self, chunk: bytes, is_final: bool = False) -> None:
        if not self._is_broken:
            try:
                self._parser.Parse(chunk, is_final)
            except expat.ExpatError:  # a picture, or a drawing of old
                self._is_broken = True

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if kind == "row":
            self._row, self._column = self._row + 1, 0
            if self._is_sheet and "r" in attributes:
                if not _ROW.fullmatch(attributes["r"]):
                    self._refuse()
                self._row = int(attributes["r"])
        elif kind == "c":
            self._column += 1
            if self._is_sheet and "r" in attributes:
                found = _CELL.fullmatch(attributes["r"]) or self._refuse()
                self._column = 0
                for letter in found[1].upper():
                    self._column = self._column * 26 + ord(letter) - 64
                self._row = max(self._row, int(found[2]))
            self.rows = max(self.rows, self._row)
            self.columns = max(self.columns, self._column)

    def _refuse(self, *_: object) -> NoReturn:
        raise FileRefused(_UNREADABLE)


def _text(value: Any) -> str:
    """A cell as a CSV file would say it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value)) if abs(value) < 10**_MOST_DIGITS else f"{value:.5E}"
        return repr(value)
    if isinstance(value, datetime):
        is_day = value.time() == time()
        return value.strftime("%Y/%m/%d" if is_day else "%Y/%m/%d %H:%M:%S")
    if isinstance(value, date):
        return value.strftime("%Y/%m/%d")
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
