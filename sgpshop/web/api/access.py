"""Who may call the API: a key in the `Authorization` header, with the right scope (S4, S6, S13, S23).

Neither session nor cookie is looked at, so no other site can borrow a person's rights (S6).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from flask import Response, after_this_request, g, request

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.models import ActorKind, Scope
from sgpshop.services.access import activities, api_keys, rate_limits
from sgpshop.services.access.api_keys import Caller, KeyRefused
from sgpshop.services.access.rate_limits import SPAN, Left
from sgpshop.services.orders.history import Actor
from sgpshop.web.api import strict_json
from sgpshop.web.frame.problems import ApiRefusal
from sgpshop.web.frame.security import for_api

View = TypeVar("View", bound=Callable[..., Any])

_SCHEME = "bearer "


def needs(scope: Scope, *, is_search: bool = False) -> Callable[[View], View]:
    """Mark a view as open to keys with `scope`; `is_search` counts against the searches' limit too."""

    def mark(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.api_caller = _admit(scope, is_search)
            return view(*args, **kwargs)

        return cast(View, for_api(scope)(guarded))

    return mark


def may(scope: Scope) -> None:
    """Raises ApiRefusal (403) when this key has not that scope."""
    if scope not in caller().scopes:
        _refuse(scope)


def caller() -> Caller:
    """The program behind this request."""
    found: Caller = g.api_caller
    return found


def actor_here() -> Actor:
    """The same for the journal and the history."""
    return Actor.api_key(caller().name, caller().key_id)


def _admit(scope: Scope, is_search: bool) -> Caller:
    """Raises KeyRefused, TooOften or ApiRefusal (403)."""
    is_reading = request.method in ("GET", "HEAD")
    address = request.remote_addr or ""
    try:
        found = api_keys.recognize(_bearer())
    except KeyRefused:  # strangers count too: guessing and flooding are stopped alike
        rate_limits.count_request(address, None, is_reading=True)
        logs.event("refused", reason="api_key", address=address, path=request.path)
        activities.refused(ActivityEvent.REFUSED, "API", "APIキーがないか、無効")
        raise
    logs.bind(key_prefix=found.prefix)
    activities.act_as(ActorKind.API_KEY, found.name, address)
    left = rate_limits.count_request(
        address, found.key_id, is_search=is_search, is_reading=is_reading
    )
    if left is not None:
        _tell_what_is_left(left)
    if scope not in found.scopes:
        _refuse(scope)
    for name, value in request.args.items(multi=True):
        strict_json.refuse_card_number(name)
        strict_json.refuse_card_number(value)
    return found


def _tell_what_is_left(left: Left) -> None:
    """In the words of the IETF's RateLimit header fields, whatever the answer will be."""
    name = left.subject.partition(":")[0]
    policy, now = f'"{name}";q={left.most};w={SPAN}', f'"{name}";r={left.left};t={left.seconds}'

    @after_this_request
    def _add(answer: Response) -> Response:
        answer.headers["RateLimit-Policy"], answer.headers["RateLimit"] = policy, now
        return answer


def _refuse(scope: Scope) -> NoReturn:
    logs.event("refused", reason="scope", needs=scope.value, path=request.path)
    activities.refused(ActivityEvent.REFUSED, "API", f"「{scope.label}」の権限がないAPIキー")
    raise ApiRefusal(
        "forbidden", f"このAPIキーには「{scope.label}」({scope.value})の権限がありません。"
    )


def _bearer() -> str:
    """The key as it was sent; "" without one."""
    sent = request.headers.get("Authorization", "")
    return sent[len(_SCHEME) :].strip() if sent[: len(_SCHEME)].lower() == _SCHEME else ""
