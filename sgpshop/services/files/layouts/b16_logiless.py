"""ロジレス, 出荷済み: several numbers in a cell."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b16",
    program="ロジレス",
    purpose=Purpose.SLIPS,
    signature=("受注コード", "（出荷伝）配送追跡番号リスト"),
    columns={
        "order_no": "受注コード",
        "slip_no": "（出荷伝）配送追跡番号リスト",
        "carrier": "（出荷伝）配送方法",
    },
    export="ロジレスの受注一覧からCSVダウンロードしてください。",
)
