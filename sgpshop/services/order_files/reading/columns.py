"""The fields of an order file: what they are called here, and what a cell may say (§14.2).

Where a field stands in which program's file is the affair of `services/files/layouts/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.order_files.reading import cells

_LONGEST_NOTE = 4000


class Part(StrEnum):
    """What a column describes; order and delivery columns repeat, or stand on the first row (R29)."""

    ORDER = "order"
    DELIVERY = "delivery"
    ITEM = "item"


@dataclass(frozen=True)
class FileColumn:
    """One field; `empty` is its value in a new order of which nothing is said.

    What cannot be used of a `spare` one is told and left out; any other keeps its order out.
    """

    part: Part
    field: str
    title: str
    parse: Callable[[str], Any]
    required: bool = False
    empty: Any = ""
    spare: bool = False
    #: without its whole number the row is of no use
    is_number: bool = False

    @property
    def key(self) -> str:
        """The field in a layout: the item's name and the recipient's are two."""
        return "item_name" if self.part is Part.ITEM and self.field == "name" else self.field


def _fits(attribute: InstrumentedAttribute[Any]) -> Callable[[str], str]:
    kind = attribute.property.columns[0].type
    assert isinstance(kind, sa.String)
    assert kind.length
    return cells.text(kind.length)


_O, _D, _I = Part.ORDER, Part.DELIVERY, Part.ITEM

ORDER_NO = FileColumn(_O, "order_no", "注文番号", cells.order_number, True, is_number=True)
COLUMNS = (
    ORDER_NO,
    FileColumn(_O, "ordered_at", "注文日時", cells.moment, True),
    FileColumn(_O, "ordered_time", "注文時間", cells.clock_time, empty=None),
    FileColumn(_O, "order_state", "注文状態", cells.order_state, empty=1),
    FileColumn(_O, "processing", "処理状況", cells.processing, empty=None),
    FileColumn(_O, "method", "決済方法", _fits(Order.method), True),
    FileColumn(_O, "payment_status", "決済方法ステータス", cells.payment_status, empty=None),
    FileColumn(_O, "member_id", "会員ID", cells.member_id(60), empty=None),
    FileColumn(_O, "buyer_name", "注文者", _fits(Order.buyer_name)),
    FileColumn(_O, "buyer_kana", "注文者(振り仮名)", _fits(Order.buyer_kana)),
    FileColumn(_O, "buyer_company", "会社名", _fits(Order.buyer_company)),
    FileColumn(_O, "buyer_department", "部署名", _fits(Order.buyer_department)),
    FileColumn(_O, "buyer_postal_code", "郵便番号", cells.postal_code),
    FileColumn(_O, "buyer_prefecture", "都道府県", cells.prefecture),
    FileColumn(_O, "buyer_address", "住所", _fits(Order.buyer_address)),
    FileColumn(_O, "buyer_tel", "電話番号", cells.tel),
    FileColumn(_O, "buyer_email", "メールアドレス", _fits(Order.buyer_email)),
    FileColumn(_O, "carriage", "送料", cells.yen, empty=0),
    FileColumn(_O, "commission", "手数料", cells.yen, empty=0),
    FileColumn(_O, "bulk_discount", "まとめ買い割引", cells.reduction, empty=0),
    FileColumn(_O, "coupon", "クーポン", cells.reduction, empty=0),
    FileColumn(_O, "points_used", "使用ポイント", cells.reduction, empty=0),
    FileColumn(_O, "discount", "値引き", cells.reduction, empty=0),
    FileColumn(_O, "tax_8", "消費税8%", cells.yen, empty=None),
    FileColumn(_O, "tax_10", "消費税10%", cells.yen, empty=None),
    FileColumn(_O, "prices_include_tax", "価格の税区分", cells.price_tax, empty=None),
    FileColumn(_O, "tax_rounding", "消費税の端数", cells.tax_rounding, empty=None),
    FileColumn(_O, "total", "合計金額", cells.yen, True),
    FileColumn(_O, "subscription_id", "定期購入ID", _fits(Order.subscription_id), empty=None),
    FileColumn(_O, "subscription_round", "定期回数", cells.whole(1, 9999), empty=None),
    FileColumn(_O, "note", "備考", cells.text(_LONGEST_NOTE, lines=True)),
    FileColumn(_O, "access_id", "取引ID", cells.access_id),
    FileColumn(_O, "access_pass", "取引パスワード", cells.text(64)),
    FileColumn(_O, "authorized_at", "承認日時", cells.moment, empty=None),
    FileColumn(_O, "gateway_amount", "オーソリ金額", cells.yen, empty=None),
    FileColumn(_D, "number", "配送先番号", cells.whole(0, 999), empty=0),
    FileColumn(_D, "name", "お届け先氏名", _fits(Delivery.name)),
    FileColumn(_D, "postal_code", "お届け先郵便番号", cells.postal_code),
    FileColumn(_D, "prefecture", "お届け先都道府県", cells.prefecture),
    FileColumn(_D, "address", "お届け先住所", _fits(Delivery.address)),
    FileColumn(_D, "tel", "お届け先電話", cells.tel),
    FileColumn(_D, "wish_date", "配送希望日", cells.day_or_none, empty=None, spare=True),
    FileColumn(_D, "wish_time", "配送時間帯", cells.wish_time, spare=True),
    FileColumn(_D, "carrier_code", "配送会社", cells.carrier, spare=True),
    FileColumn(_D, "slip_no", "伝票番号", cells.slip_number, is_number=True),
    FileColumn(_D, "status", "配送ステータス", cells.delivery_status, empty=None),
    FileColumn(_I, "code", "商品コード", _fits(OrderLine.code)),
    FileColumn(_I, "name", "商品名", _fits(OrderLine.name), True),
    FileColumn(_I, "option", "選択肢", _fits(OrderLine.option)),
    FileColumn(_I, "jan", "JAN", _fits(OrderLine.jan), spare=True),
    FileColumn(_I, "unit_price", "単価", cells.yen, True),
    FileColumn(_I, "quantity", "数量", cells.whole(1, 9999), True),
    FileColumn(_I, "tax_rate", "税率", cells.tax_rate, empty=None, spare=True),
    FileColumn(_I, "is_reduced", "軽減税率対象", cells.flag, empty=None),
    FileColumn(_I, "is_preorder", "予約フラグ", cells.flag, empty=False),
)
REQUIRED = [column for column in COLUMNS if column.required]
BY_KEY = {column.key: column for column in COLUMNS}
