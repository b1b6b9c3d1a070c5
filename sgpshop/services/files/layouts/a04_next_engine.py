"""Next Engine 受注一覧の汎用 CSV, with 41 columns (a04) or, for invoices, 61 (a05)."""

from sgpshop.services.files.layout import Layout, Purpose, Source, first
from sgpshop.services.files.sources import prefecture_in, without_prefecture

_COLUMNS: dict[str, str | Source] = {
    "order_no": "店舗伝票番号",
    "ordered_at": "受注日",
    "method": first("支払方法"),
    "buyer_name": "受注名",
    "buyer_kana": "受注名カナ",
    "buyer_postal_code": "受注郵便番号",
    "buyer_prefecture": prefecture_in("受注住所１"),
    "buyer_address": without_prefecture("受注住所１", "受注住所２"),
    "buyer_tel": "受注電話番号",
    "buyer_email": "受注メールアドレス",
    "name": "発送先名",
    "postal_code": "発送郵便番号",
    "prefecture": prefecture_in("発送先住所１"),
    "address": without_prefecture("発送先住所１", "発送先住所２"),
    "tel": "発送電話番号",
    "wish_date": "日付指定",
    "wish_time": "時間帯指定",
    "carriage": "発送料",
    "commission": "手数料",
    "points_used": "ポイント",
    "coupon": "クーポン割引額",
    "adjustment": "その他費用",
    "tax_8": "請求額に対する税額(8%対象)",
    "tax_10": "請求額に対する税額(10%対象)",
    "total": "合計金額",
    "note": "備考",
    "item_name": "商品名",
    "code": "商品コード",
    "option": "商品オプション",
    "unit_price": "商品価格",
    "quantity": "受注数量",
    "tax_rate": "消費税率（%）",
}
_EXPORT = "受注一覧 → 汎用CSVダウンロード(hanyo-jyuchu)で出力してください。"

ORDERS = Layout(
    id="a04",
    program="ネクストエンジン 受注(汎用)",
    purpose=Purpose.ORDERS,
    signature=("店舗伝票番号", "受注名", "発送先名"),
    columns=_COLUMNS,
    export=_EXPORT,
)
INVOICES = Layout(
    id="a05",
    program="ネクストエンジン 受注(汎用・インボイス)",
    purpose=Purpose.ORDERS,
    signature=("店舗伝票番号", "受注名", "発送先名", "請求額に対する税額(8%対象)"),
    columns=_COLUMNS,
    export=_EXPORT,
)
