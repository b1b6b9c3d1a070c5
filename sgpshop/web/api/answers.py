"""What the API says of orders (interfaces.md §5, T4), as models so that the OpenAPI document is true."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.order_acts import WhyNot
from sgpshop.domain.order_rules import HELD_STATES, TAKEN_STATES, Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Approval, AttemptState, Operation, Order, OrderKind, Scope
from sgpshop.services.installation.health import readiness
from sgpshop.services.order_detail.answers import OrderNow
from sgpshop.services.order_detail.unfinished import Unfinished
from sgpshop.services.payments import three_ds
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.api import content
from sgpshop.web.api.access import caller
from sgpshop.web.api.content import DateTime, moment
from sgpshop.web.api.entries import EntryAnswer, is_of_payment, of_entry
from sgpshop.web.api.fields import ORDER_NO, AnswerBody
from sgpshop.web.frame.problem_codes import CODES, title


class OpenOperation(AnswerBody):
    """An operation of the order that has not ended yet."""

    operation: Annotated[Operation, Field(description="What is done.")]
    state: Annotated[
        Literal["queued", "sending", "unknown"],
        Field(
            description="queued: not sent yet; sending: on its way; unknown: sent, the outcome is"
            " being looked up (payment_status is then needs_review)."
        ),
    ]
    since: Annotated[DateTime, Field(description="When that state began.")]
    is_worker_there: Annotated[
        bool,
        Field(description="false: nobody works at the shop just now, and it waits for that."),
    ]


class OtherTransaction(AnswerBody):
    """Money of the order under a number that does not count any more."""

    gateway_order_id: Annotated[str, Field(description="OrderID at SMBC-GP.")]
    is_captured: Annotated[bool, Field(description="false: reserved.")]
    amount: Annotated[int, Field(description="Yen.")]


class LastError(AnswerBody):
    """Why the last operation failed; null once it says nothing any more about the order."""

    code: Annotated[
        str | None,
        Field(description="ErrInfo code of SMBC-GP; null: it has none, read the sentence."),
    ]
    codes: Annotated[list[str], Field(description="All of them, where it named several.")]
    headline: Annotated[str, Field(description="Who said no, and to what, in Japanese.")]
    sentence: Annotated[str, Field(description="What happened, in Japanese.")]
    next_step: Annotated[str, Field(description="What the shop can do about it, in Japanese.")]


_FOR_READERS = Field(description="null: the key has no scope `read`.")


class OrderAnswer(AnswerBody):
    """One order.  Amounts are yen."""

    order_no: Annotated[
        str, Field(pattern=ORDER_NO, description="Its number, as it was handed in.")
    ]
    payment_status: Annotated[
        PaymentStatus | None,
        Field(
            description="authorized: reserved on the card; captured: taken; capture_failed: it was to"
            " be taken and was not; cancelled: released or given back; needs_review: see"
            " `unfinished_payment` and `open_operation`; awaiting_billing: a subscription, charged"
            " after the month in which the goods went out; billing_reported: registered for that."
            "  null: the order is not paid by SGP card."
        ),
    ]
    buyer_text: Annotated[
        str | None, Field(description="What the buyer may be told; null as payment_status.")
    ]
    unfinished_payment: Annotated[
        Unfinished | None,
        Field(
            description="How far a payment is that is not finished; null: it is, or `payment_status`"
            " says all.  processing: it is being sent; outcome_unknown: it was sent, and the outcome"
            " is being looked up; at_bank: the buyer is at `redirect_url`; abandoned: they did not"
            " come back for an hour, or as the shop has set; authentication_failed: they were not"
            " who they should be; declined: by the card company; not_paid: not sent, or refused for"
            " another reason; unconfirmed: somebody of the shop has to look.  Declined, failed and"
            " abandoned orders can be handed in again with another card."
        ),
    ]
    redirect_url: Annotated[
        str | None,
        Field(
            description="Where the buyer passes 3-D Secure, while that is to come; else null, as"
            " for keys with neither scope `intake` nor `read`."
        ),
    ]
    return_key: Annotated[
        str | None,
        Field(
            description="What the parameters at `return_url` are signed with, see above; null where"
            " the payment has none, and for keys with neither scope `intake` nor `read`."
        ),
    ]
    kind: Annotated[OrderKind, Field(description="What was sold, as it was handed in.")]
    total: Annotated[int, Field(ge=0, description="What the buyer is to be charged.")]
    gateway_amount: Annotated[
        int | None, Field(description="What SMBC-GP holds; null while nothing is reserved.")
    ]
    captured_amount: Annotated[
        int | None, Field(description="What was captured and not given back; null: nothing.")
    ]
    open_operation: Annotated[
        OpenOperation | None, Field(description="null: nothing is under way.")
    ]
    version: Annotated[int, Field(ge=1, description="Rises with every change of the order.")]
    last_error: Annotated[
        LastError | None, Field(description="null: there is none that still says something.")
    ]
    other_transactions: Annotated[
        list[OtherTransaction],
        Field(
            description="What SMBC-GP still holds or took under other numbers of the order: a cancel"
            " leaves it as it is, and it is to be cancelled in SMBC-GP's console."
        ),
    ]

    ordered_at: Annotated[DateTime, Field(description="When it was ordered.")]
    created_at: Annotated[DateTime, Field(description="When the shop got it.")]
    changed_at: Annotated[DateTime, Field(description="Of the latest change; see `version`.")]
    processing_class: Annotated[
        ProcessingClass,
        Field(
            description="All parcels together.  unprocessed: one is still to be sent; delivered: all"
            " left; returned: one came back and none is still to be sent; cancelled: none is sent."
        ),
    ]
    authorized_amount: Annotated[
        int | None, Field(description="Reserved on the card and not captured; null: nothing.")
    ]
    refunded_amount: Annotated[
        int, Field(description="Given back of what was captured, in all ways that are recorded.")
    ]
    hold_expires_at: Annotated[
        DateTime | None,
        Field(description="Until then it has to be captured; null: nothing is reserved."),
    ]
    buyer: Annotated[content.BuyerAnswer | None, _FOR_READERS]
    items: Annotated[list[content.ItemAnswer] | None, _FOR_READERS]
    deliveries: Annotated[list[content.ParcelAnswer] | None, _FOR_READERS]
    shipping_fee: Annotated[int, Field(description="送料.")]
    handling_fee: Annotated[int, Field(description="手数料.")]
    discount: Annotated[int, Field(description="値引き, taken off.")]
    bulk_discount: Annotated[int, Field(description="まとめ買い割引, taken off.")]
    coupon: Annotated[int, Field(description="クーポン, taken off.")]
    points_used: Annotated[int, Field(description="ポイント, taken off.")]
    prices_include_tax: Annotated[
        bool, Field(description="false: tax is added to prices and fees.")
    ]
    memo: Annotated[
        str | None,
        Field(
            description="As it was handed in, and as the shop edits it; null: the key has no scope"
            " `read`."
        ),
    ]
    subscription: Annotated[
        content.OrderSubscription | None,
        Field(description="null: the order has none, or the key has no scope `read`."),
    ]
    stored_card: Annotated[
        content.StoredCard | None,
        Field(description="null: none was named, or the key has no scope `read`."),
    ]
    payment_events: Annotated[
        list[EntryAnswer] | None,
        Field(
            description="What happened to the payment, oldest first (the latest 200 things that"
            " happened are looked through); null in lists, and for keys without scope `read`."
        ),
    ]


class OrdersAnswer(AnswerBody):
    """One page of a search."""

    orders: Annotated[list[OrderAnswer], Field(description="Up to `size` of them.")]
    next_cursor: Annotated[str | None, Field(description="null: this is the last page.")]
    changed_cursor: Annotated[
        str | None,
        Field(description="With `changed_since`: what to ask with next time, now or later."),
    ] = None


#: scopes of programs that the buyer's browser talks to
_FOR_BUYER = {Scope.INTAKE, Scope.READ}
REASONS = tuple(dict.fromkeys([*(one.value for one in WhyNot), *(one.value for one in Refusal)]))


class FieldProblem(AnswerBody):
    """One mistake in what was sent."""

    pointer: Annotated[
        str, Field(description="JSON pointer into the body, or `?` and the name of a parameter.")
    ]
    detail: Annotated[str, Field(description="What is wrong with it, in Japanese.")]


class ProblemAnswer(AnswerBody):
    """RFC 9457.  Branch on `code`; the sentences are for people and may change."""

    type: Annotated[str, Field(description="A name for `code`: urn:sgpshop:problem: and it.")]
    title: Annotated[str, Field(description="What `code` means, in English.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    code: Annotated[
        Literal[tuple(CODES)],  # type: ignore[valid-type]
        Field(description="\n".join(f"- `{code}`: {title(code)}." for code in CODES)),
    ]
    detail: Annotated[str, Field(description="What happened and what to do, in Japanese.")]
    request_id: Annotated[
        str, Field(description="Name it when you ask the shop about this answer.")
    ]
    buyer_text: Annotated[
        str | None,
        Field(
            description="Where an order could not be paid (declined, token_refused, payment_refused,"
            " unavailable): what the buyer may be told, in Japanese."
        ),
    ] = None
    errors: Annotated[
        list[FieldProblem] | None, Field(description="invalid: each mistake, up to 20.")
    ] = None
    total: Annotated[int | None, Field(description="total_mismatch: what was sent.")] = None
    calculated: Annotated[int | None, Field(description="total_mismatch: what the lines make.")] = (
        None
    )
    codes: Annotated[
        list[str] | None,
        Field(
            description="declined, token_refused, payment_refused, operation_failed: ErrInfo codes of"
            " SMBC-GP."
        ),
    ] = None
    reason: Annotated[
        Literal[REASONS] | None,  # type: ignore[valid-type]
        Field(
            description="not_possible: why.  payment_status: not in this status; parcels, delivered:"
            " what the parcels say (of a delivered order the return comes first, then the cancel);"
            " cancel_locked: the buyer may still be paying; the others as they read."
        ),
    ] = None
    order: Annotated[
        OrderAnswer | None,
        Field(
            description="Of an act on one order (operation_failed, stale, amount_differs, busy,"
            " not_possible): the order as it is now."
        ),
    ] = None


def of_order(now: OrderNow) -> OrderAnswer:
    """The answer about one order."""
    order, there = now.order, now.order.transaction
    held = there.gateway_amount if there and there.gateway_state in HELD_STATES else None
    return OrderAnswer(
        order_no=order.order_no,
        payment_status=order.payment_status,
        buyer_text=_buyer_text(now),
        unfinished_payment=now.unfinished,
        redirect_url=(
            there.challenge_url
            if there and now.unfinished is Unfinished.AT_BANK and _FOR_BUYER & set(caller().scopes)
            else None
        ),
        return_key=(
            three_ds.return_key(order.order_no)
            if there
            and there.return_url not in ("", three_ds.OUR_PAGE)
            and _FOR_BUYER & set(caller().scopes)
            else None
        ),
        kind=order.kind,
        total=order.total,
        gateway_amount=order.transaction.gateway_amount if order.transaction else None,
        captured_amount=_captured(order),
        authorized_amount=held,
        refunded_amount=now.refunded,
        hold_expires_at=moment(there.auth_expires_at) if there and held is not None else None,
        open_operation=_open_operation(order),
        version=order.version,
        last_error=(
            LastError(
                code=now.problem.codes[0] if now.problem.codes else None,
                codes=list(now.problem.codes),
                headline=now.problem.headline,
                sentence=now.problem.sentence,
                next_step=now.problem.next_step,
            )
            if now.problem
            else None
        ),
        other_transactions=[
            OtherTransaction(
                gateway_order_id=other.gateway_order_id,
                is_captured=other.gateway_state in TAKEN_STATES,
                amount=other.gateway_amount or 0,
            )
            for other in now.others
        ],
        ordered_at=order.ordered_at.isoformat(timespec="seconds"),
        created_at=order.created_at.isoformat(timespec="seconds"),
        changed_at=order.updated_at.isoformat(timespec="seconds"),
        processing_class=order.processing_class,
        shipping_fee=order.carriage,
        handling_fee=order.commission,
        discount=order.discount,
        bulk_discount=order.bulk_discount,
        coupon=order.coupon,
        points_used=order.points_used,
        prices_include_tax=order.prices_include_tax,
        **_content(now),
    )


def _content(now: OrderNow) -> dict[str, Any]:
    """Who bought what, and what happened: all null without the scope for it (S13)."""
    order = now.order
    told = {
        "buyer": content.buyer(order),
        "items": content.items(order),
        "deliveries": content.parcels(order),
        "memo": order.note,
        "subscription": content.subscription(order),
        "stored_card": content.stored_card(order.transaction),
        "payment_events": (
            None
            if now.history is None
            else [of_entry(entry) for entry in reversed(now.history) if is_of_payment(entry)]
        ),
    }
    return told if Scope.READ in caller().scopes else dict.fromkeys(told)


Code = Annotated[
    Literal["needs_approval"],
    Field(description="A second person at the shop has to agree first; nothing was sent."),
]
Detail = Annotated[str, Field(description="The same for people, in Japanese.")]
ApprovalYen = Annotated[int, Field(description="Yen that it takes, or gives back.")]
Until = Annotated[
    DateTime, Field(description="Nothing comes of it where nobody has agreed by then.")
]


class WaitingOrderAnswer(OrderAnswer):
    """The order as it is, while what was asked for waits for a second person's yes (202)."""

    code: Code
    detail: Detail
    approval_yen: ApprovalYen
    approval_expires_at: Until


def waits(asked: Approval) -> dict[str, Any]:
    """What is told beside everything else while `asked` waits (R157)."""
    waiting = ApprovalAsked(asked)
    return {
        "code": "needs_approval",
        "detail": waiting.message,
        "approval_yen": asked.yen,
        "approval_expires_at": asked.expires_at.isoformat(timespec="seconds"),
    }


def respond(answer: AnswerBody, status: int = 200) -> Response:
    """`answer` as JSON."""
    return Response(answer.model_dump_json(), status, content_type="application/json")


def _captured(order: Order) -> int | None:
    is_given_back = order.payment_status is PaymentStatus.CANCELLED
    return None if order.transaction is None or is_given_back else order.transaction.captured_amount


def _buyer_text(now: OrderNow) -> str | None:
    status = now.order.payment_status
    if now.unfinished is not None:
        return now.unfinished.buyer_text
    return status.buyer_text if status else None


_STATES: dict[AttemptState, Literal["queued", "sending", "unknown"]] = {
    AttemptState.QUEUED: "queued",
    AttemptState.SENDING: "sending",
    AttemptState.UNKNOWN: "unknown",
}


def _open_operation(order: Order) -> OpenOperation | None:
    attempt = order.open_attempt
    if attempt is None:
        return None
    since = attempt.uncertain_since or attempt.sent_at or attempt.created_at
    return OpenOperation(
        operation=attempt.operation,
        state=_STATES[attempt.state],
        since=since.isoformat(timespec="seconds"),
        is_worker_there=not readiness.warnings().is_worker_gone,
    )
