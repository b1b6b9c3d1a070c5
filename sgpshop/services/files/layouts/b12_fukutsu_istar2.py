"""福山通運 iSTAR-2, 出荷実績: 34 columns."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b12",
    program="福山通運 iSTAR-2",
    purpose=Purpose.SLIPS,
    signature=("荷受人コード", "送り状番号", "お客様管理番号"),
    columns={
        "order_no": "お客様管理番号",
        "slip_no": "送り状番号",
        "ship_date": "出荷日付",
        "carrier": always("007"),
    },
    export="iSTAR-2の「出荷実績」から、見出しを付けてCSV出力してください。",
)
