"""日本郵便 ゆうパックプリントR, 発送履歴: the columns the shop chose, its heading may be off."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sgpshop.services.files.layout import Layout, Purpose, first
from sgpshop.services.files.layouts import b09_yupri_r_export

_FOUR = tuple(map(re.compile, (r".+", r"\d{12}", r"(?:\d{8})?", r"(?:\d{2})?")))


def _is_row(cells: Sequence[str]) -> bool:
    return len(cells) == len(_FOUR) and all(
        form.fullmatch(cell) for form, cell in zip(_FOUR, cells, strict=True)
    )


LAYOUT = Layout(
    id="b08",
    program="日本郵便 ゆうパックプリントR 発送履歴",
    purpose=Purpose.SLIPS,
    signature=("お客様側管理番号", "お問い合わせ番号"),
    columns={
        "order_no": "お客様側管理番号",
        "slip_no": "お問い合わせ番号",
        "ship_date": first("仮引受確定作業年月日", "発送予定日"),
        "carrier": b09_yupri_r_export.CARRIER,
    },
    export="ゆうパックプリントRの「発送履歴」から、見出しを付けて出力してください。",
    shape=_is_row,
    positions={"order_no": 0, "slip_no": 1},
)
