"""A process of its own that reads an Excel book: `python -I book_reader.py MEMORY CPU CHARACTERS CELL < book`.

It writes a JSON array per row, every cell as the text that a CSV file would have, and ends with 0 or
one of the codes below.  The library makes room for the whole rectangle up to the last cell, unpacks
what it is told to and aborts when memory ends; here that ends nothing but this process.
It imports nothing of ours: so it starts within some 50 ms;
and the library is loaded where it is used, as who starts the process knows its codes from here.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import zipfile
from datetime import date, datetime, time
from typing import Any

#: How the process ends if it does not end well; any other way means that a limit was met.
PASSWORD, UNREADABLE, ARCHIVE = 10, 11, 12
#: Orders stand in one of the first sheets: each look at one reads it whole.
_MOST_SHEETS = 20
#: Excel keeps 15 digits of a number; what is longer lost its end, and is to be seen so.
_MOST_DIGITS = 15


def main(memory: int, cpu: int, most_characters: int, longest: int) -> int:
    """Bytes, seconds, characters of all cells: so much and no more; of one cell only the beginning."""
    from python_calamine import CalamineError, PasswordError

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)  # whoever looks at a screen goes first
    try:
        if zipfile.is_zipfile(sys.stdin.buffer):
            with zipfile.ZipFile(sys.stdin.buffer) as archive:
                if "[Content_Types].xml" not in archive.namelist():
                    return ARCHIVE
        sys.stdin.buffer.seek(0)
        return _write_rows(most_characters, longest)
    except PasswordError:
        return PASSWORD
    except (CalamineError, zipfile.BadZipFile, OSError, ValueError, ArithmeticError):
        return UNREADABLE
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":  # how the library says that it broke
            raise
        return UNREADABLE


def _write_rows(most_characters: int, longest: int) -> int:
    """The first visible sheet that has rows, from its first row, empty ones included."""
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    book = CalamineWorkbook.from_filelike(sys.stdin.buffer)
    for sheet in book.sheets_metadata[:_MOST_SHEETS]:
        if sheet.visible is SheetVisibleEnum.Visible and sheet.typ is SheetTypeEnum.WorkSheet:
            rows = book.get_sheet_by_name(sheet.name)
            if rows.height:
                for row in rows.iter_rows():
                    cells = [_text(value)[:longest] for value in row]
                    most_characters -= sum(map(len, cells))
                    if most_characters < 0:  # one long text may stand in every cell
                        raise MemoryError
                    sys.stdout.write(json.dumps(cells) + "\n")
                break
    return 0


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
    return str(value)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
