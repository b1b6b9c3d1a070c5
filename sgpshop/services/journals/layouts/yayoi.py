"""弥生会計, 仕訳日記帳のインポート: a single entry per rate, no headings; it refuses negative amounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sgpshop.domain.csv_writing import Encoding, Value
from sgpshop.services.journals.layouts.layout import JournalLayout, Terms, row, summary
from sgpshop.services.journals.movements import Movement

_WIDTH = 25
#: 識別フラグ of an entry with one line
_SINGLE = 2000
#: where 勘定科目, 税区分, 金額 and 税金額 of a side stand
_DEBIT, _CREDIT = (5, 8, 9, 10), (11, 14, 15, 16)


def _rows(found: Iterable[Movement], terms: Terms) -> Iterator[Sequence[Value]]:
    for movement in found:
        for share in movement.shares:
            yen = abs(share.amount)
            sides: list[tuple[Value, ...]] = [
                (terms.receivable, terms.out_of_scope, yen, None),
                (terms.sales, terms.tax[share.rate], yen, abs(share.tax)),
            ]
            debit, credit = sides if share.amount > 0 else reversed(sides)
            cells: dict[int, Value] = {1: _SINGLE, 4: movement.day, 17: summary(movement)}
            cells |= dict(zip(_DEBIT, debit, strict=True)) | dict(zip(_CREDIT, credit, strict=True))
            # タイプ 仕訳, no 付箋, no 調整
            yield row(_WIDTH, cells | {20: 0, 23: 0, 24: 0, 25: "no"})


LAYOUT = JournalLayout(
    word="yayoi",
    label="弥生会計",
    where="弥生会計の「仕訳日記帳」→「ファイル」→「インポート」",
    headings=None,
    encoding=Encoding.CP932,
    rows=_rows,
    is_quoted=True,
)
