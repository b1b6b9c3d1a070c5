"""EC-CUBE 4 受注CSV (and 配送CSV): a row for every 明細, and only 商品 is an item (§2.5).

Prices are before tax, which EC-CUBE adds to each piece and rounds half up; fees are with tax.
"""

from sgpshop.domain.amounts import yen_in
from sgpshop.services.files.layout import Layout, Purpose, Row, RowsRefused, join, when
from sgpshop.services.files.sources import LABEL, labelled

_FEE, _REDUCTION, _POINTS = "手数料", ("割引", "値引き"), "ポイント"


def _items(rows: list[Row]) -> list[Row]:
    items = [row for row in rows if row.texts.get("detail", "商品") == "商品"]
    if not items:
        raise RowsRefused("「明細区分(名称)」が商品の行がありません。")
    order = items[0].texts
    order["commission"] = str(_sum(rows, _FEE))
    order["points_used"] = str(-_sum(rows, _POINTS))
    order["discount"] = str(-_sum(rows, *_REDUCTION))
    for item in items:
        item.texts |= {
            "commission": order["commission"],
            "points_used": order["points_used"],
            "discount": order["discount"],
            "unit_price": _with_tax(item.texts),
        }
    return labelled(items)


def _sum(rows: list[Row], *details: str) -> int:
    """The amount of all rows of a kind; 個数 may be more than one."""
    wanted = (row.texts for row in rows if row.texts.get("detail") in details)
    return sum(
        (yen_in(texts["unit_price"]) or 0) * (yen_in(texts["quantity"]) or 1) for texts in wanted
    )


def _with_tax(texts: dict[str, str]) -> str:
    price, rate = yen_in(texts["unit_price"]), yen_in(texts.get("tax_rate", ""))
    if price is None or rate is None:
        return texts["unit_price"]
    return str(price + (price * rate + 50) // 100)


LAYOUT = Layout(
    id="a06",
    program="EC-CUBE 4 受注CSV",
    purpose=Purpose.ORDERS,
    signature=("注文ID", "注文番号", "お名前(姓)", "明細区分(名称)"),
    columns={
        "order_no": "注文番号",
        "ordered_at": "受注日",
        "method": "支払方法(名称)",
        "order_state": when("対応状況(名称)", "取消", "キャンセル", then="0"),
        "member_id": "会員ID",
        "buyer_name": join("お名前(姓)", "お名前(名)", by=" "),
        "buyer_kana": join("お名前(セイ)", "お名前(メイ)", by=" "),
        "buyer_company": "会社名",
        "buyer_postal_code": "郵便番号",
        "buyer_prefecture": "都道府県(名称)",
        "buyer_address": join("住所1", "住所2"),
        "buyer_tel": "TEL",
        "buyer_email": "メールアドレス",
        "carriage": "送料",
        "total": "支払合計",
        "note": "ショップ用メモ欄",
        "delivery_key": "出荷ID",
        "carrier_code": "配送業者(名称)",
        "slip_no": "出荷伝票番号",
        "name": join("配送先_お名前(姓)", "配送先_お名前(名)", by=" "),
        "postal_code": "配送先_郵便番号",
        "prefecture": "配送先_都道府県(名称)",
        "address": join("配送先_住所1", "配送先_住所2"),
        "tel": "配送先_TEL",
        "wish_date": "お届け希望日",
        "wish_time": "お届け時間(名称)",
        "detail": "明細区分(名称)",
        "item_name": "商品名",
        "code": "商品コード",
        "option": join("規格分類名1", "規格分類名2", by=" "),
        "unit_price": "価格",
        "quantity": "個数",
        "tax_rate": "税率",
    },
    export="受注一覧 → CSVダウンロード → 受注CSV。出力項目は初期設定のままで使えます。",
    rows=_items,
    fills=LABEL,
)
