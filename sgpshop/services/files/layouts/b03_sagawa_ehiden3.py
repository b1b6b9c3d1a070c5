"""佐川急便 e飛伝Ⅲ, 標準: 74 columns."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b03",
    program="佐川急便 e飛伝Ⅲ",
    purpose=Purpose.SLIPS,
    signature=("お客様管理番号", "お問い合せ送り状No.", "お届け先コード取得区分"),
    columns={
        "order_no": "お客様管理番号",
        "slip_no": "お問い合せ送り状No.",
        "ship_date": "出荷日",
        "carrier": always("003"),
    },
    export="e飛伝Ⅲの「出荷履歴」から、標準テンプレートでCSV出力してください。",
)
