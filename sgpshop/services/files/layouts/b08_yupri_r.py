"""日本郵便 ゆうパックプリントR, whose headings may be off: 発送履歴, and all 119 columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sgpshop.services.files.layout import Layout, Purpose, first, join

#: 郵便種別
_KINDS = {"0": "001", "2": "015", "3": "015", "5": "026", "9": "025"}
#: the same with 元払, 着払 or 代引 behind it, which makes ゆうパック a service of its own
_WITH_FREIGHT = {kind + freight: code for kind, code in _KINDS.items() for freight in ("", *"012")}
_CARRIER = replace(
    join("郵便種別", "元／着払／代引"), words=_WITH_FREIGHT | {"02": "009"}, constant="001"
)
_EXPORT = "ゆうパックプリントRの「発送履歴」から、見出しを付けて出力してください。"
_FOUR = tuple(map(re.compile, (r".+", r"\d{12}", r"(?:\d{8})?", r"(?:\d{2})?")))
_NUMBER = re.compile(r"(?:\d{12})?")


def _is_of_history(cells: Sequence[str]) -> bool:
    return len(cells) == len(_FOUR) and all(
        form.fullmatch(cell) for form, cell in zip(_FOUR, cells, strict=True)
    )


def _is_of_all(cells: Sequence[str]) -> bool:
    return len(cells) == 119 and _NUMBER.fullmatch(cells[1]) is not None


#: The columns the shop chose.
HISTORY = Layout(
    id="b08",
    program="日本郵便 ゆうパックプリントR 発送履歴",
    purpose=Purpose.SLIPS,
    signature=("お客様側管理番号", "お問い合わせ番号"),
    columns={
        "order_no": "お客様側管理番号",
        "slip_no": "お問い合わせ番号",
        "ship_date": first("仮引受確定作業年月日", "発送予定日"),
        "carrier": _CARRIER,
    },
    export=_EXPORT,
    shape=_is_of_history,
    positions={"order_no": 0, "slip_no": 1},
)
#: The number in the first column is a serial where others are filled.
ALL = Layout(
    id="b09",
    program="日本郵便 ゆうパックプリントR",
    purpose=Purpose.SLIPS,
    signature=("お客様側管理番号", "お問い合わせ番号", "代表お問い合わせ番号"),
    columns={
        "order_no": first("受注番号", "フリー項目０１", "お客様側管理番号"),
        "slip_no": "お問い合わせ番号",
        "ship_date": "発送予定日",
        "carrier": _CARRIER,
    },
    export=_EXPORT,
    shape=_is_of_all,
    positions={"order_no": (55, 76, 0), "slip_no": 1, "ship_date": 3, "carrier": (7, 9)},
)
