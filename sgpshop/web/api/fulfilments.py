"""`/api/v1/fulfilments`: slip numbers, 配送完了 and 返送 by a warehouse's program (interfaces.md §5).

Planned, decided and written as a slip file is (services/deliveries/slips/handed_in.py).
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from flask import Response
from pydantic import Field

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.errors import NotFound
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import ItemResult, Scope
from sgpshop.services.deliveries.slips import handed_in
from sgpshop.services.deliveries.slips.decisions import code_of
from sgpshop.services.deliveries.slips.handed_in import OrderNews, OrderResult, ParcelNews
from sgpshop.services.deliveries.slips.report import ReportedRow
from sgpshop.services.installation.health import readiness
from sgpshop.services.payments import second_look
from sgpshop.services.payments.acts import SumNotConfirmed
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.api import answers, replays
from sgpshop.web.api.access import caller, may
from sgpshop.web.api.fields import AnswerBody, Body, Day, Version, Yen
from sgpshop.web.api.reading import mistake, refuse_unconfirmed, sent

MOST_ORDERS, _MOST_PARCELS, _MOST_SLIPS = 200, 50, 12
_CARRIERS = "; ".join(f"`{code}` {name}" for code, name in CARRIERS.items()) + "."
#: of all orders of a call together, for they are begun in one transaction
_MOST_AT_ONCE = 1000

SlipNumber = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,30}$")]


class ParcelBody(Body):
    """What happened to one parcel."""

    number: Annotated[
        int,
        Field(ge=0, le=999, description="`deliveries[].number`; 0 also means the only parcel."),
    ] = 0
    status: Annotated[
        Literal["instructed", "preparing", "delivered", "returned"],
        Field(
            description="instructed, preparing: it is being made ready; delivered: it left"
            " (配送完了); returned: it came back (返送), no money moves by that."
        ),
    ]
    carrier_code: Annotated[
        Literal[tuple(CARRIERS)] | None,  # type: ignore[valid-type]
        Field(description=f"Null keeps what is stored.  {_CARRIERS}"),
    ] = None
    slip_numbers: Annotated[
        list[SlipNumber] | None,
        Field(
            min_length=1,
            max_length=_MOST_SLIPS,
            description="All that the parcel has: one, or several of one in several pieces."
            "  Null keeps what is stored.",
        ),
    ] = None
    day: Annotated[
        Day | None,
        Field(description="When it left or came back, not in the future; null: today."),
    ] = None


class FulfilledOrderBody(Body):
    """What happened to the parcels of one order."""

    order_no: Annotated[
        str,
        Field(
            min_length=1, max_length=28, pattern=r"^[!-~]*$", description="Which order it is about."
        ),
    ]
    parcels: Annotated[
        list[ParcelBody],
        Field(
            min_length=1,
            max_length=_MOST_PARCELS,
            description="Those of which there is news; the others stay as they are.",
        ),
    ]
    version: Annotated[
        Version | None,
        Field(description="As you saw it; the order stays as it is when it is otherwise by now."),
    ] = None
    amount: Annotated[
        Yen | None, Field(description="`total` as you saw it; needed with `capture`.")
    ] = None


class FulfilmentBody(Body):
    """What happened to the parcels of up to 200 orders, to 1,000 parcels together."""

    orders: Annotated[
        list[FulfilledOrderBody],
        Field(min_length=1, max_length=MOST_ORDERS, description="Each order once."),
    ]
    capture: Annotated[
        bool,
        Field(
            description="Also capture each order of which this makes the last open parcel delivered."
            "  The key needs scope `capture` for it, and each order its `amount`.  Where the capture"
            " fails the parcels stay as they are, or are registered all the same, as the shop's"
            " settings say."
        ),
    ] = False
    confirm_large_amount: Annotated[
        bool,
        Field(
            description="Must be true to capture more than 1,000,000 yen or 100 orders at once"
            " (422 large_amount_not_confirmed)."
        ),
    ] = False


class ParcelResult(AnswerBody):
    """What became of one parcel."""

    number: Annotated[int, Field(description="As it was sent.")]
    result: Annotated[
        Literal["done", "unchanged", "waiting", "uncertain", "failed"],
        Field(
            description="done: written; unchanged: it was so already; waiting: for the capture, or"
            " for a moment; uncertain: the outcome of the capture is being looked up; failed: see"
            " `code`."
        ),
    ]
    is_registered: Annotated[
        bool, Field(description="The parcel is as you said, whatever became of the capture.")
    ]
    code: Annotated[
        str | None,
        Field(
            description="Why it failed: not_found, stale, amount_differs, no_such_parcel, duplicate, bad_day,"
            " not_approved,"
            " moves_back (it would undo what is reported), not_possible, capture_failed (see"
            f" `error_codes`), or why it cannot be captured: {', '.join(Refusal)}."
        ),
    ]
    detail: Annotated[str | None, Field(description="The same for people, in Japanese.")]
    error_codes: Annotated[list[str], Field(description="ErrInfo codes of SMBC-GP.")]


class FulfilledOrder(AnswerBody):
    """What became of one order; the rest tells how it is now, null if there is none."""

    order_no: Annotated[str, Field(description="As it was sent.")]
    parcels: Annotated[list[ParcelResult], Field(description="One for each that was sent.")]
    processing_class: Annotated[
        ProcessingClass | None, Field(description="All parcels together, as of an order.")
    ]
    payment_status: Annotated[
        PaymentStatus | None, Field(description="null also where it is not paid by card here.")
    ]
    version: Annotated[int | None, Field(description="Of the order.")]


class FulfilmentAnswer(AnswerBody):
    """An answer for each order."""

    id: Annotated[
        str,
        Field(pattern=r"^[0-9a-f]{32}$", description="Names it for `GET /fulfilments/{id}`."),
    ]
    is_finished: Annotated[bool, Field(description="false: something is waiting or uncertain.")]
    failed: Annotated[int, Field(description="Parcels that failed.")]
    is_worker_there: Annotated[
        bool,
        Field(description="false: nobody works at the shop just now; what waits, waits for that."),
    ]
    orders: Annotated[
        list[FulfilledOrder], Field(description="What became of each, in the order as sent.")
    ]


class WaitingFulfilmentAnswer(FulfilmentAnswer):
    """The same while it waits for a second person's yes: nothing of it is done yet (202)."""

    code: answers.Code
    detail: answers.Detail
    approval_yen: answers.ApprovalYen
    approval_expires_at: answers.Until


def create() -> Response:
    """Register what happened to parcels, and capture with it where that is asked for."""
    given = sent(FulfilmentBody)
    _check(given)

    def act(token: str) -> Response:
        try:
            handed_in.take(
                token,
                caller().key_id,
                caller().name,
                [_news(order) for order in given.orders],
                capture=given.capture,
                sum_confirmed=given.confirm_large_amount,
            )
        except SumNotConfirmed as big:
            refuse_unconfirmed(big.yen)
        except ApprovalAsked:
            pass  # told by the answer
        return _answer(token)

    return replays.once(given, act)


def show(run_id: str) -> Response:
    """What became of it by now."""
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise NotFound("この発送の登録は見つかりません。")
    return _answer(run_id)


def _check(given: FulfilmentBody) -> None:
    """Raises ApiRefusal: 403 or 422."""
    if given.capture:
        may(Scope.CAPTURE)
    if sum(len(order.parcels) for order in given.orders) > _MOST_AT_ONCE:
        raise mistake(
            "/orders",
            f"お届け先は合わせて{_MOST_AT_ONCE:,}件までです。何回かに分けて送ってください。",
        )
    seen: set[str] = set()
    for place, order in enumerate(given.orders):
        if order.order_no in seen:
            raise mistake(f"/orders/{place}/order_no", "同じ注文が2回あります。")
        seen.add(order.order_no)
        if given.capture and order.amount is None:
            raise mistake(f"/orders/{place}/amount", "captureを指定したときは必須です。")
        for number, parcel in enumerate(order.parcels):
            if len(" ".join(parcel.slip_numbers or ())) > 400:
                raise mistake(
                    f"/orders/{place}/parcels/{number}/slip_numbers", "伝票番号が多すぎます。"
                )


def _news(order: FulfilledOrderBody) -> OrderNews:
    return OrderNews(
        order.order_no,
        [
            ParcelNews(
                parcel.number,
                DeliveryStatus(parcel.status),
                parcel.carrier_code or "",
                parcel.slip_numbers or (),
                date.fromisoformat(parcel.day) if parcel.day else None,
            )
            for parcel in order.parcels
        ],
        order.version,
        order.amount,
    )


_RESULTS: dict[ItemResult, Literal["done", "unchanged", "waiting", "uncertain", "failed"]] = {
    ItemResult.SUCCEEDED: "done",
    ItemResult.SKIPPED: "unchanged",
    ItemResult.PENDING: "waiting",
    ItemResult.UNCERTAIN: "uncertain",
    ItemResult.FAILED: "failed",
}


def _answer(run_id: str) -> Response:
    orders = [_order(one) for one in handed_in.results(run_id, caller().key_id)]
    results = [parcel.result for order in orders for parcel in order.parcels]
    is_finished = not {"waiting", "uncertain"} & set(results)
    answer = FulfilmentAnswer(
        id=run_id,
        is_finished=is_finished,
        failed=results.count("failed"),
        is_worker_there=not readiness.warnings().is_worker_gone,
        orders=orders,
    )
    asked = None if is_finished else second_look.newest_of_run(slips=run_id)
    if asked is not None and asked.is_waiting:
        answer = WaitingFulfilmentAnswer(**answer.model_dump(), **answers.waits(asked))
    return answers.respond(answer, 200 if is_finished else 202)


def _order(result: OrderResult) -> FulfilledOrder:
    order = result.order
    return FulfilledOrder(
        order_no=result.order_no,
        parcels=[_parcel(line) for line in result.rows],
        processing_class=order.processing_class if order else None,
        payment_status=order.payment_status if order else None,
        version=order.version if order else None,
    )


def _parcel(line: ReportedRow) -> ParcelResult:
    row = line.row
    is_failed = row.result is ItemResult.FAILED
    return ParcelResult(
        number=row.delivery_number,
        result=_RESULTS[row.result],
        is_registered=row.is_written or row.result in (ItemResult.SUCCEEDED, ItemResult.SKIPPED),
        code=(row.refusal or code_of(row.message)) if is_failed else None,
        detail=line.problem or None if is_failed else None,
        error_codes=list(line.codes),
    )
