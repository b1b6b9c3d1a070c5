"""佐川急便 BizLogi: 61 columns."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b07",
    program="佐川急便 BizLogi",
    purpose=Purpose.SLIPS,
    signature=("問い合せ№", "お客様管理番号"),
    columns={
        "order_no": "お客様管理番号",
        "slip_no": "問い合せ№",
        "ship_date": "出荷日",
        "carrier": always("003"),
    },
    export="BizLogiから出荷実績をCSV出力してください。",
)
