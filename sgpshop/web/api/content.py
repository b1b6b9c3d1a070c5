"""What an order holds, as the API tells it: buyer, items, parcels (interfaces.md §5)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from sgpshop.domain import our_members
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.models import CardTransaction, Delivery, Order
from sgpshop.web.api.fields import AnswerBody

DateTime = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
DateOnly = Annotated[str, Field(json_schema_extra={"format": "date"})]


class BuyerAnswer(AnswerBody):
    """Who ordered."""

    name: str
    kana: str
    company: str
    department: str
    email: str
    tel: str
    postal_code: str
    prefecture: str
    address: str
    member_id: str | None


class ItemAnswer(AnswerBody):
    """One line of the order."""

    delivery_number: Annotated[int, Field(description="`number` of the parcel it goes into.")]
    code: str
    name: str
    option: str
    jan: str
    unit_price: int
    quantity: int
    tax_rate: int


class ParcelAnswer(AnswerBody):
    """One parcel, and how far it is."""

    number: Annotated[
        int, Field(description="0 for the only parcel; it names the parcel in /fulfilment.")
    ]
    name: str
    postal_code: str
    prefecture: str
    address: str
    tel: str
    wish_date: DateOnly | None
    wish_time: str
    carrier_code: Annotated[str, Field(description="Three digits, or empty while unknown.")]
    carrier: Annotated[str, Field(description="Name of the carrier in Japanese.")]
    slip_numbers: list[str]
    status: Annotated[
        DeliveryStatus,
        Field(
            description="unprocessed, instructed, preparing: not sent yet; delivered: 配送完了, it"
            " left; returned: it came back; cancelled: it will not be sent."
        ),
    ]
    delivered_at: DateTime | None
    returned_on: DateOnly | None
    return_reason: str


class OrderSubscription(AnswerBody):
    """Which subscription the order belongs to."""

    id: str
    round: int | None


class StoredCard(AnswerBody):
    """The card kept at SMBC-GP that was named when the order was handed in."""

    member_id: str
    card_seq: int | None


def buyer(order: Order) -> BuyerAnswer:
    """Who ordered."""
    of_order = {
        name: getattr(order, f"buyer_{name}")
        for name in BuyerAnswer.model_fields
        if name != "member_id"
    }
    return BuyerAnswer(**of_order, member_id=order.member_id)


def items(order: Order) -> list[ItemAnswer]:
    """The lines of the order."""
    return [
        ItemAnswer(**{name: getattr(line, name) for name in ItemAnswer.model_fields})
        for line in order.lines
    ]


def parcels(order: Order) -> list[ParcelAnswer]:
    """The parcels of the order."""
    return [_parcel(parcel) for parcel in order.deliveries]


def subscription(order: Order) -> OrderSubscription | None:
    """Its subscription, if it has one."""
    if order.subscription_id is None:
        return None
    return OrderSubscription(id=order.subscription_id, round=order.subscription_round)


def stored_card(transaction: CardTransaction | None) -> StoredCard | None:
    """The buyer's stored card; one that we keep ourselves is nobody else's to name."""
    if transaction is None or not transaction.member_id:
        return None
    if our_members.is_our_member(transaction.member_id):
        return None
    return StoredCard(member_id=transaction.member_id, card_seq=transaction.card_seq)


def moment(at: datetime | None) -> str | None:
    """A time as all answers say it."""
    return at.isoformat(timespec="seconds") if at else None


_OF_PARCEL = (
    "number",
    "name",
    "postal_code",
    "prefecture",
    "address",
    "tel",
    "wish_time",
    "carrier_code",
    "status",
    "return_reason",
)


def _parcel(parcel: Delivery) -> ParcelAnswer:
    values: dict[str, Any] = {name: getattr(parcel, name) for name in _OF_PARCEL}
    return ParcelAnswer(
        **values,
        wish_date=parcel.wish_date.isoformat() if parcel.wish_date else None,
        carrier=CARRIERS.get(parcel.carrier_code, ""),
        slip_numbers=f"{parcel.slip_no} {parcel.more_slips}".split(),
        delivered_at=moment(parcel.delivered_at),
        returned_on=parcel.returned_on.isoformat() if parcel.returned_on else None,
    )
