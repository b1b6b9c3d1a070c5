"""EC-CUBE 4, 出荷CSV: no order number is in the file."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b18",
    program="EC-CUBE 4 出荷CSV",
    purpose=Purpose.SLIPS,
    signature=("出荷ID", "お問い合わせ番号", "出荷日"),
    columns={
        "slip_no": "お問い合わせ番号",
    },
    refusal="出荷IDはEC-CUBEの中だけの番号で、注文番号の列がないため、どの注文の伝票番号か分かりません。「注文番号」の列を足してから選んでください。",
)
