"""SMBCマルチペイメント, 取引一覧: nobody publishes its headings, so by all the words that occur."""

from __future__ import annotations

from sgpshop.services.files.layout import Layout, Purpose, first

LAYOUT = Layout(
    id="e01",
    program="SMBCマルチペイメント 取引一覧",
    purpose=Purpose.CONSOLE,
    signature=("オーダーID", "状態", "取引ID"),
    columns={
        "order_id": first("オーダーID", "OrderID", "取引先オーダーID", "注文番号"),
        "state": first(
            "状態", "取引状態", "現状態", "現在の状態", "決済状況", "決済ステータス", "ステータス", "Status"
        ),
        "amount": first("金額", "利用金額", "決済金額", "取引金額", "Amount"),
        "tax": first("税送料", "税/送料", "税・送料", "Tax"),
    },
    export="SMBCマルチペイメントのショップ管理画面の取引検索で、検索結果をCSVダウンロードしてください。",
)  # fmt: skip
