"""STORES オーダー一覧: no column names the way of payment, and there is no price of one piece."""

from sgpshop.domain.amounts import yen_in
from sgpshop.services.files.layout import Layout, Purpose, Row, first, join, when

#: asked about like any other name: the file has no column for it
_NO_METHOD = "STORES(決済方法の列なし)"


def _prices(rows: list[Row]) -> list[Row]:
    """The price of one piece, where 小計 is so many times a whole yen."""
    for row in rows:
        row.texts["method"] = row.texts.get("method") or _NO_METHOD
        amount = yen_in(row.texts.get("subtotal", ""))
        pieces = yen_in(row.texts.get("quantity", ""))
        if row.texts.get("unit_price") or amount is None or not pieces:
            continue
        if amount % pieces == 0:
            row.texts["unit_price"] = str(amount // pieces)
        else:  # sold as one, so that the sum is right
            name = row.texts["item_name"]
            row.texts |= {
                "unit_price": str(amount),
                "quantity": "1",
                "item_name": f"{name}({pieces}個)",
            }
    return rows


LAYOUT = Layout(
    id="a11",
    program="STORES オーダーCSV",
    purpose=Purpose.ORDERS,
    signature=("オーダー番号", "アイテム名", "氏(配送先)"),
    columns={
        "order_no": "オーダー番号",
        "ordered_at": first("オーダー日", "オーダー日時"),
        "method": first("決済方法", "支払い方法"),
        "order_state": when("ステータス", "キャンセル", then="0"),
        "buyer_name": join("氏(請求先)", "名(請求先)", "氏(購入者)", "名(購入者)", by=" "),
        "buyer_company": first("法人名(請求先)", "法人名(購入者)"),
        "buyer_postal_code": first("郵便番号(請求先)", "郵便番号(購入者)"),
        "buyer_prefecture": first("都道府県(請求先)", "都道府県(購入者)"),
        "buyer_address": first("住所(請求先)", "住所(購入者)"),
        "buyer_tel": first("電話番号(請求先)", "電話番号(購入者)"),
        "buyer_email": first("メールアドレス", "メールアドレス(請求先)", "メールアドレス(購入者)"),
        "carriage": "配送料",
        "total": "合計",
        "note": "備考",
        "name": join("氏(配送先)", "名(配送先)", by=" "),
        "postal_code": "郵便番号(配送先)",
        "prefecture": "都道府県(配送先)",
        "address": "住所(配送先)",
        "tel": "電話番号(配送先)",
        "item_name": "アイテム名",
        "option": "種類",
        "code": first("品番", "アイテムコード"),
        "subtotal": "小計",
        "unit_price": first("単価", "価格"),
        "quantity": "個数",
    },
    export="オーダー → CSVダウンロード。",
    rows=_prices,
    adds=("unit_price", "method"),
)
