"""ヤマト運輸 B2クラウド, 発行済データ: 95 or 97 columns, or those the shop chose; its heading may be off."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sgpshop.services.files.layout import Layout, Purpose, Source

#: 送り状種類; 7 was ネコポス before クロネコゆうパケット took its place
_KINDS = dict.fromkeys("012456", "002") | {
    "7": "002",
    "8": "029",
    "9": "029",
    "A": "030",
    "3": "031",
}
_NUMBER, _DAY = re.compile(r"(?:[0-9-]{12,14})?"), re.compile(r"\d{4}/\d{1,2}/\d{1,2}")


def _is_row(cells: Sequence[str]) -> bool:
    return (
        95 <= len(cells) <= 97
        and cells[1] in _KINDS
        and _NUMBER.fullmatch(cells[3]) is not None
        and _DAY.fullmatch(cells[4]) is not None
    )


LAYOUT = Layout(
    id="b01",
    program="ヤマト運輸 B2クラウド",
    purpose=Purpose.SLIPS,
    signature=("お客様管理番号", "伝票番号", "送り状種類"),
    columns={
        "order_no": "お客様管理番号",
        "slip_no": "伝票番号",
        "ship_date": "出荷予定日",
        "carrier": Source(("送り状種類",), lambda texts: texts[0], _KINDS, constant="002"),
    },
    export="B2クラウドの「発行済データの検索」で対象を選び、「外部ファイルに出力」してください。",
    shape=_is_row,
    positions={"order_no": 0, "carrier": 1, "slip_no": 3, "ship_date": 4},
)
