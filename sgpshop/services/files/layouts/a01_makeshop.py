"""GMO MakeShop 注文データ: a template of the shop's own choice, so any of the headings may be there.

郵便番号 and 住所 are the recipient's in a file that has 受取人 and no お届け先…, else the buyer's.
"""

import re

from sgpshop.domain.text import nfkc
from sgpshop.services.files.layout import Layout, Purpose, Row, Source, first, say
from sgpshop.services.files.layouts import a00_own

_NAME = "GMO MakeShop 注文データ"
_EXPORT = (
    "注文出力用テンプレートの設定で、注文番号・日付・決済方法・合計金額・商品名・単価・数量を選んで"
    "出力してください。"
)
_NONE = {"--": "", "//": ""}
_COLUMNS: dict[str, str | Source] = a00_own.COLUMNS | {
    "method": first("決済方法", "決済方法(ステータス)"),
    "method_and_state": "決済方法(ステータス)",
    "code": first("オプション独自コード", "独自商品コード", "商品コード"),
    "option": first("選択肢", "OPTION+商品別特殊表示"),
    "jan": first("JANコード", "JAN"),
    "quantity": first("数量", "個数"),
    "unit_price": first("単価", "商品価格"),
    "total": first("合計金額", "支払金額", "合計"),
    "wish_date": say("配送希望日", _NONE),
    "wish_time": first("配送時間帯", "配送希望時間帯"),
    "name": first("お届け先氏名", "お届け先", "受取人"),
    "tel": first("お届け先電話", "お届け先電話番号", "受取人の電話番号"),
}
_TO_RECIPIENT = _COLUMNS | {
    "postal_code": "郵便番号",
    "prefecture": "都道府県",
    "address": "住所",
    "buyer_postal_code": first("注文者郵便番号"),
    "buyer_prefecture": first("注文者都道府県"),
    "buyer_address": first("注文者住所"),
}


#: «キャンセル» as a state, not as what a way of payment is called by (キャンセル不可, キャンセル料).
_CALLED_OFF = re.compile(r"(?:注文)?キャンセル(?:済み?|完了)?(?!不可|待|料|可|期限|ポリシー)")
_STATE = re.compile(r"(?<=.)\([^()]*\)$")


def _split_state(rows: list[Row]) -> list[Row]:
    """決済方法(ステータス) is «name(state)», or has «キャンセル» beside the name: no buyer pays such an order.

    Other states are no claim of ours, and the name is what is left.
    """
    for row in rows:
        said = nfkc(row.texts.get("method_and_state", ""))
        if not said:
            continue
        if _CALLED_OFF.search(said):
            row.texts["order_state"] = "0"
        name = _CALLED_OFF.sub("", _STATE.sub("", said)).strip(" :・/-_")
        if row.texts.get("method") == row.texts["method_and_state"] and name:
            row.texts["method"] = name
    return rows


ORDERS = Layout(
    id="a01",
    program=_NAME,
    purpose=Purpose.ORDERS,
    signature=("注文番号", "処理状況", "日付"),
    columns=_COLUMNS,
    export=_EXPORT,
    rows=_split_state,
)
ITEMS = Layout(
    id="a18",
    program=_NAME,
    purpose=Purpose.ORDERS,
    signature=("注文番号", "OPTION+商品別特殊表示"),
    columns=_COLUMNS,
    export=_EXPORT,
    rows=_split_state,
)
SHIPPING = Layout(
    id="a02",
    program=f"{_NAME}(受取人あり)",
    purpose=Purpose.ORDERS,
    signature=("注文番号", "受取人"),
    without=("お届け先氏名", "お届け先郵便番号", "お届け先住所"),
    columns=_TO_RECIPIENT,
    export=_EXPORT,
    rows=_split_state,
)
SALES = Layout(
    id="a03",
    program=f"{_NAME}(決済方法とステータスが1列)",
    purpose=Purpose.ORDERS,
    signature=("注文番号", "決済方法(ステータス)"),
    columns=_COLUMNS,
    export=_EXPORT,
    rows=_split_state,
)
