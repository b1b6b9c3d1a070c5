"""What a handed-in order says, as the columns of our tables; and a digest that tells two apart (P27)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from sgpshop.domain.amounts import TaxRule
from sgpshop.domain.errors import ShopError
from sgpshop.models import SGP_METHOD, OrderKind
from sgpshop.services.intake.new_order import Item, NewOrder, ShipTo
from sgpshop.services.order_files.importing.content import (
    DELIVERY_DEFAULTS,
    LINE_DEFAULTS,
    ORDER_DEFAULTS,
    Content,
    Values,
)

#: How the order is paid for, and what becomes of it, is not what was ordered.
_ADDED = {"method": "", "prices_include_tax": True}
_NOT_CONTENT = ("payment", "return_url", "three_ds", "on_decline")


def fingerprint(new: NewOrder) -> str:
    """64 hexadecimal digits that are the same for the same order, whatever card pays for it."""
    values = {name: value for name, value in asdict(new).items() if name not in _NOT_CONTENT}
    values["ordered_at"] = new.ordered_at.timestamp()
    for name, usual in _ADDED.items():  # orders of before this could be said are the same
        if values[name] == usual:
            del values[name]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def card_token(new: NewOrder) -> str:
    """At most 64 characters that are the same for the same order and card, and tell of neither."""
    card = new.payment
    values = f"{new.order_no}|{card.token}|{card.member_id}|{card.card_seq}"
    return "card:" + hashlib.sha256(values.encode()).hexdigest()[:56]


def content_of(new: NewOrder, tax: TaxRule) -> Content:
    """The rows of the order, which keeps the rule `tax`.

    Raises ShopError when the parcels hold other items than the order.
    """
    buyer = new.buyer
    values: Values = {
        "ordered_at": new.ordered_at,
        "method": new.method or SGP_METHOD,
        "member_id": buyer.member_id,
        "buyer_name": buyer.name,
        "buyer_kana": buyer.kana,
        "buyer_email": buyer.email,
        "buyer_tel": buyer.tel,
        "buyer_postal_code": buyer.postal_code,
        "buyer_prefecture": buyer.prefecture,
        "buyer_address": buyer.address,
        "carriage": new.shipping_fee,
        "commission": new.handling_fee,
        "discount": new.discount,
        "coupon": new.coupon,
        "points_used": new.points_used,
        "total": new.total,
        "note": new.memo,
        "subscription_id": new.subscription_id,
        "subscription_round": new.subscription_round,
    }
    values = ORDER_DEFAULTS | tax.columns | values
    return Content(kind=new.kind, values=values, deliveries=_deliveries(new), lines=_lines(new))


def _deliveries(new: NewOrder) -> list[Values]:
    if not new.deliveries:
        buyer = new.buyer
        return [
            DELIVERY_DEFAULTS
            | {
                "number": 0,
                "name": buyer.name,
                "postal_code": buyer.postal_code,
                "prefecture": buyer.prefecture,
                "address": buyer.address,
                "tel": buyer.tel,
            }
        ]
    return [
        DELIVERY_DEFAULTS
        | {name: getattr(parcel, name) for name in _OF_PARCEL}
        | {"number": number}
        for number, parcel in _numbered(new.deliveries)
    ]


_OF_PARCEL = ("name", "postal_code", "prefecture", "address", "tel", "wish_date", "wish_time")


def _numbered(parcels: tuple[ShipTo, ...]) -> list[tuple[int, ShipTo]]:
    """配送先番号: 0 for the only parcel, else from 1 (rules.md §9.1)."""
    return list(enumerate(parcels, start=0 if len(parcels) == 1 else 1))


def _lines(new: NewOrder) -> list[Values]:
    """The items, each in its parcel; one that goes into several parcels is a line in each."""
    if len(new.deliveries) < 2:
        return [_line(new, item, item.quantity, 0) for item in new.items]
    left = [item.quantity for item in new.items]
    lines = []
    for number, parcel in _numbered(new.deliveries):
        for wanted in parcel.items:
            need = wanted.quantity
            for place, item in enumerate(new.items):
                taken = min(need, left[place]) if item.code == wanted.code else 0
                if taken:
                    lines.append(_line(new, item, taken, number))
                    left[place] -= taken
                    need -= taken
            if need:
                raise _do_not_fit()
    if any(left):
        raise _do_not_fit()
    return lines


def _do_not_fit() -> ShopError:
    return ShopError("お届け先ごとの商品と数量の合計が、注文の商品と一致しません。")


def _line(new: NewOrder, item: Item, quantity: int, parcel: int) -> dict[str, Any]:
    return LINE_DEFAULTS | {
        "delivery_number": parcel,
        "code": item.code,
        "name": item.name,
        "unit_price": item.unit_price,
        "quantity": quantity,
        "tax_rate": item.tax_rate,
        "is_preorder": new.kind is OrderKind.PREORDER,  # as a whole (R114)
    }
