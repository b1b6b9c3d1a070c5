"""マネーフォワード クラウド会計, 仕訳帳: one compound entry per movement, a refund turned round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from sgpshop.domain.csv_writing import Encoding, Value
from sgpshop.services.journals.layouts.layout import JournalLayout, Terms, row, summary
from sgpshop.services.journals.movements import Movement

_HEADINGS = (
    "取引No", "取引日", "借方勘定科目", "借方補助科目", "借方部門", "借方取引先", "借方税区分",
    "借方インボイス", "借方金額(円)", "借方税額", "貸方勘定科目", "貸方補助科目", "貸方部門",
    "貸方取引先", "貸方税区分", "貸方インボイス", "貸方金額(円)", "貸方税額", "摘要", "仕訳メモ",
    "タグ", "MF仕訳タイプ", "決算整理仕訳", "作成日時", "作成者", "最終更新日時", "最終更新者",
)  # fmt: skip
#: where 勘定科目, 税区分, 金額 and 税額 of a side stand
_DEBIT, _CREDIT = (3, 7, 9, 10), (11, 15, 17, 18)


def _rows(found: Iterable[Movement], terms: Terms) -> Iterator[Sequence[Value]]:
    for number, movement in enumerate(found, start=1):
        sides: dict[bool, list[tuple[Value, ...]]] = {True: [], False: []}  # True: debit
        receivable = (terms.receivable, terms.out_of_scope, abs(movement.amount), None)
        sides[movement.amount > 0].append(receivable)
        for share in movement.shares:
            tax = terms.tax[share.rate]
            sides[share.amount < 0].append((terms.sales, tax, abs(share.amount), abs(share.tax)))
        for debit, credit in zip_longest(sides[True], sides[False], fillvalue=()):
            cells = dict(zip(_DEBIT, debit, strict=False)) | dict(
                zip(_CREDIT, credit, strict=False)
            )
            known: dict[int, Value] = {1: number, 2: movement.day, 19: summary(movement)}
            yield row(len(_HEADINGS), known | cells)


LAYOUT = JournalLayout(
    word="mf",
    label="マネーフォワード クラウド会計",
    where="クラウド会計の「会計帳簿」→「仕訳帳」→「インポート」",
    headings=_HEADINGS,
    encoding=Encoding.CP932,
    rows=_rows,
)
