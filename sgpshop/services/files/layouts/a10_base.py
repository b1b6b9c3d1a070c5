"""BASE 注文CSV: an option of an item is a row below it, and no column has the total of the order."""

from sgpshop.domain.amounts import yen_in
from sgpshop.services.files.layout import Layout, Purpose, Row, first, join, when
from sgpshop.services.files.sources import said_once

_OPTION = "商品オプション「"
_ONCE = ("carriage", "commission", "adjustment")


def _items(rows: list[Row]) -> list[Row]:
    items: list[Row] = []
    for row in rows:
        name = row.texts.get("item_name", "")
        if name.startswith(_OPTION) and items:
            _add_option(items[-1], name, row)
        else:
            items.append(row)
    said_once(rows, *_ONCE)
    amounts = [yen_in(one.texts.get(name, "") or "0") for one in items[:1] for name in _ONCE]
    for item in items:
        price, quantity = yen_in(item.texts["unit_price"]), yen_in(item.texts["quantity"])
        amounts.append(None if price is None or quantity is None else price * quantity)
    if None not in amounts:
        for item in items:
            item.texts["total"] = str(sum(filter(None, amounts)))
    return items


def _add_option(item: Row, name: str, row: Row) -> None:
    """Its name and choice go with the item above, and its price is a surcharge for each piece."""
    what = name.removeprefix(_OPTION).rstrip("」")
    chosen = ":".join(filter(None, (what, row.texts.get("option", ""))))
    item.texts["option"] = " ".join(filter(None, (item.texts.get("option", ""), chosen)))
    price, more = yen_in(item.texts["unit_price"]), yen_in(row.texts["unit_price"] or "0")
    if price is not None and more is not None:
        item.texts["unit_price"] = str(price + more)


LAYOUT = Layout(
    id="a10",
    program="BASE 注文CSV",
    purpose=Purpose.ORDERS,
    signature=("注文ID", "氏(請求先)", "バリエーション"),
    columns={
        "order_no": "注文ID",
        "ordered_at": "注文日時",
        "method": first("支払い方法", "支払方法"),
        "order_state": when("発送状況", "キャンセル", then="0"),
        "buyer_name": join("氏(請求先)", "名(請求先)", by=" "),
        "buyer_postal_code": "郵便番号(請求先)",
        "buyer_prefecture": "都道府県(請求先)",
        "buyer_address": join("住所(請求先)", "住所2(請求先)", "住所3(請求先)"),
        "buyer_tel": "電話番号(請求先)",
        "buyer_email": "メールアドレス(請求先)",
        "carriage": "送料",
        "commission": "代引き手数料",
        "adjustment": "調整金額",
        #: no heading gives it: it is added up
        "total": first("注文の合計金額"),
        "note": join("備考", "注文メモ", by="\n"),
        "name": join("氏(配送先)", "名(配送先)", by=" "),
        "postal_code": "郵便番号(配送先)",
        "prefecture": "都道府県(配送先)",
        "address": join("住所(配送先)", "住所2(配送先)", "住所3(配送先)"),
        "tel": "電話番号(配送先)",
        "wish_date": "配送日",
        "wish_time": "配送時間帯",
        "item_name": "商品名",
        "code": "商品ID",
        "option": "バリエーション",
        "unit_price": "価格",
        "quantity": "数量",
        "tax_rate": "税率",
    },
    export="注文管理 → CSVダウンロード。",
    rows=_items,
    adds=("total",),
)
