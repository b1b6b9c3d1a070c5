"""GoQSystem: a row for each item."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b20",
    program="GoQSystem",
    purpose=Purpose.SLIPS,
    signature=("GoQ管理番号", "お荷物伝票番号", "受注番号"),
    columns={
        "order_no": "受注番号",
        "slip_no": "お荷物伝票番号",
        "carrier": "配送方法(複数配送先)",
    },
    export="GoQSystemの受注から、受注番号とお荷物伝票番号を入れてCSV出力してください。",
)
