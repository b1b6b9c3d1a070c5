"""日本郵便 ゆうプリクラウド, 送り状データダウンロード: 9 columns."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, always

LAYOUT = Layout(
    id="b10",
    program="日本郵便 ゆうプリクラウド",
    purpose=Purpose.SLIPS,
    signature=("お客様側管理番号", "お問い合わせ番号", "お届け先 郵便番号", "お届け先 名称"),
    columns={
        "order_no": "お客様側管理番号",
        "slip_no": "お問い合わせ番号",
        "ship_date": "発送予定日",
        "carrier": always("001"),
    },
    export="ゆうプリクラウドの「送り状データダウンロード」を使ってください。",
)
