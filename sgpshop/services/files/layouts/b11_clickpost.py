"""日本郵便 クリックポスト: no order number is in the file before somebody adds it."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b11",
    program="日本郵便 クリックポスト",
    purpose=Purpose.SLIPS,
    signature=("申込日時", "お問い合わせ番号", "お届け先氏名"),
    columns={
        "order_no": "注文番号",
        "slip_no": "お問い合わせ番号",
        "ship_date": "申込日時",
        "carrier": always("027"),
    },
    export="どの注文の伝票番号かが入っていないため、「注文番号」の列を足し、各行に注文番号を入れてから選んでください。",
)
