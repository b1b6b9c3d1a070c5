"""EC-CUBE 4, 出荷CSV: no order number is in the file before somebody adds it."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b18",
    program="EC-CUBE 4 出荷CSV",
    purpose=Purpose.SLIPS,
    signature=("出荷ID", "お問い合わせ番号", "出荷日"),
    columns={
        "order_no": "注文番号",
        "slip_no": "お問い合わせ番号",
        "ship_date": "出荷日",
    },
    export="出荷IDはEC-CUBEの中だけの番号です。「注文番号」の列を足し、各行に注文番号を入れてから選んでください。",
)
