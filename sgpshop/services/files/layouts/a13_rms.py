"""楽天RMS 受注CSV (158 columns): postal codes in two cells, telephone numbers in three."""

from sgpshop.services.files.layout import Layout, Purpose, add, first, join, say, when

#: お届け時間帯 of RMS
_TIMES = {"1": "午前中", "2": "午後", "9": ""}

LAYOUT = Layout(
    id="a13",
    program="楽天RMS 受注CSV",
    purpose=Purpose.ORDERS,
    signature=("注文番号", "サブステータスID", "送付先ID", "請求金額"),
    columns={
        "order_no": "注文番号",
        "ordered_at": first("注文日時"),
        "method": "支払方法名",
        "order_state": when("ステータス", "900", then="0"),
        "buyer_name": join("注文者姓", "注文者名", by=" "),
        "buyer_kana": join("注文者姓カナ", "注文者名カナ", by=" "),
        "buyer_postal_code": join("注文者郵便番号1", "注文者郵便番号2", by="-"),
        "buyer_prefecture": "注文者住所都道府県",
        "buyer_address": join("注文者住所郡市区", "注文者住所それ以降の住所"),
        "buyer_tel": join("注文者電話番号1", "注文者電話番号2", "注文者電話番号3", by="-"),
        "buyer_email": "注文者メールアドレス",
        "carriage": "送料合計",
        "commission": add("代引料合計", "決済手数料", "ラッピング料金1", "ラッピング料金2"),
        "points_used": "ポイント利用額",
        "coupon": "クーポン利用総額",
        "total": "請求金額",
        "tax_8": "8%請求額に対する税額",
        "tax_10": "10%請求額に対する税額",
        "note": "コメント",
        "delivery_key": "送付先ID",
        "name": join("送付先姓", "送付先名", by=" "),
        "postal_code": join("送付先郵便番号1", "送付先郵便番号2", by="-"),
        "prefecture": "送付先住所都道府県",
        "address": join("送付先住所郡市区", "送付先住所それ以降の住所"),
        "tel": join("送付先電話番号1", "送付先電話番号2", "送付先電話番号3", by="-"),
        "wish_date": "お届け日指定",
        "wish_time": say("お届け時間帯", _TIMES),
        "item_name": "商品名",
        "code": first("商品番号", "商品管理番号"),
        "option": "項目・選択肢",
        # 単価 may be before tax (税込別 0)
        "unit_price": first("商品毎税込価格", "単価"),
        "quantity": "個数",
        "tax_rate": "商品税率",
    },
    export="受注・決済管理 → データダウンロード → 通常購入データ(すべての項目)。",
)
