"""ヤマト運輸 B2 v6 and v7: 73 columns."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b02",
    program="ヤマト運輸 B2(v6・v7)",
    purpose=Purpose.SLIPS,
    signature=("送り状種別", "お届け予定（指定）日", "伝票番号"),
    columns={
        "order_no": "お客様管理番号",
        "slip_no": "伝票番号",
        "ship_date": "出荷予定日",
        "carrier": always("002"),
    },
    export="B2の「発行済データ」から外部ファイルに出力してください。",
)
