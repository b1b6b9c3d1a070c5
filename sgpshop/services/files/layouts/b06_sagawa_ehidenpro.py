"""佐川急便 e飛伝Pro: 149 columns."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b06",
    program="佐川急便 e飛伝Pro",
    purpose=Purpose.SLIPS,
    signature=("問い合せ№", "顧客管理番号"),
    columns={
        "order_no": "顧客管理番号",
        "slip_no": "問い合せ№",
        "ship_date": "出荷日",
        "carrier": always("003"),
    },
    export="e飛伝Proの「出荷実績」からCSV出力してください。",
)
