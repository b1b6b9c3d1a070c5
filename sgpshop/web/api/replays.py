"""`Idempotency-Key`: the same request sent again gets the first answer (P19, P27).

An answer that stands for something that happened is kept for a day: 2xx, and what SMBC-GP or the card
company refused.  Whatever else refuses changed nothing, so the same key may come again, mended.  What
has not ended is not kept: the same request again finds by its token what it began, and how that is now.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from flask import Response, request
from pydantic import BaseModel

from sgpshop.domain.errors import ShopError
from sgpshop.services.access import idempotency
from sgpshop.services.access.idempotency import AdmittedRequest
from sgpshop.web.api import strict_json
from sgpshop.web.api.access import caller
from sgpshop.web.frame import problems
from sgpshop.web.frame.problems import ApiRefusal

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
PATTERN = r"^[!-~]{1,200}$"
#: refusals that are ends: SMBC-GP was asked
_ENDS = frozenset({"declined", "operation_failed"})


def once(given: BaseModel, act: Callable[[str], Response]) -> Response:
    """What `act(token)` answers, or answered when this very request came before.

    `given` is what the body says: spelling, order, and whether a default is written out are not content.

    `token` is 32 hex digits, the same for every try of one request, so that an act which a process
    did not survive is found begun.  Raises what `act` raises, KeyReused, StillBusy or ApiRefusal.
    """
    key = _key()
    if key is None:
        return act(secrets.token_hex(16))
    content = json.dumps(given.model_dump(mode="json"), sort_keys=True).encode()
    begun = idempotency.begin(caller().key_id, f"{request.method} {request.path}", key, content)
    if begun.status is not None:
        return _replay(begun)
    try:
        answer = act(begun.token)
    except ShopError as refusal:
        answer = problems.of_refusal(refusal)
    except BaseException:
        idempotency.break_off(begun)
        raise
    said = answer.get_json()
    if answer.status_code < 300 and _goes_on(said):
        idempotency.break_off(begun)
    elif answer.status_code < 300 or said["code"] in _ENDS:
        idempotency.finish(begun, answer.status_code, answer.get_data(as_text=True))
    elif answer.status_code < 500:
        idempotency.forget(begun)
    else:
        idempotency.break_off(begun)
    return answer


def _goes_on(said: dict[str, Any]) -> bool:
    """Whether an answer tells of something that has not ended."""
    return bool(
        said.get("code") == "needs_approval"
        or said.get("open_operation")
        or said.get("redirect_url")
        or said.get("is_finished") is False
    )


def _key() -> str | None:
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    if not re.fullmatch(PATTERN, sent):
        raise ApiRefusal("bad_request", f"{HEADER}は半角の英数字と記号200文字以内です。")
    strict_json.refuse_card_number(sent)
    return sent


def _replay(begun: AdmittedRequest) -> Response:
    status = begun.status or 500
    media_type = "application/json" if status < 300 else problems.MEDIA_TYPE
    return Response(begun.body, status, {REPLAYED: "true"}, content_type=media_type)
