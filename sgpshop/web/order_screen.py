"""The screen 詳細注文情報, rendered for every view that shows it whole or in part."""

from __future__ import annotations

import secrets
from typing import Any

from flask import current_app, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.errors import ShopError
from sgpshop.domain.history import sentence
from sgpshop.domain.order_acts import Act, button
from sgpshop.models import Attempt, Role, utc_now
from sgpshop.services import background, resolver, settings
from sgpshop.services.contract import console_links
from sgpshop.services.order_detail import get_detail
from sgpshop.web.fragments import wants_fragment


def render(
    order_no: str, *, asking: Act | str = "", refusal: ShopError | None = None, **more: Any
) -> ResponseReturnValue:
    """The whole screen, or with HTMX the part that changes.

    `asking` opens the confirmation of that act (template `_ask_<act>.html`), if its button is
    enabled; `refusal` is shown on top and gives the status.  Raises NotFound.
    """
    detail = get_detail(order_no)
    order = detail.order
    _hurry_if_uncertain(order.open_attempt)
    shop = settings.load()
    now = utc_now()
    buttons = {act: button(act, order, shop, now) for act in Act}
    if asking in buttons and not (buttons[Act(asking)].is_enabled and may_act()):
        asking = ""
    page = render_template(
        "order_detail/_order.html" if wants_fragment() else "order_detail/show.html",
        detail=detail,
        order=order,
        shop=shop,
        buttons=buttons,
        Act=Act,
        asking=str(asking),
        request_token=secrets.token_hex(16),
        refusal=refusal,
        consoles=console_links(shop),
        tell=sentence,
        carriers=CARRIERS,
        may_act=may_act(),
        **more,
    )
    return make_response(page, refusal.status if refusal else 200)


def done(order_no: str) -> ResponseReturnValue:
    """After an act: the changed part with HTMX, else a redirect to the screen."""
    if wants_fragment():
        return render(order_no)
    return redirect(url_for("order_detail.show", order_no=order_no), code=303)


def may_act() -> bool:
    """Whether the signed-in person may act on orders (R150)."""
    return bool(current_user.may_act_as(Role.OPERATOR))


def _hurry_if_uncertain(attempt: Attempt | None) -> None:
    """Somebody looks at an uncertain order: look it up now, in the background (P13)."""
    if attempt is not None and resolver.is_uncertain(attempt):
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        background.submit(app, resolver.hurry, attempt.id)
