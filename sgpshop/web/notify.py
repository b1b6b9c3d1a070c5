"""The gateway's result notifications come in here (S15, P24, P25); the page that shows them: `settings/notifications`.

`POST /notify/<secret>` belongs to a machine: no session, no cookie, no token.  What it answers says
only whether the notification is kept, never whether we know the order.
"""

from __future__ import annotations

import ipaddress
import logging

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.gateway import read_notice
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.payments import notifications
from sgpshop.web.frame.networks import from_anywhere
from sgpshop.web.frame.security import for_machines

bp = Blueprint("notify", __name__)

#: 受信した / 受信できなかった (protocol.md §6)
_RECEIVED, _NOT_RECEIVED = "0", "1"


@bp.post("/notify/<secret>")
@from_anywhere
@for_machines
def receive(secret: str) -> ResponseReturnValue:
    """Keep one notification: `0` once it is committed, `1` when it cannot be stored (P25).

    With the right secret the answer to anything readable is `0`, also when it is about another
    shop, another means of payment or nothing at all: sent again it would say the same.
    """
    try:
        shop = settings.load()
        if not (notifications.is_ours(secret, shop) and _is_from_source()):
            abort(404)
        request.max_content_length = current_app.config["NOTIFY_MAX_BYTES"]
        notice = read_notice(request.get_data(cache=False))
        notifications.receive(notice, request.remote_addr or "", shop)
    except RequestEntityTooLarge:
        return _answer(_NOT_RECEIVED, 413)
    except SQLAlchemyError as problem:  # locked, full, read-only or away: it comes again (P32)
        reason = str(problem).partition("\n")[0][:200]
        logs.event("notification_not_stored", level=logging.ERROR, reason=reason)
        return _answer(_NOT_RECEIVED)
    return _answer(_RECEIVED)


def _is_from_source() -> bool:
    networks = current_app.config["NOTIFY_SOURCES"]
    if not networks:
        return True
    try:
        sender = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return False
    if any(sender in network for network in networks):
        return True
    logs.event("refused", reason="notification_source", address=request.remote_addr)
    activities.refused(ActivityEvent.REFUSED, "結果通知", "登録されていない送信元")
    return False


def _answer(body: str, status: int = 200) -> Response:
    return Response(body, status, mimetype="text/plain")
