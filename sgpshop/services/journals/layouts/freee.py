"""freee会計, 取引インポート: a deal per movement, further rates below it; a refund is a negative deal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sgpshop.domain.csv_writing import Encoding, Value
from sgpshop.services.journals.layouts.layout import JournalLayout, Terms, row, summary
from sgpshop.services.journals.movements import Movement

#: The template's own, to the letter: freee refuses another heading.
_HEADINGS = (
    "収支区分", "管理番号", "発生日", "決済期日", "取引先コード", "取引先", "勘定科目", "税区分",
    "金額", "税計算区分", "税額", "備考", "品目", "部門", "メモタグ（複数指定可、カンマ区切り）",
    "セグメント1", "セグメント2", "セグメント3", "決済日", "決済口座", "決済金額",
)  # fmt: skip


def _rows(found: Iterable[Movement], terms: Terms) -> Iterator[Sequence[Value]]:
    for movement in found:
        for n, share in enumerate(movement.shares):
            is_first = n == 0
            yield row(
                len(_HEADINGS),
                {
                    1: "収入" if is_first else None,
                    2: movement.order_no if is_first else None,
                    3: movement.day,
                    6: terms.partner if is_first else None,
                    7: terms.sales,
                    8: terms.tax[share.rate],
                    9: share.amount,
                    10: "内税",
                    11: share.tax,
                    12: summary(movement),
                },
            )


LAYOUT = JournalLayout(
    word="freee",
    label="freee会計",
    where="freee会計の「取引」→「エクセルインポート」",
    headings=_HEADINGS,
    encoding=Encoding.UTF_8,
    rows=_rows,
)
