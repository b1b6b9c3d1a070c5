"""An order as it is handed in by the shop front: plain values, already checked for form (interfaces.md §5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from sgpshop.models import OrderKind


class OnDecline(StrEnum):
    """What becomes of an order whose card was declined."""

    #: nothing is kept
    REFUSE = "refuse"
    #: kept as 要確認 購入手続き未完了
    KEEP = "keep"


@dataclass(frozen=True)
class CardSource:
    """How the card is known: a one-time token, or a card stored at SMBC-GP.  Never a number (S11)."""

    token: str = field(default="", repr=False)
    member_id: str = ""
    card_seq: int | None = None


@dataclass(frozen=True)
class Buyer:
    """注文者."""

    name: str
    kana: str = ""
    email: str = ""
    tel: str = ""
    postal_code: str = ""
    prefecture: str = ""
    address: str = ""
    member_id: str | None = None


@dataclass(frozen=True)
class Item:
    """One line; `unit_price` in yen, tax included."""

    name: str
    unit_price: int
    quantity: int
    code: str = ""
    tax_rate: int = 10


@dataclass(frozen=True)
class DeliveryItem:
    """So many of the item with that code go into this parcel."""

    code: str
    quantity: int


@dataclass(frozen=True)
class ShipTo:
    """One parcel, if it does not simply go to the buyer."""

    name: str
    postal_code: str = ""
    prefecture: str = ""
    address: str = ""
    tel: str = ""
    wish_date: date | None = None
    wish_time: str = ""
    items: tuple[DeliveryItem, ...] = ()


@dataclass(frozen=True)
class NewOrder:
    """One order with the card that is to pay for it.  Amounts are yen."""

    order_no: str
    #: aware
    ordered_at: datetime
    kind: OrderKind
    buyer: Buyer
    items: tuple[Item, ...]
    total: int
    payment: CardSource
    #: empty: one parcel to the buyer
    deliveries: tuple[ShipTo, ...] = ()
    shipping_fee: int = 0
    handling_fee: int = 0
    discount: int = 0
    coupon: int = 0
    points_used: int = 0
    memo: str = ""
    subscription_id: str | None = None
    subscription_round: int | None = None
    #: where the buyer's browser goes after 3-D Secure; None: to a page of ours
    return_url: str | None = None
    #: whether the buyer has to pass it
    three_ds: bool = True
    #: 決済方法 where it is not our card payment, by the shop's own name; then there is no card
    method: str = ""
    #: 価格の税区分: prices, fees and reductions include tax
    prices_include_tax: bool = True
    on_decline: OnDecline = OnDecline.REFUSE
