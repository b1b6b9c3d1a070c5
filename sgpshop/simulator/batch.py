"""The address of the monthly subscription files: `/_batch/<ShopID>/<yyyyMM>` (interfaces.md §6).

The file goes up as the body of a POST and its result comes down by a GET, both with ShopID and
ShopPass as HTTP Basic.  Everything but the result file is JSON; a refusal is `{"code", "detail"}`.
Faults of rule 32 apply under the api name `Batch`, with job_cd `upload` or `result`.
"""

import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, abort, request

from . import monthly_files
from .delivery import AnswerDelivery, response
from .endpoint import GARBAGE, HTML_PAGE, SHOP_UNKNOWN, Endpoint
from .faults import BEFORE, Fault, FaultKind
from .monthly_files import FileReceipt, MonthlyFileRefused
from .processing import BY_FILE
from .wire import CHARSET

UPLOAD, RESULT = "upload", "result"
NO_RESULT_YET = "NO_RESULT_YET"
_CSV_TYPE = "text/csv; charset=Windows-31J"


def blueprint(endpoint: Endpoint) -> Blueprint:
    """The files of one gateway."""
    bp = Blueprint("batch", __name__, url_prefix="/_batch")
    context = endpoint.context

    def served(
        part: str, month: str, size: int, carry_out: Callable[[], AnswerDelivery]
    ) -> Response:
        """Check who asks, then carry it out as the faults allow."""
        if not monthly_files.is_month(month):
            abort(404)
        entry = endpoint.log.arrived(context.clock.now(), BY_FILE)
        entry.came_with({"Part": part, "Month": month, "Bytes": str(size)})
        fault = endpoint.faults.take(BY_FILE, part, None)
        entry.fault = fault.name if fault else None
        endpoint.wait(endpoint.latency)
        if fault is not None and fault.kind in BEFORE:
            delivery = _not_carried_out(fault)
        else:
            delivery = carry_out() if _is_ours(endpoint) else _refusal(SHOP_UNKNOWN, 401)
            if fault is not None and fault.kind is FaultKind.DELAY:
                endpoint.wait(fault.seconds)
            delivery = _spoilt(fault, delivery)
        if delivery.body is not None:
            entry.answered(delivery.body.decode(CHARSET, "replace"))
        return response(delivery, endpoint.wait)

    @bp.post("/<shop_id>/<month>")
    def upload(shop_id: str, month: str) -> Response:
        content = request.get_data(cache=False)

        def receive() -> AnswerDelivery:
            try:
                return _json(_receipt(monthly_files.receive(context, month, content)))
            except MonthlyFileRefused as refusal:
                is_late = refusal.code == monthly_files.WINDOW_CLOSED
                return _refusal(refusal.code, 409 if is_late else 400)

        return served(UPLOAD, month, len(content), receive)

    @bp.get("/<shop_id>/<month>/result")
    def result(shop_id: str, month: str) -> Response:
        def fetch() -> AnswerDelivery:
            content = monthly_files.result(context, month)
            if content is None:
                return _refusal(NO_RESULT_YET, 404)
            return AnswerDelivery(content, content_type=_CSV_TYPE)

        return served(RESULT, month, 0, fetch)

    return bp


def _is_ours(endpoint: Endpoint) -> bool:
    """Whether the request carries the password of the shop in its address."""
    contract, sent = endpoint.context.contract, request.authorization
    if sent is None or sent.type != "basic":
        return False
    return (request.view_args or {}).get(
        "shop_id"
    ) == sent.username == contract.shop_id and hmac.compare_digest(
        (sent.password or "").encode(), contract.shop_pass.encode()
    )


def _json(content: Any, status: int = 200) -> AnswerDelivery:
    text = json.dumps(content, separators=(",", ":"))
    return AnswerDelivery(text.encode("ascii"), status, "application/json")


_DETAILS = {
    monthly_files.WINDOW_CLOSED: "files are taken from the 1st to the 10th of their own month, JST",
    monthly_files.MALFORMED: "the body must be CSV in cp932",
    monthly_files.NO_FORMAT_NUMBER: "the first line must be 001,ShopID,yyyyMM,count",
    monthly_files.WRONG_SHOP: "the first line names another shop",
    monthly_files.WRONG_MONTH: "the first line names another month than the address",
    monthly_files.WRONG_COUNT: "the first line counts other lines, or the last one is cut",
    SHOP_UNKNOWN: "ShopID and ShopPass as HTTP Basic, please",
    NO_RESULT_YET: "there is no result for this month yet",
}


def _refusal(code: str, status: int) -> AnswerDelivery:
    return _json({"code": code, "detail": _DETAILS.get(code, "")}, status)


def _receipt(receipt: FileReceipt) -> dict[str, Any]:
    refused = [line for line in receipt.lines if line.refused]
    return {
        "receipt_no": receipt.file.receipt_no,
        "accepted": len(receipt.lines) - len(refused),
        "refused": [
            {"line": line.number, "order_id": line.order_id, "code": line.refused}
            for line in refused
        ],
    }


def _not_carried_out(fault: Fault) -> AnswerDelivery:
    if fault.kind is FaultKind.DROP_BEFORE:
        return AnswerDelivery(None)
    if fault.kind is FaultKind.HTTP:
        return AnswerDelivery(HTML_PAGE.encode(CHARSET), fault.http_status, "text/html")
    return _refusal(fault.codes[0], 400)


def _spoilt(fault: Fault | None, delivery: AnswerDelivery) -> AnswerDelivery:
    """What a fault makes of the answer to what was carried out."""
    if fault is None or delivery.body is None:
        return delivery
    if fault.kind is FaultKind.DROP_AFTER:
        return AnswerDelivery(None)
    if fault.kind is FaultKind.GARBAGE:
        return replace(delivery, body=GARBAGE)
    if fault.kind is FaultKind.TRUNCATE:
        return replace(delivery, body=delivery.body[: len(delivery.body) // 2])
    if fault.kind is FaultKind.ERROR_AFTER:
        return _refusal(fault.codes[0], 400)
    if fault.kind is FaultKind.SLOW_DRIP:
        return replace(delivery, seconds_per_byte=fault.seconds)
    return delivery
