"""Any file of rows that somebody hands in: CSV by any program, pasted cells, or an Excel book.

Encoding, separator and kind are judged by content, never by the file's name (S17).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from sgpshop.domain.row_files import FileRefused, Limits, Record
from sgpshop.services.files import books

#: A line of a file is never longer, quoted line breaks aside; keeps memory flat (any size streams).
_LONGEST_LINE = 1_000_000
#: No file of ours, of a cart or of a carrier has so many columns; its separators are lost.
_MOST_COLUMNS = 200
_CHUNK = 1 << 20
#: So many lines say what divides the cells.
_FIRST_LINES = 20

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: First bytes of what people send instead of rows, and what to call it.
_OTHER_KINDS = {b"\x1f\x8b": "圧縮ファイル", b"%PDF": "PDFファイル"}
_SEPARATORS = ",\t;"
_QUOTED = re.compile(r'"[^"]*"')
_SAYS_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
#: End of file of old programs, in a line of its own.
_END_MARK = "\x1a"
_NO_TEXT = (
    "{}行目にテキストではないデータがあります。"
    "CSVファイル(Shift_JISまたはUTF-8)かExcelのファイルを選んでください。"
)
#: Letters that no text has by chance in another encoding: three bytes of Japanese in UTF-8.
_JAPANESE = re.compile("[\u3000-\u9fff\uff00-\uffef]")


def read_rows(stream: BinaryIO, limits: Limits) -> Iterator[Record]:
    """The rows of a file, blank ones passed over.  Raises FileRefused, also while iterating.

    The stream is read from its beginning, and more than once.  CSV is UTF-8, UTF-16 or CP932,
    divided by comma, tab or semicolon.  Too long a cell is cut one character behind the limit:
    enough to tell that it is too long.
    """
    start = stream.read(_CHUNK)
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            raise FileRefused(f"{kind}は取り込めません。CSVかExcelのファイルを選んでください。")
    if books.is_book(start):
        rows = _book_rows(stream, start, limits)
    else:
        encoding = _encoding(stream, start, limits)
        stream.seek(0)
        rows = _text_rows(stream, encoding, limits)
    longest = limits.max_cell
    for row in rows:
        width = len(row.cells)
        if width > _MOST_COLUMNS and any(row.cells[_MOST_COLUMNS:]):
            raise FileRefused(
                f"{row.line}行目に{width:,}列あります。{_MOST_COLUMNS}列までです。"
                "列を区切る文字と、ファイルの種類を確認してください。"
            )
        if any(row.cells):
            cells = row.cells[:_MOST_COLUMNS]
            if longest is not None and max(map(len, cells)) > longest:
                cells = [cell[: longest + 1] for cell in cells]
            yield Record(row.line, cells)


def _book_rows(stream: BinaryIO, start: bytes, limits: Limits) -> Iterator[Record]:
    with tempfile.TemporaryFile() as book:
        chunk = start
        while chunk:
            book.write(chunk)
            limits.require_bytes(book.tell())
            chunk = stream.read(_CHUNK)
        book.seek(0)
        yield from books.read_book(book, limits)


def _encoding(stream: BinaryIO, start: bytes, limits: Limits) -> str:
    """By the whole file: one line alone may be fine in more than one encoding.

    Raises FileRefused with the number of the line that is in none.
    """
    is_utf16 = start.startswith(_UTF16_MARKS)
    candidates = ["utf-16"] if is_utf16 else ["utf-8-sig", "cp932"]
    decoders = {name: codecs.getincrementaldecoder(name)() for name in candidates}
    wrong: dict[str, int] = {}
    size, line, chunk = 0, 1, start
    while chunk:
        size += len(chunk)
        limits.require_bytes(size)
        if b"\0" in chunk and not is_utf16:
            raise FileRefused(_NO_TEXT.format(line + chunk[: chunk.index(b"\0")].count(b"\n")))
        following = stream.read(_CHUNK)
        for name in [name for name in candidates if name not in wrong]:
            try:
                decoders[name].decode(chunk, final=not following)
            except UnicodeDecodeError as problem:
                wrong[name] = line + problem.object[: problem.start].count(b"\n")
        line += chunk.count(b"\n")
        chunk = following
    if "utf-8-sig" in wrong and _begins_as_utf8(start):
        raise FileRefused(_undecodable(wrong["utf-8-sig"]))  # as CP932 it would be mere noise
    for name in candidates:
        if name not in wrong:
            return name
    raise FileRefused(_undecodable(wrong[candidates[-1]]))


def _begins_as_utf8(start: bytes) -> bool:
    line = next((line for line in start.split(b"\n") if not line.isascii()), b"")
    try:
        return _JAPANESE.search(line.decode("utf-8")) is not None
    except UnicodeDecodeError:
        return False


def _undecodable(line: int) -> str:
    return (
        f"{line}行目の文字を読み取れません。"
        "ファイル全体をShift_JISかUTF-8のどちらかで保存し直してください。"
    )


def _text_rows(stream: BinaryIO, encoding: str, limits: Limits) -> Iterator[Record]:
    text = io.TextIOWrapper(stream, encoding, newline="")
    try:
        lines = _lines(text, limits)
        first = list(itertools.islice(lines, _FIRST_LINES))
        skipped = 0
        if first and (said := _SAYS_SEPARATOR.fullmatch(first[0])):
            separator, skipped, first = said[1], 1, first[1:]
        else:
            separator = _separator("".join(first))
        reader = csv.reader(itertools.chain(first, lines), delimiter=separator, strict=True)
        while True:
            line = reader.line_num + skipped + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                raise FileRefused(_broken_quotes(line)) from None
            if _swallowed_lines(cells, limits.max_cell):
                raise FileRefused(_broken_quotes(line))
            yield Record(line, cells)
    finally:
        if not stream.closed:
            text.detach()  # the stream is its owner's, who reads it again


def _lines(text: io.TextIOWrapper, limits: Limits) -> Iterator[str]:
    """Lines with their ends, whichever: CRLF, LF, CR.  Raises FileRefused."""
    for number, line in enumerate(iter(lambda: text.readline(_LONGEST_LINE), ""), start=1):
        if len(line) == _LONGEST_LINE:
            raise FileRefused(f"{number}行目が長すぎます。CSVファイルか確認してください。")
        limits.require_lines(number)
        if "\0" in line:  # in UTF-16 like any other sign; no database keeps it (S25)
            raise FileRefused(_NO_TEXT.format(number))
        if line.rstrip() != _END_MARK:
            yield line


def _separator(text: str) -> str:
    """What divides the cells: the sign that the fullest of the first lines has most of."""
    lines = _QUOTED.sub("", text).splitlines() or [""]
    return max(_SEPARATORS, key=lambda sign: max(line.count(sign) for line in lines))


def _swallowed_lines(cells: list[str], max_cell: int | None) -> bool:
    """Whether an unclosed quote ran over following lines: too long a cell, with line breaks."""
    if max_cell is None or max(map(len, cells), default=0) <= max_cell:
        return False  # one pass in C: this is asked of every row
    return any(len(cell) > max_cell and "\n" in cell for cell in cells)


def _broken_quotes(line: int) -> str:
    return (
        f'{line}行目から始まるデータの引用符(")が閉じられていないか、正しく使われていません。'
        '引用符を含む値は全体を"で囲み、中の"は""と書いてください。'
    )
