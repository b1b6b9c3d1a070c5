"""カラーミーショップ sales_all.csv."""

from sgpshop.services.files.layout import Layout, Purpose, add, first, when

LAYOUT = Layout(
    id="a07",
    program="カラーミーショップ 受注CSV",
    purpose=Purpose.ORDERS,
    signature=("売上ID", "購入者 名前", "購入商品 商品名"),
    columns={
        "order_no": "売上ID",
        "ordered_at": "受注日",
        "method": "決済方法",
        "order_state": when("発送状態", "キャンセル", then="0"),
        "member_id": "購入者 顧客ID",
        "buyer_name": "購入者 名前",
        "buyer_postal_code": "購入者 郵便番号",
        "buyer_prefecture": "購入者 都道府県",
        "buyer_address": "購入者 住所",
        "buyer_tel": first("購入者 電話番号", "購入者 携帯番号"),
        "buyer_email": "購入者 メールアドレス",
        "carriage": "送料合計",
        "commission": add(
            "決済手数料", "熨斗手数料合計", "メッセージカード手数料合計", "ラッピング手数料合計"
        ),
        "points_used": add("ショップポイントによる割引金額", "外部ポイントによる割引金額"),
        "discount": "割引金額",
        "total": "総合計金額",
        "note": "備考",
        "delivery_key": "配送先ID",
        "name": "配送先 名前",
        "postal_code": "配送先 郵便番号",
        "prefecture": "配送先 都道府県名",
        "address": "配送先 住所",
        "tel": "配送先 電話番号",
        "wish_date": "配送希望日",
        "wish_time": "配送希望時間",
        "item_name": "購入商品 商品名",
        "code": "購入商品 型番",
        "unit_price": "購入商品 販売価格(消費税込)",
        "quantity": "購入商品 販売個数",
    },
    export="受注管理 → 受注データダウンロード → すべての項目(sales_all.csv)。",
)
