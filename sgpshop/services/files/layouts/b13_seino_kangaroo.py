"""西濃運輸 カンガルー・マジック2: 45 or 47 columns, mostly without headings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sgpshop.services.files.layout import Layout, Purpose, always

_DAY, _NUMBER = re.compile(r"\d{8}"), re.compile(r"(?:\d{10})?")


def _is_row(cells: Sequence[str]) -> bool:
    is_day = len(cells) in (45, 47) and _DAY.fullmatch(cells[0]) is not None
    return is_day and _NUMBER.fullmatch(cells[2]) is not None


LAYOUT = Layout(
    id="b13",
    program="西濃運輸 カンガルー・マジック2",
    purpose=Purpose.SLIPS,
    signature=("管理番号", "お問合せ番号", "原票区分"),
    columns={
        "order_no": "管理番号",
        "slip_no": "お問合せ番号",
        "ship_date": "出荷予定日",
        "carrier": always("006"),
    },
    export="カンガルー・マジック2の「出荷データ出力」を使ってください。",
    shape=_is_row,
    positions={"ship_date": 0, "order_no": 1, "slip_no": 2},
)
