"""Words that order files of no known program have for our fields (§6 of the layouts), and none that mislead.

Words that mean different things in different programs are not here: 合計 before points, 注文ID, 管理番号.
"""

from collections.abc import Mapping

from sgpshop.services.files.layout import Source, first, join
from sgpshop.services.files.layouts import a00_own

#: our field -> more headings, behind our own
_MORE: dict[str, tuple[str, ...]] = {
    "order_no": ("受注番号", "店舗伝票番号", "受注コード", "オーダー番号", "order-id", "OrderId"),
    "ordered_at": (
        "注文日",
        "受注日",
        "受注日時",
        "オーダー日",
        "オーダー日時",
        "Created at",
        "OrderTime",
        "purchase-date",
    ),
    "method": (
        "支払方法",
        "支払い方法",
        "お支払方法",
        "お支払い方法",
        "支払方法名",
        "支払方法(名称)",
        "PayMethodName",
        "Payment Method",
    ),
    "member_id": ("顧客コード", "顧客ID"),
    "buyer_name": ("購入者", "購入者名", "購入者氏名", "注文者名", "受注名", "お名前", "氏名"),
    "buyer_kana": ("注文者フリガナ", "購入者フリガナ", "フリガナ", "受注名カナ"),
    "buyer_postal_code": ("注文者郵便番号", "購入者郵便番号", "受注郵便番号"),
    "buyer_prefecture": ("注文者都道府県", "購入者都道府県"),
    "buyer_tel": ("注文者電話番号", "購入者電話番号", "受注電話番号", "TEL"),
    "buyer_email": ("注文者メールアドレス", "購入者メールアドレス", "受注メールアドレス", "メール"),
    "carriage": ("発送料", "配送料", "送料合計", "ShipCharge", "Shipping"),
    "commission": (
        "決済手数料",
        "代引手数料",
        "代引き手数料",
        "代引料合計",
        "その他手数料",
        "PayCharge",
    ),
    "points_used": ("ポイント利用額", "利用ポイント", "ポイント利用", "ポイント"),
    "coupon": ("クーポン利用額", "クーポン割引額", "クーポン利用総額"),
    "discount": ("割引金額", "割引額", "値引額", "Discount Amount"),
    "total": (
        "請求金額",
        "ご請求金額",
        "請求合計金額",
        "総合計金額",
        "支払合計",
        "支払金額",
        "Total",
        "TotalPrice",
    ),
    "tax_8": ("請求額に対する税額(8%対象)", "8%請求額に対する税額"),
    "tax_10": ("請求額に対する税額(10%対象)", "10%請求額に対する税額"),
    "name": (
        "お届け先名",
        "送付先名",
        "発送先名",
        "配送先名",
        "配送先氏名",
        "受取人",
        "recipient-name",
    ),
    "postal_code": ("送付先郵便番号", "発送郵便番号", "配送先郵便番号"),
    "prefecture": ("送付先都道府県", "配送先都道府県"),
    "address": ("送付先住所", "発送先住所", "配送先住所"),
    "tel": ("送付先電話番号", "発送電話番号", "配送先電話番号", "受取人の電話番号"),
    "wish_date": (
        "お届け希望日",
        "日付指定",
        "お届け日指定",
        "配達日",
        "配送日",
        "ShipRequestDate",
    ),
    "wish_time": (
        "配送希望時間帯",
        "お届け希望時間帯",
        "お届け希望時間",
        "お届け時間帯",
        "時間帯指定",
        "配達時間帯",
    ),
    "code": ("商品番号", "独自商品コード", "商品管理番号", "品番", "sku", "ItemId"),
    "item_name": ("アイテム名", "品名", "product-name", "Title"),
    "option": ("バリエーション", "商品オプション", "種類"),
    "jan": ("JANコード",),
    "unit_price": (
        "商品価格",
        "価格",
        "販売単価",
        "商品単価",
        "販売価格",
        "商品毎税込価格",
        "UnitPrice",
    ),
    "quantity": ("個数", "受注数量", "購入数量", "Quantity", "quantity-purchased"),
    "tax_rate": ("消費税率", "消費税率（%）", "商品税率", "ItemTaxRatio"),
}


def _with(source: str | Source, more: tuple[str, ...]) -> Source:
    own = first(source) if isinstance(source, str) else source
    return Source((*own.headings, *more), own.combine)


COLUMNS: Mapping[str, str | Source] = {
    name: _with(source, _MORE.get(name, ())) for name, source in a00_own.COLUMNS.items()
} | {
    "note": join("備考", "独自項目", "お客様備考", "通信欄", by="\n"),
    "adjustment": first("調整金額", "その他費用"),  # signed, wherever it occurs
}
