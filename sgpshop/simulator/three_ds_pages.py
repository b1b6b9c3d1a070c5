"""What the buyer's browser sees of 3-D Secure: the question, and the way back to the shop."""

import hmac
import sqlite3
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from . import trade_records
from .endpoint import Endpoint
from .page_helpers import secured
from .three_ds import (
    BROKEN_OFF,
    BY_ADDRESS,
    NO,
    PATH,
    YES,
    ThreeDs,
    by_trans_id,
    frictionless_result,
    put,
)
from .trade_records import Trade

#: The three buttons of the question.
ANSWERS = {"yes": YES, "no": NO, "break_off": BROKEN_OFF}


def blueprint(endpoint: Endpoint) -> Blueprint:
    """The pages of one gateway."""
    bp = Blueprint("three_ds", __name__, url_prefix=f"/{PATH.rstrip('/')}")
    context = endpoint.context

    def authentication(db: sqlite3.Connection) -> tuple[ThreeDs, Trade]:
        """The 3-D Secure whose address or form was asked for; 404 for a stranger."""
        record = by_trans_id(db, request.values.get("transId", ""))
        sent = request.values.get("t", "")
        if record is None or not hmac.compare_digest(record.secret.encode(), sent.encode()):
            abort(404)
        trade = trade_records.by_order(db, record.order_id)
        return record, trade or abort(404)

    @bp.get("/")
    def ask() -> Response:
        with context.ledger.transaction() as db:
            record, trade = authentication(db)
            if not record.result and trade.card:
                # without a question it is decided by the browser's coming
                record = replace(record, result=frictionless_result(trade.card))
                put(db, record)
        if record.result:
            return _way_back(record, trade)
        page = Response(render_template("three_ds.html", three_ds=record, trade=trade))
        return _secured(page)

    @bp.post("/")
    def answer() -> Response:
        with context.ledger.transaction() as db:
            record, _ = authentication(db)
            result = ANSWERS.get(request.form.get("answer", "")) or abort(400)
            if not record.result:  # the first answer counts, however often it is sent
                put(db, replace(record, result=result))
        again = url_for(".ask", transId=record.trans_id, t=record.secret)
        return redirect(again, 303)  # type: ignore[return-value]

    @bp.errorhandler(404)
    def missing(_error: Exception) -> tuple[Response, int]:
        return _secured(Response(render_template("three_ds_missing.html"))), 404

    return bp


def _way_back(record: ThreeDs, trade: Trade) -> Response:
    """The browser back to the shop with AccessID (rule 37)."""
    if record.callback_type == BY_ADDRESS:
        answer = redirect(_with_access_id(record.return_url, trade.access_id), 303)
        return _secured(answer)  # type: ignore[arg-type]
    page = render_template("three_ds_return.html", three_ds=record, trade=trade)
    return _secured(Response(page))


def _with_access_id(url: str, access_id: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("AccessID", access_id)]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _secured(response: Response) -> Response:
    """One script and one style sheet of our own.

    No word on where forms may go: browsers apply that to every address the shop redirects to
    afterwards, and those are the shop's own affair.
    """
    return secured(response, "script-src 'self'", "strict-origin")
