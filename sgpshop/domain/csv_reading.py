"""CSV that somebody hands in: bytes to rows of cells, everything else refused by content (S17).

UTF-8 or CP932, RFC 4180; which columns there are, and what a cell may say, is the reader's affair.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from sgpshop.domain.errors import ShopError
from sgpshop.domain.text import nfkc

#: A line of a file is never longer, quoted line breaks aside; keeps memory flat (any size streams).
_LONGEST_LINE = 1_000_000

#: No file of ours or of a cart has nearly so many columns; its separators are lost.
_MOST_COLUMNS = 300

_UTF8_MARK = b"\xef\xbb\xbf"

#: First bytes of what people send instead of a CSV file, and what to call it.
_OTHER_KINDS = {
    b"PK\x03\x04": "Excelブック(xlsx)またはZIP圧縮ファイル",
    b"\xd0\xcf\x11\xe0": "Excelブック(xls)",
    b"\x1f\x8b": "圧縮ファイル",
    b"%PDF": "PDFファイル",
    b"\xff\xfe": "UTF-16のファイル",
    b"\xfe\xff": "UTF-16のファイル",
}


class FileRefused(ShopError):
    """The file as a whole cannot be taken; nothing of it was kept."""


@dataclass(frozen=True)
class Limits:
    """What the screen accepts (S17); None: no limit, as on the command line."""

    max_bytes: int | None = None
    max_lines: int | None = None
    max_cell: int | None = None
    #: what to do about a file that is too large, in a sentence
    or_else: str = "分けて取り込むか、コマンド import-orders を使ってください。"

    @classmethod
    def of_screen(cls, config: Mapping[str, Any], **more: str) -> Limits:
        """Those of the variables UPLOAD_…, for every file that somebody hands in."""
        size, lines, cell = (config[f"UPLOAD_MAX_{what}"] for what in ("BYTES", "LINES", "CELL"))
        return cls(size, lines, cell, **more)


@dataclass(frozen=True)
class Record:
    """One row: the number of its first line in the file, and its cells as they stand there."""

    line: int
    cells: list[str]


def heading_key(title: str) -> str:
    """A heading in the form in which headings are compared."""
    return "".join(nfkc(title).casefold().split())


def read_rows(stream: BinaryIO, limits: Limits, delimiter: str = ",") -> Iterator[Record]:
    """The rows of any CSV file, its heading first.  Raises FileRefused while iterating.

    Too long a cell is cut one character behind the limit: enough to tell that it is too long.
    """
    longest = limits.max_cell
    reader = csv.reader(_text_lines(stream, limits), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise FileRefused(_broken_quotes(line)) from None
        if _swallowed_lines(cells, longest):
            raise FileRefused(_broken_quotes(line))
        if len(cells) > _MOST_COLUMNS:
            raise FileRefused(
                f"{line}行目に{len(cells):,}列あります。{_MOST_COLUMNS}列までです。"
                "列を区切る文字と、ファイルの種類を確認してください。"
            )
        if any(cells):
            yield Record(line, cells if longest is None else [c[: longest + 1] for c in cells])


def _swallowed_lines(cells: list[str], max_cell: int | None) -> bool:
    """Whether an unclosed quote ran over following lines: too long a cell, with line breaks."""
    return max_cell is not None and any(len(c) > max_cell and "\n" in c for c in cells)


def _broken_quotes(line: int) -> str:
    return (
        f'{line}行目から始まるデータの引用符(")が閉じられていないか、正しく使われていません。'
        '引用符を含む値は全体を"で囲み、中の"は""と書いてください。'
    )


def _text_lines(stream: BinaryIO, limits: Limits) -> Iterator[str]:
    """The lines of `stream` as text, line ends kept.

    Without a mark, the first line that is not ASCII decides between UTF-8 and CP932; in a file
    with the required Japanese headings that is the first one.  Raises FileRefused for other
    content and for an undecodable line, with its number.
    """
    encoding = ""
    size = 0
    for number, raw in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), start=1):
        size += len(raw)
        line = raw
        if number == 1:
            _require_text(raw)
            if raw.startswith(_UTF8_MARK):
                encoding, line = "utf-8", raw[len(_UTF8_MARK) :]
        _require_within(limits, number, size)
        if len(raw) == _LONGEST_LINE:
            raise FileRefused(f"{number}行目が長すぎます。CSVファイルか確認してください。")
        if b"\0" in raw:
            raise FileRefused(
                f"{number}行目にテキストではないデータがあります。"
                "CSVファイル(Shift_JISまたはUTF-8)を選んでください。"
            )
        if not encoding and not line.isascii():
            encoding = _encoding_of(line)
        yield _decoded(line, encoding or "ascii", number)


def _require_text(start: bytes) -> None:
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            raise FileRefused(
                f"{kind}は取り込めません。CSV形式(Shift_JISまたはUTF-8)で保存してください。"
            )


def _require_within(limits: Limits, lines: int, size: int) -> None:
    if limits.max_bytes is not None and size > limits.max_bytes:
        raise FileRefused(
            f"ファイルが大きすぎます。画面から取り込めるのは{limits.max_bytes:,}バイトまでです。"
            + limits.or_else
        )
    if limits.max_lines is not None and lines > limits.max_lines:
        raise FileRefused(
            f"行数が多すぎます。画面から取り込めるのは{limits.max_lines:,}行までです。"
            + limits.or_else
        )


def _encoding_of(line: bytes) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return "cp932"
    return "utf-8"


def _decoded(line: bytes, encoding: str, number: int) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        raise FileRefused(
            f"{number}行目の文字を読み取れません。"
            "ファイル全体をShift_JISかUTF-8のどちらかで保存し直してください。"
        ) from None
