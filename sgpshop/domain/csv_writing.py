"""Every CSV file that somebody opens in a spreadsheet program: UTF-8 with mark, or CP932; CRLF (§14.3).

No cell is one that the spreadsheet would run (S18).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime

from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.words import Labelled

#: What a cell holds before it is written: text, a number, a time (aware), a day, or nothing.
Value = str | int | datetime | date | None

#: What a spreadsheet takes for the beginning of a formula; full-width forms too, for some convert.
#: Apostrophes before it count as well, so that ours can be told from one that was there (§14.3).
_FORMULA = re.compile(r"'*(?:[\s\u3000]*[=+\-@＝＋－＠]|[\t\r\n])")

#: What may be a formula, or has to be quoted.
_TO_BE_CARED_FOR = re.compile(r"['\s\u3000=+\-@＝＋－＠]|[^,\"\r\n]*[,\"\r\n]")
_LINE_TO_BE_CARED_FOR = re.compile(r"\n['\s\u3000=+\-@＝＋－＠]")
_TO_BE_QUOTED = re.compile(r'[,"\r\n]')

#: Stands for a character that CP932 has not (§14.3).
REPLACEMENT = "〓"
#: Same sign, other number: what CP932 has in the place of these.
_TWINS = {
    0x301C: "\uff5e",  # 〜
    0x2212: "\uff0d",  # −
    0x2016: "\u2225",  # ‖
    0x2014: "\u2015",  # —
    0x00A2: "\uffe0",  # ¢
    0x00A3: "\uffe1",  # £
    0x00AC: "\uffe2",  # ¬
    0x00A5: "\uffe5",  # ¥
    0x203E: "\uffe3",  # ‾
}


class Encoding(Labelled):
    """How the characters of a file are kept."""

    UTF_8 = "utf-8", "UTF-8"
    CP932 = "cp932", "Shift_JIS"


def csv_file(
    titles: Iterable[str] | None,
    parts: Iterable[Iterable[Iterable[Value]]],
    encoding: Encoding = Encoding.UTF_8,
    *,
    is_quoted: bool = False,
) -> Iterator[bytes]:
    """A file as it is made: its heading (None: without one), then the rows of each of `parts`.

    Text is guarded, times and days are Japan's; what CP932 has not becomes 〓.  `is_quoted`: every
    cell stands in quotation marks, as some programs want it.
    """
    quoting = csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL
    mark = "\ufeff" if encoding is Encoding.UTF_8 else ""
    yield (mark + _lines([] if titles is None else [titles], encoding, quoting)).encode(encoding)
    for rows in parts:
        yield _lines(rows, encoding, quoting).encode(encoding)


def _lines(rows: Iterable[Iterable[Value]], encoding: Encoding, quoting: int) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n", quoting=quoting)  # type: ignore[arg-type]
    # Half of all cells are empty; those and whole numbers are written as they are.
    writer.writerows(
        [value if not value or type(value) is int else _cell(value, encoding) for value in row]
        for row in rows
    )
    return out.getvalue()


def _cell(value: Value, encoding: Encoding) -> str | int:
    if value is None:
        return ""
    if isinstance(value, str):
        return csv_guarded(value if encoding is Encoding.UTF_8 else for_cp932(value)[0])
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return value.astimezone(JST).isoformat(" ", "seconds")[:19].replace("-", "/")
    return value.isoformat().replace("-", "/")


def csv_text(value: Value, encoding: Encoding = Encoding.UTF_8) -> str:
    """`value` as it stands between two commas of `csv_file`, for who writes the commas himself."""
    if type(value) is str and encoding is Encoding.UTF_8 and not _TO_BE_CARED_FOR.match(value):
        return value  # nearly all
    text = str(_cell(value, encoding))
    return '"' + text.replace('"', '""') + '"' if _TO_BE_QUOTED.search(text) else text


def csv_texts(values: Sequence[str | None], encoding: Encoding = Encoding.UTF_8) -> Sequence[str]:
    """`csv_text` of each; where nothing is to be cared for in any, none is looked at by itself."""
    if encoding is Encoding.UTF_8:
        given = [*filter(None, values)]
        text = "\n".join(["", *given])
        is_plain = text.count("\n") == len(given) and not any(map(text.__contains__, ',"\r'))
        if is_plain and not _LINE_TO_BE_CARED_FOR.search(text):
            return [value or "" for value in values]
    return [csv_text(value, encoding) for value in values]


def csv_guarded(text: str) -> str:
    """`text` with a leading apostrophe where a spreadsheet would run it."""
    return f"'{text}" if _FORMULA.match(text) else text


def csv_unguarded(text: str) -> str:
    """`text` without the apostrophe that `csv_guarded` put before it."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text


def for_cp932(text: str) -> tuple[str, str]:
    """`text` as CP932 can hold it, and the characters that had to become 〓, in their order."""
    if text.isascii():
        return text, ""
    text = text.translate(_TWINS)
    try:
        text.encode("cp932")
    except UnicodeEncodeError:
        return _replaced(text)
    return text, ""


def _replaced(text: str) -> tuple[str, str]:
    encodable: list[str] = []
    lost: list[str] = []
    for character in text:
        try:
            character.encode("cp932")
        except UnicodeEncodeError:
            lost.append(character)
            encodable.append(REPLACEMENT)
        else:
            encodable.append(character)
    return "".join(encodable), "".join(lost)
