"""The control interface `/_control/*`: what tests and operators steer the gateway with.

Every body and every answer is JSON; a body that is not understood is a 400 problem document.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, NoReturn

from flask import Blueprint, Response, request

from . import monthly_files, trade_records
from .bulk import BadTransactions, create
from .card_records import new_token
from .cards import Card
from .clock import at
from .endpoint import APIS, Endpoint
from .faults import BadFault, parse_rule
from .fields import CARD_NO, EXPIRE, check
from .notices import BadNotifications, parse_sending
from .practice_api import BadAddress, PracticeApi
from .practice_shop import PracticeShop
from .processing import BY_FILE

CLOCK_OFFSET = "clock_offset"
#: About a century: what the calendar of the wire (two-digit years) can still tell.
MAX_OFFSET_SECONDS = 100 * 365 * 86_400


class BadRequest(Exception):
    """A control body that cannot be followed; the message is for the person who sent it."""


def blueprint(endpoint: Endpoint, practice: PracticeShop) -> Blueprint:
    """The control interface of one gateway."""
    bp = Blueprint("control", __name__, url_prefix="/_control")
    context = endpoint.context

    @bp.before_request
    def refuse_other_sites() -> Response | None:
        # Browsers say who asks: no page that somebody has open elsewhere steers the gateway.
        if request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            return None
        return _problem(403, "this is not for pages of other sites")

    @bp.post("/reset")
    def reset() -> Response:
        context.ledger.clear()
        context.clock.offset = 0.0
        endpoint.faults.clear()
        endpoint.log.clear()
        context.notices.behave()
        return _json({"reset": True})

    @bp.get("/faults")
    def show_faults() -> Response:
        return _json({"faults": endpoint.faults.described()})

    @bp.post("/faults")
    def set_fault() -> Response:
        endpoint.faults.add(parse_rule(_object(), frozenset(APIS) | {BY_FILE}))
        return show_faults()

    @bp.delete("/faults")
    def clear_faults() -> Response:
        endpoint.faults.clear()
        return show_faults()

    @bp.get("/ledger")
    def ledger() -> Response:
        monthly_files.settle_due(context)
        with context.ledger.reading() as db:
            trades, lines = trade_records.snapshot(db, request.args.get("order_id"))
        histories: dict[str, list[dict[str, Any]]] = {row["order_id"]: [] for row in trades}
        for line in lines:
            histories[line["order_id"]].append(
                {
                    "time": at(line["at"]).isoformat(),
                    **{name: line[name] for name in _HISTORY_SHOWN},
                }
            )
        return _json(
            [
                {
                    **{name: row[name] for name in _TRADE_SHOWN},
                    "processed_at": at(row["processed_at"]).isoformat(),
                    "history": histories[row["order_id"]],
                }
                for row in trades
            ]
        )

    @bp.get("/requests")
    def requests() -> Response:
        return _json(endpoint.log.described(request.args.get("order_id")))

    @bp.get("/clock")
    def show_clock() -> Response:
        return _json({"now": context.clock.now().isoformat(timespec="seconds")})

    @bp.post("/clock")
    def set_clock() -> Response:
        offset = _offset(endpoint, _object())
        if not abs(offset) <= MAX_OFFSET_SECONDS:
            raise BadRequest("the clock moves by a hundred years at most")
        context.ledger.remember(CLOCK_OFFSET, offset)
        context.clock.offset = offset
        return show_clock()

    @bp.get("/notifications")
    def show_notifications() -> Response:
        sent = context.notices.described(request.args.get("order_id"))
        return _json({"sending": asdict(context.notices.sending), "notifications": sent})

    @bp.post("/notifications")
    def set_notifications() -> Response:
        context.notices.use(parse_sending(_object()))
        context.notices.start(endpoint.stopping)
        return _json({"sending": asdict(context.notices.sending)})

    @bp.post("/notifications/forge")
    def forge_notification() -> Response:
        if not context.notices.sending.url:
            raise BadRequest("say first where notifications go: POST /_control/notifications")
        fields = {str(name): str(value) for name, value in _object().items()}
        return _json({"answer": context.notices.forge(fields)})

    @bp.post("/tokens")
    def tokens() -> Response:
        body = _object()
        card = {"CardNo": str(body.get("card_no", "")), "Expire": str(body.get("expire", ""))}
        problems = check(card, (CARD_NO, EXPIRE))
        if problems:
            raise BadRequest(f"card_no or expire is not right: {', '.join(problems)}")
        stored = Card.from_number(card["CardNo"], card["Expire"])
        return _json({"token": new_token(context, stored)})

    @bp.post("/batch")
    def set_batch() -> Response:
        body = _object()
        day = body.get("result_day")
        if body.keys() != {"result_day"} or type(day) is not int:
            raise BadRequest("the body must be {result_day}")
        if day not in monthly_files.RESULT_DAYS:
            raise BadRequest("result_day must be a day from 11 to 28")
        context.ledger.remember(monthly_files.RESULT_DAY, day)
        return _json({"result_day": day})

    @bp.post("/practice-shop")
    def open_practice_shop() -> Response:
        body = _object()
        if body.keys() != {"api_url", "api_key"}:
            raise BadRequest("the body must be {api_url, api_key}")
        practice.api = PracticeApi.at(str(body["api_url"]), str(body["api_key"]))
        return _json({"api_url": practice.api.url})

    @bp.post("/transactions")
    def transactions() -> Response:
        return _json(create(context, _body()))

    @bp.route("/<path:anything>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def unknown(anything: str) -> Response:
        return _problem(404, f"there is no /_control/{anything} with this method")

    @bp.errorhandler(BadRequest)
    @bp.errorhandler(BadFault)
    @bp.errorhandler(BadTransactions)
    @bp.errorhandler(BadNotifications)
    @bp.errorhandler(BadAddress)
    def refuse(problem: Exception) -> Response:
        return _problem(400, str(problem))

    return bp


_TRADE_SHOWN = ("order_id", "status", "job", "amount", "tax", "access_id", "tran_id")
_HISTORY_SHOWN = ("api", "job", "status", "amount", "tax", "tran_id", "error", "by")


def _json(content: Any, status: int = 200, mimetype: str = "application/json") -> Response:
    text = json.dumps(content, separators=(",", ":"))
    return Response(text, status, mimetype=mimetype)


def _problem(status: int, detail: str) -> Response:
    title = {400: "Bad request", 403: "Forbidden"}.get(status, "Not found")
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return _json(content, status, "application/problem+json")


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _body() -> Any:
    """The JSON body; raises BadRequest."""
    try:
        return json.loads(request.get_data(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise BadRequest(f"the body must be JSON: {problem}") from None


def _object() -> Mapping[str, Any]:
    """The JSON body where an object is expected; raises BadRequest."""
    body = _body()
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def _offset(endpoint: Endpoint, body: Mapping[str, Any]) -> float:
    """The clock offset a body `{advance_seconds}` or `{now}` asks for; raises BadRequest."""
    clock = endpoint.context.clock
    if body.keys() == {"advance_seconds"}:
        seconds = body["advance_seconds"]
        # written so that NaN fails too
        if type(seconds) not in (int, float) or not abs(seconds) <= MAX_OFFSET_SECONDS:
            raise BadRequest("advance_seconds must be a number, a hundred years at most")
        return clock.offset + float(seconds)
    if body.keys() == {"now"} and isinstance(body["now"], str):
        try:
            moment = datetime.fromisoformat(body["now"])
        except ValueError:
            raise BadRequest("now must be ISO 8601, as 2026-11-23T10:15:00+09:00") from None
        if moment.tzinfo is None:
            raise BadRequest("now needs an offset, as 2026-11-23T10:15:00+09:00")
        return clock.offset_to(moment)
    raise BadRequest("the body must be {advance_seconds} or {now}")
