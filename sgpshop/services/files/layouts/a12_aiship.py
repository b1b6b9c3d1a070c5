"""aiship 受注データ, of columns the shop chose; those that may be written back begin with «*»."""

from sgpshop.services.files.layout import Layout, Purpose, first, join, when

LAYOUT = Layout(
    id="a12",
    program="aiship 受注データ",
    purpose=Purpose.ORDERS,
    signature=("コントロールカラム", "INDEX", "商品管理番号"),
    columns={
        "order_no": "注文番号",
        "ordered_at": "注文日時",
        "method": "決済方法",
        "order_state": when("管理ステータス", "キャンセル", then="0"),
        "buyer_name": first("注文者名", "注文者氏名"),
        "buyer_postal_code": "注文者郵便番号",
        "buyer_prefecture": "注文者都道府県",
        "buyer_address": first("注文者住所"),
        "buyer_tel": "注文者電話番号",
        "buyer_email": "注文者メールアドレス",
        "carriage": "送料",
        "commission": first("手数料", "決済手数料"),
        "points_used": first("使用ポイント", "利用ポイント"),
        "total": first("合計金額", "請求金額", "ご請求金額"),
        "name": first("送付先名", "お届け先名"),
        "postal_code": first("送付先郵便番号", "お届け先郵便番号"),
        "prefecture": first("送付先都道府県", "お届け先都道府県"),
        "address": first("送付先住所", "お届け先住所"),
        "tel": first("送付先電話番号", "お届け先電話番号"),
        "item_name": "商品名",
        "code": "商品管理番号",
        "option": join("商品バリエーション選択肢", "商品オプション選択肢", by=" "),
        "unit_price": "商品単価",
        "quantity": "数量",
    },
    export="受注管理 → CSVダウンロードで、合計金額・送料・お届け先の項目も選んで出力してください。",
)
