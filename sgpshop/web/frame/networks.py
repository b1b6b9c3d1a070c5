"""Screens and API open from listed networks only, where the shop lists some (S4a).

Banks, buyers and machines that watch come from anywhere: their views say `@from_anywhere`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, request
from werkzeug.exceptions import Forbidden

from sgpshop import logs
from sgpshop.domain import networks
from sgpshop.domain.activities import ActivityEvent
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.web.frame import problems
from sgpshop.web.frame.problems import ApiRefusal

View = TypeVar("View", bound=Callable[..., Any])

_MARK = "sgpshop_from_anywhere"


class WrongNetwork(Forbidden):
    """Who asks is in none of the networks from which the screens are used."""


def from_anywhere(view: View) -> View:
    """Mark a view as open whatever network asks: what guards it is something else."""
    setattr(view, _MARK, True)
    return view


def address() -> str:
    """Where this request comes from, as far as it is believed (S24)."""
    return request.remote_addr or ""


def check() -> None:
    """Raises WrongNetwork, for the API ApiRefusal (403), before anything is read or looked up."""
    if hasattr(current_app.view_functions.get(request.endpoint or ""), _MARK):
        return
    shop, is_api = settings.load(), problems.is_wanted()
    listed = networks.read(shop.api_networks if is_api else shop.screen_networks)
    if not listed or networks.holds(listed, address()):
        return
    logs.event("refused", reason="network", address=address(), path=request.path)
    activities.refused(ActivityEvent.REFUSED, "API" if is_api else "画面", "登録されていない接続元")
    if is_api:
        raise ApiRefusal(
            "wrong_network",
            f"このアドレス({address()})からは、APIを使えません。"
            "設定の「接続元」でオーナーが登録したネットワークから呼び出してください。",
        )
    raise WrongNetwork
