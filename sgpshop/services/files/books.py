"""Excel books (xlsx, xls): the rows of the first sheet that has any, every cell as text."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

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
_CELL = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br=["\']([A-Z]{1,3})(\d{1,7})["\'](?:[^>]*[^/>])?>')
_LONGEST_TAG = 200
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
    except (CalamineError, OSError, ValueError):
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
            for name in names:
                last = (0, 0)
                with archive.open(name) as part:
                    before = b""
                    while chunk := part.read(_CHUNK):
                        size += len(chunk)
                        if size > most:
                            raise FileRefused(_TOO_LARGE + limits.or_else)
                        if "worksheets/" in name:
                            last = _last_cell(before + chunk, last)
                            before = chunk[-_LONGEST_TAG:]
                if last[0] * last[1] > _MOST_CELLS:
                    raise FileRefused(_TOO_LARGE + limits.or_else)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError):
        raise FileRefused(_UNREADABLE) from None


_TOO_LARGE = "Excelブックの中身が大きすぎます。使っていない行と列を削除してください。"


def _last_cell(xml: bytes, last: tuple[int, int]) -> tuple[int, int]:
    rows, columns = last
    for letters, digits in _CELL.findall(xml):
        column = 0
        for letter in letters:
            column = column * 26 + letter - 64
        rows, columns = max(rows, int(digits)), max(columns, column)
    return rows, columns


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
