"""The bodies that programs send: what they may hold, and what must fit together (interfaces.md §5)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from sgpshop.domain.amounts import break_down
from sgpshop.domain.order_rules import SECOND_CONFIRMATION_YEN
from sgpshop.models import OrderKind
from sgpshop.services import settings
from sgpshop.services.intake import new_order
from sgpshop.services.intake.new_order import CardSource, NewOrder, OnDecline
from sgpshop.web.api.fields import (
    Body,
    BuyerMemberId,
    Code,
    Day,
    Id,
    ItemName,
    MemberId,
    Memo,
    Moment,
    Name,
    OrderNo,
    Quantity,
    ReturnUrl,
    Text10,
    Text30,
    Text60,
    Text100,
    Text200,
    Text254,
    Text400,
    Token,
    Version,
    Yen,
    YenOrNone,
)
from sgpshop.web.api.reading import mistake
from sgpshop.web.frame.problems import ApiRefusal

_MOST_ITEMS, _MOST_DELIVERIES = 50, 50
_TEL = "Telephone number, with or without hyphens."
_POSTAL_CODE = "Postal code, with or without a hyphen."
_PREFECTURE = "都道府県."
_ADDRESS = "What follows the prefecture: town, number, building."


class BuyerBody(Body):
    """注文者."""

    name: Annotated[Name, Field(description="Whole name, as it stands on labels.")]
    kana: Annotated[Text200, Field(description="Its reading in kana.")] = ""
    email: Annotated[Text254, Field(description="Mail address.")] = ""
    tel: Annotated[Text30, Field(description=_TEL)] = ""
    postal_code: Annotated[Text10, Field(description=_POSTAL_CODE)] = ""
    prefecture: Annotated[Text10, Field(description=_PREFECTURE)] = ""
    address: Annotated[Text400, Field(description=_ADDRESS)] = ""
    member_id: Annotated[
        BuyerMemberId | None,
        Field(description="The buyer's, in your own words; null: a guest."),
    ] = None


class ItemBody(Body):
    """One line of the order; the price includes tax, unless `prices_include_tax` is false."""

    code: Annotated[
        Text100, Field(description="Your number of the goods; needed where there are `deliveries`.")
    ] = ""
    name: Annotated[ItemName, Field(description="What it is called.")]
    unit_price: Annotated[YenOrNone, Field(description="Yen for one.")]
    quantity: Annotated[Quantity, Field(description="How many.")]
    tax_rate: Annotated[
        Literal[8, 10, 0], Field(description="Percent; 0 for what bears no tax.")
    ] = 10

    @property
    def amount(self) -> int:
        """Yen of the line."""
        return self.unit_price * self.quantity


class DeliveryItemBody(Body):
    """So many of the item with that code go into this parcel."""

    code: Annotated[Code, Field(description="`items[].code`.")]
    quantity: Annotated[Quantity, Field(description="How many of it.")]


class DeliveryBody(Body):
    """One parcel."""

    name: Annotated[Name, Field(description="Whose parcel it is.")]
    postal_code: Annotated[Text10, Field(description=_POSTAL_CODE)] = ""
    prefecture: Annotated[Text10, Field(description=_PREFECTURE)] = ""
    address: Annotated[Text400, Field(description=_ADDRESS)] = ""
    tel: Annotated[Text30, Field(description=_TEL)] = ""
    wish_date: Annotated[
        Day | None, Field(description="The day on which it is wanted; null: any.")
    ] = None
    wish_time: Annotated[
        Text60, Field(description="The hours, in the shop's words, as 午前中 or 14-16.")
    ] = ""
    items: Annotated[
        list[DeliveryItemBody],
        Field(min_length=1, max_length=_MOST_ITEMS, description="What goes into it."),
    ]


class TokenBody(Body):
    """A card by the one-time token of SMBC-GP's token script.  Never a card number (S11)."""

    token: Annotated[Token, Field(description="As the script made it; it is good once.")]


class StoredCardBody(Body):
    """A card that SMBC-GP keeps for a member."""

    member_id: Annotated[
        MemberId,
        Field(
            description="MemberID at SMBC-GP: the buyer's own, so the same as `buyer.member_id`, where"
            " that is told."
        ),
    ]
    card_seq: Annotated[int, Field(ge=0, le=9999, description="CardSeq at SMBC-GP (SeqMode 0).")]


class OtherPaymentBody(Body):
    """Not by card here: 銀行振込, 代金引換 and the like, or nothing to pay.  Nothing is charged."""

    method: Annotated[
        Name,
        Field(max_length=60, description="The shop's name of it, never one of our card payment."),
    ]


def _card_kind(value: Any) -> str:
    if "method" in value if isinstance(value, dict) else isinstance(value, OtherPaymentBody):
        return "other"
    is_token = "token" in value if isinstance(value, dict) else isinstance(value, TokenBody)
    return "token" if is_token else "stored"


class SubscriptionBody(Body):
    """Which 定期購入 the order belongs to."""

    id: Annotated[Id, Field(description="Your number of the subscription.")]
    round: Annotated[
        int, Field(ge=1, le=9999, description="Which of its orders this is; each is there once.")
    ]


class NewOrderBody(Body):
    """A new order with the card that pays for it, or how else it is paid.  Amounts are yen."""

    order_no: Annotated[
        OrderNo, Field(description="Your number of the order, and its OrderID at SMBC-GP.")
    ]
    ordered_at: Annotated[Moment, Field(description="When it was ordered.")]
    kind: Annotated[
        Literal["normal", "preorder", "subscription"],
        Field(
            description="normal: authorized or charged now, as the shop has set; preorder: the card is"
            " checked now, and charged by the capture; subscription: the card is checked now, and"
            " charged by the registration of the month in which the goods went out."
        ),
    ]
    buyer: Annotated[BuyerBody, Field(description="Who ordered.")]
    items: Annotated[
        list[ItemBody],
        Field(min_length=1, max_length=_MOST_ITEMS, description="What was ordered."),
    ]
    deliveries: Annotated[
        list[DeliveryBody],
        Field(
            max_length=_MOST_DELIVERIES,
            description="Empty: one parcel to the buyer.  Else every item goes into some parcel.",
        ),
    ] = []
    shipping_fee: Annotated[YenOrNone, Field(description="送料.")] = 0
    handling_fee: Annotated[YenOrNone, Field(description="手数料.")] = 0
    discount: Annotated[YenOrNone, Field(description="値引き, to be taken off.")] = 0
    coupon: Annotated[YenOrNone, Field(description="クーポン, to be taken off.")] = 0
    points_used: Annotated[YenOrNone, Field(description="ポイント, to be taken off.")] = 0
    prices_include_tax: Annotated[
        bool,
        Field(
            description="false: tax is added to prices and fees, per rate and rounded as the shop has"
            " set; this is kept with the order."
        ),
    ] = True
    total: Annotated[
        YenOrNone,
        Field(
            description="Items + shipping_fee + handling_fee - discount - coupon - points_used, and"
            " the tax where prices do not include it; another sum is refused (422 total_mismatch)."
            "  0 only with another payment `method`."
        ),
    ]
    memo: Annotated[Memo, Field(description="What the buyer wrote, for the shop to read.")] = ""
    payment: Annotated[
        Annotated[TokenBody, Tag("token")]
        | Annotated[StoredCardBody, Tag("stored")]
        | Annotated[OtherPaymentBody, Tag("other")],
        Discriminator(_card_kind),
        Field(description="A card by its token, a stored card, or another way to pay."),
    ]
    subscription: Annotated[
        SubscriptionBody | None, Field(description="With kind `subscription`, and only then.")
    ] = None
    return_url: Annotated[
        ReturnUrl | None,
        Field(
            description="Where the buyer's browser goes after 3-D Secure: an https address "
            "(http to this machine in test mode) without a fragment.  Its own parameters stay, none of"
            " which should be called as ours are; behind them come `order_no`, `result`, `timestamp`"
            " and `signature`, see above.  They prove nothing of the payment: only `GET"
            " /orders/{order_no}` decides.  null: the buyer stays on a page of ours that says how it"
            " ended."
        ),
    ] = None
    three_ds: Annotated[
        Literal["required", "none"] | None,
        Field(
            description="`required`, and null: the buyer passes 3-D Secure, with or without a"
            " `return_url`; 409 `three_ds_not_set_up` where the shop has no address for the return."
            "  `none`: the buyer is not there; refused (422) where the shop has set that nobody may"
            " leave it out."
        ),
        AfterValidator(lambda said: said or "required"),
    ] = "required"
    on_decline: Annotated[
        Literal["refuse", "keep"],
        Field(
            description="When the card is declined: `refuse` answers 402 and keeps nothing (an order"
            " that waited, for 3-D Secure or for SMBC-GP, stays as needs_review), `keep` keeps the"
            " order as needs_review and answers 201."
        ),
    ] = "refuse"


class SeenBody(Body):
    """What the caller saw of the order; if it is otherwise by now, nothing is done (409)."""

    version: Annotated[Version, Field(description="`version` of the order.")]
    amount: Annotated[Yen, Field(description="`total` of the order.")]


class CaptureBody(SeenBody):
    """The same, and the second confirmation of a big amount (S21)."""

    confirm_large_amount: Annotated[
        bool,
        Field(
            description=f"Must be true to capture more than {SECOND_CONFIRMATION_YEN:,} yen.  "
            "Without it such an order is not captured (422 large_amount_not_confirmed)."
        ),
    ] = False


class AmountBody(SeenBody):
    """The same, and the total that the order is to have, with SMBC-GP as well."""

    new_amount: Annotated[
        Yen,
        Field(
            description="The new `total`; it is sent to SMBC-GP at once, unless that is what it holds"
            " (`gateway_amount`)."
        ),
    ]
    confirm_increase: Annotated[
        bool,
        Field(
            description="Must be true when more of the buyer's money is to be reserved than now"
            " (422 increase_not_confirmed)."
        ),
    ] = False


class CancelBody(SeenBody):
    """The same, and the second confirmation that money may go back to the buyer (S21)."""

    refund: Annotated[
        bool,
        Field(
            description="Must be true where money may go back to the buyer: of an order that is "
            "captured, or needs_review while nobody knows that nothing was taken.  Else 422 "
            "refund_not_confirmed."
        ),
    ] = False


def new_order_of(body: NewOrderBody) -> NewOrder:
    """The order as the intake wants it.  Raises ApiRefusal (422) where parts do not fit together."""
    _check_subscription(body)
    _check_whose_card(body)
    _check_other_payment(body)
    _check_deliveries(body)
    _check_total(body)
    return NewOrder(
        order_no=body.order_no,
        ordered_at=datetime.fromisoformat(body.ordered_at),
        kind=OrderKind(body.kind),
        buyer=new_order.Buyer(**body.buyer.model_dump()),
        items=tuple(new_order.Item(**item.model_dump()) for item in body.items),
        total=body.total,
        payment=_card(body.payment),
        method=body.payment.method if isinstance(body.payment, OtherPaymentBody) else "",
        prices_include_tax=body.prices_include_tax,
        deliveries=tuple(_parcel(delivery) for delivery in body.deliveries),
        shipping_fee=body.shipping_fee,
        handling_fee=body.handling_fee,
        discount=body.discount,
        coupon=body.coupon,
        points_used=body.points_used,
        memo=body.memo,
        subscription_id=body.subscription.id if body.subscription else None,
        subscription_round=body.subscription.round if body.subscription else None,
        return_url=body.return_url,
        three_ds=body.three_ds == "required",
        on_decline=OnDecline(body.on_decline),
    )


def _card(payment: TokenBody | StoredCardBody | OtherPaymentBody) -> CardSource:
    if isinstance(payment, TokenBody):
        return CardSource(token=payment.token)
    if isinstance(payment, OtherPaymentBody):
        return CardSource()
    return CardSource(member_id=payment.member_id, card_seq=payment.card_seq)


def _parcel(delivery: DeliveryBody) -> new_order.ShipTo:
    return new_order.ShipTo(
        name=delivery.name,
        postal_code=delivery.postal_code,
        prefecture=delivery.prefecture,
        address=delivery.address,
        tel=delivery.tel,
        wish_date=date.fromisoformat(delivery.wish_date) if delivery.wish_date else None,
        wish_time=delivery.wish_time,
        items=tuple(new_order.DeliveryItem(item.code, item.quantity) for item in delivery.items),
    )


def _check_subscription(body: NewOrderBody) -> None:
    if (body.kind == "subscription") != (body.subscription is not None):
        raise mistake(
            "/subscription",
            "kindと合いません。",
            "subscriptionは、kindがsubscriptionのときだけ、必ず指定してください。",
        )


def _check_whose_card(body: NewOrderBody) -> None:
    """A buyer pays with a card of their own."""
    card, buyer = body.payment, body.buyer.member_id
    if isinstance(card, StoredCardBody) and buyer is not None and card.member_id != buyer:
        raise mistake(
            "/payment/member_id",
            "注文者の会員IDと合いません。",
            "登録済みのカードは、注文者(buyer.member_id)本人のものだけが使えます。",
        )


def _check_other_payment(body: NewOrderBody) -> None:
    """What is charged later is charged on a card; and a card is charged a yen at least."""
    is_other = isinstance(body.payment, OtherPaymentBody)
    if is_other and body.kind != "normal":
        raise mistake(
            "/kind",
            "payment.methodと合いません。",
            "カード以外の決済方法(payment.method)は、kindがnormalの注文だけで使えます。",
        )
    if not is_other and not body.total:
        raise mistake(
            "/total",
            "1以上にしてください。",
            "合計金額(total)が0円の注文は、カードで支払えません。payment.methodを指定してください。",
        )


def _check_deliveries(body: NewOrderBody) -> None:
    """Every item goes into the parcels in full, told apart by its code."""
    if not body.deliveries:
        return
    ordered: Counter[str] = Counter()
    for item in body.items:
        ordered[item.code] += item.quantity
    sent: Counter[str] = Counter()
    for delivery in body.deliveries:
        for part in delivery.items:
            sent[part.code] += part.quantity
    if ordered != sent:
        raise mistake(
            "/deliveries",
            "itemsと合いません。",
            "deliveriesの商品の数が、itemsと合いません。お届け先を指定するときは、"
            "すべての商品にcodeを付け、数量の合計を合わせてください。",
        )


def _check_total(body: NewOrderBody) -> None:
    calculated = break_down(
        body.items,
        fees=body.shipping_fee + body.handling_fee,
        reductions=body.discount + body.coupon + body.points_used,
        rule=replace(settings.load().tax_rule, is_included=body.prices_include_tax),
    ).calculated
    if calculated != body.total:
        raise ApiRefusal(
            "total_mismatch",
            f"合計金額(total){body.total:,}円が、明細から計算した{calculated:,}円と合いません。",
            total=body.total,
            calculated=calculated,
        )
