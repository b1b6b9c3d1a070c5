"""The columns of an order file: heading, other names, field and what a cell may say (§14.2).

Headings are compared without regard to width, case and blanks; columns not named here are
ignored.  A field with several headings takes the first cell that is not empty, or all of them
joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from sgpshop.domain.csv_reading import heading_key
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services.order_files.reading import cells

_LONGEST_NOTE = 4000


class Part(Enum):
    """What a column describes; order and delivery columns repeat on every row (R29)."""

    ORDER = "order"
    DELIVERY = "delivery"
    ITEM = "item"


@dataclass(frozen=True)
class FileColumn:
    """One column; `empty` is the value of an empty cell."""

    part: Part
    field: str
    title: str
    parse: Callable[[str], Any]
    other_titles: tuple[str, ...] = ()
    required: bool = False
    empty: Any = ""
    joined_by: str | None = None
    #: holds random digits and letters of the gateway's making
    is_random: bool = False

    @property
    def heading_keys(self) -> list[str]:
        """All headings that name this column, in the form of `heading_key`."""
        return [heading_key(title) for title in (self.title, *self.other_titles)]


def _fits(attribute: InstrumentedAttribute[Any]) -> Callable[[str], str]:
    kind = attribute.property.columns[0].type
    assert isinstance(kind, sa.String)
    assert kind.length
    return cells.text(kind.length)


_O, _D, _I = Part.ORDER, Part.DELIVERY, Part.ITEM

ORDER_NO = FileColumn(
    _O, "order_no", "注文番号", cells.order_number, ("ordernum", "displayOrderNumber"), True
)
COLUMNS = (
    ORDER_NO,
    FileColumn(_O, "ordered_at", "注文日時", cells.moment, ("日付", "date", "orderDate"), True),
    FileColumn(_O, "ordered_time", "注文時間", cells.clock_time, empty=None),
    FileColumn(_O, "order_state", "注文状態", cells.order_state, ("status",), empty=1),
    FileColumn(_O, "processing", "処理状況", cells.processing, ("処理区分",), empty=None),
    FileColumn(
        _O,
        "method",
        "決済方法",
        _fits(Order.method),
        ("paymethod", "paymethod.content", "paymethod.type"),
        True,
    ),
    FileColumn(_O, "payment_status", "決済方法ステータス", cells.payment_status, empty=None),
    FileColumn(_O, "member_id", "会員ID", cells.member_id(60), ("memberId",), empty=None),
    FileColumn(_O, "buyer_name", "注文者", _fits(Order.buyer_name), ("注文者氏名", "buyer.name")),
    FileColumn(_O, "buyer_kana", "注文者(振り仮名)", _fits(Order.buyer_kana), ("buyer.kana",)),
    FileColumn(_O, "buyer_company", "会社名", _fits(Order.buyer_company)),
    FileColumn(_O, "buyer_department", "部署名", _fits(Order.buyer_department)),
    FileColumn(_O, "buyer_postal_code", "郵便番号", _fits(Order.buyer_postal_code), ("zip",)),
    FileColumn(_O, "buyer_prefecture", "都道府県", cells.prefecture, ("area",)),
    FileColumn(
        _O,
        "buyer_address",
        "住所",
        _fits(Order.buyer_address),
        ("city", "street", "address"),
        joined_by="",
    ),
    FileColumn(_O, "buyer_tel", "電話番号", _fits(Order.buyer_tel), ("tel",)),
    FileColumn(_O, "buyer_email", "メールアドレス", _fits(Order.buyer_email), ("email",)),
    FileColumn(_O, "carriage", "送料", cells.yen, ("carriage",), empty=0),
    FileColumn(_O, "commission", "手数料", cells.yen, ("commission",), empty=0),
    FileColumn(_O, "bulk_discount", "まとめ買い割引", cells.yen, ("bulk",), empty=0),
    FileColumn(_O, "coupon", "クーポン", cells.yen, ("coupon",), empty=0),
    FileColumn(_O, "points_used", "使用ポイント", cells.yen, ("usepoint",), empty=0),
    FileColumn(_O, "discount", "値引き", cells.yen, ("discount",), empty=0),
    FileColumn(_O, "tax_8", "消費税8%", cells.yen, empty=None),
    FileColumn(_O, "tax_10", "消費税10%", cells.yen, empty=None),
    FileColumn(_O, "prices_include_tax", "価格の税区分", cells.price_tax, empty=None),
    FileColumn(_O, "tax_rounding", "消費税の端数", cells.tax_rounding, empty=None),
    FileColumn(_O, "total", "合計金額", cells.yen, ("sumprice",), True),
    FileColumn(
        _O,
        "subscription_id",
        "定期購入ID",
        _fits(Order.subscription_id),
        empty=None,
    ),
    FileColumn(_O, "subscription_round", "定期回数", cells.whole(1, 9999), empty=None),
    FileColumn(
        _O,
        "note",
        "備考",
        cells.text(_LONGEST_NOTE, lines=True),
        ("独自項目",),
        joined_by="\n",
    ),
    FileColumn(_O, "access_id", "取引ID", cells.access_id, is_random=True),
    FileColumn(_O, "access_pass", "取引パスワード", cells.text(64), is_random=True),
    FileColumn(_O, "authorized_at", "承認日時", cells.moment, empty=None),
    FileColumn(_O, "gateway_amount", "オーソリ金額", cells.yen, empty=None),
    FileColumn(_D, "number", "配送先番号", cells.whole(0, 999), empty=0),
    FileColumn(_D, "name", "お届け先氏名", _fits(Delivery.name), ("お届け先",)),
    FileColumn(_D, "postal_code", "お届け先郵便番号", _fits(Delivery.postal_code)),
    FileColumn(_D, "prefecture", "お届け先都道府県", cells.prefecture),
    FileColumn(_D, "address", "お届け先住所", _fits(Delivery.address)),
    FileColumn(_D, "tel", "お届け先電話", _fits(Delivery.tel), ("お届け先電話番号",)),
    FileColumn(_D, "wish_date", "配送希望日", cells.calendar_day, empty=None),
    FileColumn(_D, "wish_time", "配送時間帯", _fits(Delivery.wish_time), ("deliverytime",)),
    FileColumn(_D, "carrier_code", "配送会社", cells.carrier, ("配送会社コード", "carrier")),
    FileColumn(_D, "slip_no", "伝票番号", cells.slip_number, ("deliverynum",)),
    FileColumn(_D, "status", "配送ステータス", cells.delivery_status, empty=None),
    FileColumn(
        _I, "code", "商品コード", _fits(OrderLine.code), ("orgoptioncode", "orgcode", "brandcode")
    ),
    FileColumn(_I, "name", "商品名", _fits(OrderLine.name), ("name",), True),
    FileColumn(_I, "option", "選択肢", _fits(OrderLine.option), ("option",)),
    FileColumn(_I, "jan", "JAN", _fits(OrderLine.jan), ("jancode",)),
    FileColumn(_I, "unit_price", "単価", cells.yen, ("price",), True),
    FileColumn(_I, "quantity", "数量", cells.whole(1, 9999), ("amount",), True),
    FileColumn(_I, "tax_rate", "税率", cells.tax_rate, ("consumption_tax_rate",), empty=None),
    FileColumn(_I, "is_reduced", "軽減税率対象", cells.flag, empty=None),
    FileColumn(_I, "is_preorder", "予約フラグ", cells.flag, empty=False),
)
