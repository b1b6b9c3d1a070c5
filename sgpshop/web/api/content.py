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

    name: Annotated[str, Field(description="Whole name.")]
    kana: Annotated[str, Field(description="Its reading in kana.")]
    company: Annotated[str, Field(description="会社名; not handed in by this API.")]
    department: Annotated[str, Field(description="部署名; not handed in by this API.")]
    email: Annotated[str, Field(description="Mail address.")]
    tel: Annotated[str, Field(description="Telephone number, as it was handed in.")]
    postal_code: Annotated[str, Field(description="Postal code, as it was handed in.")]
    prefecture: Annotated[str, Field(description="都道府県.")]
    address: Annotated[str, Field(description="What follows the prefecture.")]
    member_id: Annotated[str | None, Field(description="null: a guest.")]


class ItemAnswer(AnswerBody):
    """One line of the order."""

    delivery_number: Annotated[int, Field(description="`number` of the parcel it goes into.")]
    code: Annotated[str, Field(description="The goods' number.")]
    name: Annotated[str, Field(description="What it is called.")]
    option: Annotated[str, Field(description="Colour, size and the like, where a file told it.")]
    jan: Annotated[str, Field(description="JAN code, where a file told it.")]
    unit_price: Annotated[
        int, Field(description="Yen for one, with tax or without: `prices_include_tax`.")
    ]
    quantity: Annotated[int, Field(description="How many go into that parcel.")]
    tax_rate: Annotated[int, Field(description="Percent.")]


class ParcelAnswer(AnswerBody):
    """One parcel, and how far it is."""

    number: Annotated[
        int, Field(description="0 for the only parcel; it names the parcel in /fulfilments.")
    ]
    name: Annotated[str, Field(description="To whom it goes.")]
    postal_code: Annotated[str, Field(description="Postal code, as it was handed in.")]
    prefecture: Annotated[str, Field(description="都道府県.")]
    address: Annotated[str, Field(description="What follows the prefecture.")]
    tel: Annotated[str, Field(description="Telephone number, as it was handed in.")]
    wish_date: Annotated[DateOnly | None, Field(description="The day on which it is wanted.")]
    wish_time: Annotated[str, Field(description="The hours, in the shop's words; empty: any.")]
    carrier_code: Annotated[str, Field(description="As of `ParcelBody`, or empty while unknown.")]
    carrier: Annotated[str, Field(description="Name of the carrier in Japanese.")]
    slip_numbers: Annotated[
        list[str], Field(description="One, or several where it went in several pieces.")
    ]
    status: Annotated[
        DeliveryStatus,
        Field(
            description="unprocessed, instructed, preparing: not sent yet; delivered: 配送完了, it"
            " left; returned: it came back; cancelled: it will not be sent."
        ),
    ]
    delivered_at: Annotated[DateTime | None, Field(description="When it left.")]
    returned_on: Annotated[DateOnly | None, Field(description="When it came back.")]
    return_reason: Annotated[str, Field(description="Why, as somebody of the shop typed it.")]


class OrderSubscription(AnswerBody):
    """Which subscription the order belongs to."""

    id: Annotated[str, Field(description="Its number.")]
    round: Annotated[int | None, Field(description="Which of its orders this is.")]


class StoredCard(AnswerBody):
    """The card kept at SMBC-GP that was named when the order was handed in."""

    member_id: Annotated[str, Field(description="MemberID at SMBC-GP.")]
    card_seq: Annotated[int | None, Field(description="CardSeq at SMBC-GP.")]


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


#: what of a parcel is not told as it is kept
_TOLD_OTHERWISE = {"carrier", "slip_numbers", "wish_date", "delivered_at", "returned_on"}


def _parcel(parcel: Delivery) -> ParcelAnswer:
    as_kept = ParcelAnswer.model_fields.keys() - _TOLD_OTHERWISE
    values: dict[str, Any] = {name: getattr(parcel, name) for name in as_kept}
    return ParcelAnswer(
        **values,
        wish_date=parcel.wish_date.isoformat() if parcel.wish_date else None,
        carrier=CARRIERS.get(parcel.carrier_code, ""),
        slip_numbers=f"{parcel.slip_no} {parcel.more_slips}".split(),
        delivered_at=moment(parcel.delivered_at),
        returned_on=parcel.returned_on.isoformat() if parcel.returned_on else None,
    )
