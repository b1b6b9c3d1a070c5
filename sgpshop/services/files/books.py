"""Excel books (xlsx, xls): the rows of the first sheet that has any, every cell as text.

They are read by another process (`book_reader.py`): what a hostile book costs in memory and time, or
how it makes the reader break, is bounded there and never met by ours (S17, S23).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sgpshop.domain.row_files import FileRefused, Limits, Record
from sgpshop.services.files import book_reader

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_READER = Path(book_reader.__file__)
#: Bytes and seconds of the processor that a book may cost, and how many characters all its cells
#: may hold; on the command line somebody waits for a book of his own.
_OF_SCREEN = (512 << 20, 5, 50_000_000)
_OF_COMMAND = (4096 << 20, 300, 1_000_000_000)

_REFUSALS = {
    book_reader.PASSWORD: (
        "パスワードの付いたExcelブックは読み取れません。パスワードを外して保存してください。"
    ),
    book_reader.UNREADABLE: (
        "Excelブックとして読み取れません。Excelで開いて保存し直すか、CSV形式で保存してください。"
    ),
    book_reader.ARCHIVE: (
        "ZIP圧縮ファイルは取り込めません。中のファイルを取り出してから選んでください。"
    ),
}
_TOO_LARGE = "Excelブックの中身が大きすぎます。使っていない行と列を削除してください。"


def is_book(start: bytes) -> bool:
    """Whether a file that begins so is for this module (a mere ZIP archive is refused by it)."""
    return start.startswith((_ZIP, _OLE))


def read_book(book: BinaryIO, limits: Limits) -> Iterator[Record]:
    """The rows of the first visible sheet with any, of a file on the disk.

    Raises FileRefused, also while iterating.
    """
    most = _OF_COMMAND if limits.max_bytes is None else _OF_SCREEN
    # One character behind the limit tells that a cell is too long.
    longest = most[-1] if limits.max_cell is None else limits.max_cell + 1
    reader = subprocess.Popen(  # noqa: S603 - our own program, arguments of ours
        [sys.executable, "-I", _READER, *map(str, (*most, longest))],
        stdin=book,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
    )
    with reader:
        try:
            for number, line in enumerate(reader.stdout or (), start=1):
                limits.require_lines(number)
                if not line.endswith(b"\n"):  # it ended in the middle of a row
                    break
                cells = json.loads(line)
                if b"\\u0000" in line and any("\0" in cell for cell in cells):
                    raise FileRefused(
                        f"{number}行目にテキストではないデータがあります。"
                        "そのセルを消すか、CSV形式で保存してください。"
                    )
                yield Record(number, cells)
        except BaseException:  # whoever asks for no more rows waits for none
            reader.kill()
            raise
    if reader.returncode:
        raise FileRefused(_REFUSALS.get(reader.returncode) or _TOO_LARGE + limits.or_else)
