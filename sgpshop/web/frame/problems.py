"""What a program is told when something cannot be done: `application/problem+json` (RFC 9457, S22).

`type` is `urn:sgpshop:problem:` and `code`, which never changes its meaning; `title` is English and `detail`
Japanese, both for people.  What was sent is never repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Response, g, request

from sgpshop.domain.errors import (
    AmountDiffers,
    ContractMissing,
    CursorInvalid,
    NotFound,
    NotPossible,
    OrderBusy,
    OrderChanged,
    ShopError,
)
from sgpshop.services import intake
from sgpshop.services.access import api_keys, idempotency
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.order_detail.unfinished import Unfinished
from sgpshop.services.orders import feed
from sgpshop.web.frame.problem_codes import CODE_OF_STATUS, heading, status_of, title

PREFIX = "/api/"
MEDIA_TYPE = "application/problem+json"
TYPE = "urn:sgpshop:problem:"

_BY_REFUSAL: dict[type[ShopError], str] = {
    NotFound: "not_found",
    NotPossible: "not_possible",
    AmountDiffers: "amount_differs",
    OrderChanged: "stale",
    OrderBusy: "busy",
    ContractMissing: "unavailable",
    CursorInvalid: "invalid_cursor",
    feed.PlaceLost: "cursor_lost",
    api_keys.KeyRefused: "unauthorized",
    idempotency.KeyReused: "key_reused",
    idempotency.StillBusy: "in_progress",
    TooOften: "too_many_requests",
    intake.IntakeClosed: "intake_closed",
    intake.OrderNumberTaken: "order_no_taken",
    intake.BeingBilled: "being_billed",
    intake.RoundTaken: "round_taken",
    intake.ThreeDsNotSetUp: "three_ds_not_set_up",
    intake.TokenRefused: "token_refused",
    intake.PaymentRefused: "payment_refused",
}
_SENTENCES = {
    "not_found": "URLを確認してください。",
    "method_not_allowed": "AllowヘッダーにあるメソッドでこのURLを呼び出してください。",
    "invalid_cursor": "この位置の指定は使えません。前の応答の値をそのまま、同じ条件で送ってください。",
    "error": (
        "決済の操作をしていた場合は、注文を開いて現在の状態を確認してください。"
        "同じIdempotency-Keyで再送しても、二重に処理されることはありません。"
    ),
    "unavailable": (
        "しばらく待ってから再送してください。"
        "同じIdempotency-Keyで再送しても、二重に処理されることはありません。"
    ),
}


class ApiRefusal(ShopError):
    """A refusal with a code of its own, and what more can be said of it."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status_of(code)
        self.code = code
        self.more = more


def is_wanted() -> bool:
    """Whether this request is answered in JSON, whatever happens."""
    return request.path.startswith(PREFIX)


def of_refusal(refusal: ShopError) -> Response:
    """The answer that says `refusal`."""
    if isinstance(refusal, CursorInvalid):
        return answer(refusal.status, "invalid_cursor", _SENTENCES["invalid_cursor"])
    if isinstance(refusal, ApiRefusal):
        return answer(refusal.status, refusal.code, refusal.message, more=refusal.more)
    code = _code_of(refusal)
    status = 503 if code == "unavailable" else refusal.status
    headers = {}
    if isinstance(refusal, TooOften):
        headers["Retry-After"] = str(refusal.retry_after)
    elif code in ("unavailable", "in_progress"):
        headers["Retry-After"] = "2" if code == "in_progress" else "60"
    elif status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="sgpshop"'
    more: dict[str, Any] | None = None
    if isinstance(refusal, intake.Declined | intake.PaymentRefused):
        more = {"codes": list(refusal.codes), "buyer_text": _buyer_text(refusal)}
    elif isinstance(refusal, intake.PaymentUnavailable):
        more = {"buyer_text": Unfinished.NOT_PAID.buyer_text}
    elif isinstance(refusal, NotPossible):
        more = {"reason": refusal.reason}
    return answer(status, code, refusal.message, headers, more)


def _buyer_text(refusal: intake.Declined | intake.PaymentRefused) -> str:
    if isinstance(refusal, intake.PaymentRefused):
        return Unfinished.NOT_PAID.buyer_text
    is_stranger = refusal.is_of_authentication
    return (Unfinished.AUTHENTICATION_FAILED if is_stranger else Unfinished.DECLINED).buyer_text


def with_order(refusal: ShopError, order: Mapping[str, Any]) -> ApiRefusal:
    """The same refusal of an act on one order, with the order as it is now."""
    more: dict[str, Any] = {"reason": refusal.reason} if isinstance(refusal, NotPossible) else {}
    return ApiRefusal(_code_of(refusal), refusal.message, order=order, **more)


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to what only has a status."""
    code = CODE_OF_STATUS.get(status, "error" if status >= 500 else "bad_request")
    return answer(status, code, _SENTENCES.get(code, heading(code) + "。"), headers)


def answer(
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """One problem document."""
    document = {
        "type": TYPE + code,
        "title": title(code),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": g.get("request_id", ""),
        **(more or {}),
    }
    text = json.dumps(document, ensure_ascii=False)
    return Response(text, status, dict(headers or {}), content_type=MEDIA_TYPE)


def _code_of(refusal: ShopError) -> str:
    for kind, code in _BY_REFUSAL.items():
        if isinstance(refusal, kind):
            return code
    return CODE_OF_STATUS.get(refusal.status, "refused")
