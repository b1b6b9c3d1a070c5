"""楽天RMS, 発送完了: a row for each number, companies by codes of Rakuten."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b17",
    program="楽天RMS 発送完了報告",
    purpose=Purpose.SLIPS,
    signature=("注文番号", "お荷物伝票番号", "発送明細ID"),
    columns={
        "order_no": "注文番号",
        "slip_no": "お荷物伝票番号",
        "ship_date": "発送日",
        "carrier": "配送会社",
    },
    export="注文番号とお荷物伝票番号の列がある、RMSの発送完了報告のファイルを選んでください。",
)
