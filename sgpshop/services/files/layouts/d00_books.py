"""Files for accounting programs, as we write them: nothing of them is read here."""

from __future__ import annotations

from sgpshop.services.files.layout import unread

#: 識別フラグ, with which a row of 弥生会計 begins
_FLAGS = frozenset({"2000", "2100", "2101", "2110", "2111"})

_FOR_BOOKS = "会計ソフトに取り込むためのファイルです。"

FREEE = unread("d01", "freee会計の仕訳", "収支区分", "発生日", "税計算区分", refusal=_FOR_BOOKS)
MF = unread(
    "d02",
    "マネーフォワード クラウド会計の仕訳",
    "取引No",
    "借方勘定科目",
    "貸方勘定科目",
    refusal=_FOR_BOOKS,
)
YAYOI = unread(
    "d03",
    "弥生会計の仕訳",
    shape=lambda cells: len(cells) == 25 and cells[0] in _FLAGS,
    refusal=_FOR_BOOKS,
)
