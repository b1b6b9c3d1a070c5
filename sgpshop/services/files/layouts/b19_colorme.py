"""カラーミーショップ: 配送先ID is its own number."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b19",
    program="カラーミーショップ 伝票番号",
    purpose=Purpose.SLIPS,
    signature=("注文ID", "配送伝票番号"),
    columns={
        "order_no": "注文ID",
        "slip_no": "配送伝票番号",
    },
    export="カラーミーショップの受注から、注文IDと配送伝票番号を入れてCSV出力してください。",
)
