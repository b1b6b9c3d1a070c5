"""Files for accounting programs, as we write them: nothing of them is read here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sgpshop.services.files.layout import Layout, Purpose

#: 識別フラグ, with which a row of 弥生会計 begins
_FLAGS = frozenset({"2000", "2100", "2101", "2110", "2111"})


def _of(
    id_: str,
    program: str,
    *signature: str,
    shape: Callable[[Sequence[str]], bool] | None = None,
) -> Layout:
    return Layout(
        id=id_,
        program=f"{program}の仕訳",
        purpose=Purpose.NONE,
        signature=signature,
        columns={},
        refusal="会計ソフトに取り込むためのファイルです。",
        shape=shape,
    )


FREEE = _of("d01", "freee会計", "収支区分", "発生日", "税計算区分")
MF = _of("d02", "マネーフォワード クラウド会計", "取引No", "借方勘定科目", "貸方勘定科目")
YAYOI = _of("d03", "弥生会計", shape=lambda cells: len(cells) == 25 and cells[0] in _FLAGS)
