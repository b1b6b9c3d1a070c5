"""佐川急便 e飛伝Ⅱ, 出荷実績: 53 columns; 削除区分 1 is a label that was taken back."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b05",
    program="佐川急便 e飛伝Ⅱ",
    purpose=Purpose.SLIPS,
    signature=("お問合せ送り状№", "お客様管理ナンバー"),
    columns={
        "order_no": "お客様管理ナンバー",
        "slip_no": "お問合せ送り状№",
        "ship_date": "出荷日時",
        "deleted": "削除区分",
        "carrier": always("003"),
    },
    export="e飛伝Ⅱの「出荷実績」からCSV出力してください。",
)
