"""日本郵便 クリックポスト: no order number is in the file."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose

LAYOUT = Layout(
    id="b11",
    program="日本郵便 クリックポスト",
    purpose=Purpose.SLIPS,
    signature=("申込日時", "お問い合わせ番号", "お届け先氏名"),
    columns={
        "slip_no": "お問い合わせ番号",
    },
    refusal="注文番号の列がないため、どの注文の伝票番号か分かりません。「注文番号」の列を足して、各行に注文番号を入れてから選んでください。",
)
