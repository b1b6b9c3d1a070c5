"""詳細注文情報 (/orders/<order_no>): one order, its payment, and the button that captures it."""

from __future__ import annotations

import secrets

from flask import Blueprint, current_app, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.history import sentence
from sgpshop.domain.order_rules import capture_button
from sgpshop.models import Attempt, Role
from sgpshop.services import attempts, background, payments, resolver, settings
from sgpshop.services.contract import console_links
from sgpshop.services.history import Actor
from sgpshop.services.order_detail import get_detail, get_order
from sgpshop.web.capture_form import CaptureForm
from sgpshop.web.fragments import wants_fragment
from sgpshop.web.security import requires

bp = Blueprint("order_detail", __name__, url_prefix="/orders")


@bp.get("/<order_no>")
@requires(Role.VIEWER)
def show(order_no: str) -> ResponseReturnValue:
    """The whole screen, or with HTMX the part that changes."""
    return _screen(order_no)


@bp.get("/<order_no>/capture")
@requires(Role.OPERATOR)
def ask(order_no: str) -> ResponseReturnValue:
    """The same screen with the confirmation open in the payment panel (R56)."""
    return _screen(order_no, is_asking=True)


@bp.post("/<order_no>/capture")
@requires(Role.OPERATOR)
def capture(order_no: str) -> ResponseReturnValue:
    """SGPカード実売上処理: accept it, wait a moment for the answer, show how it stands."""
    form = CaptureForm()
    try:
        attempt_id = attempts.open_capture(
            get_order(order_no).id, form.seen(), Actor.person(current_user.name)
        )
    except NotFound:
        raise
    except ShopError as problem:
        return _screen(order_no, refusal=problem)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    background.submit(app, payments.run_operation, attempt_id)
    attempts.wait_for_end(attempt_id, app.config["ANSWER_WAIT"])
    if wants_fragment():
        return _screen(order_no)
    return redirect(url_for(".show", order_no=order_no), code=303)


def _screen(
    order_no: str, *, is_asking: bool = False, refusal: ShopError | None = None
) -> ResponseReturnValue:
    detail = get_detail(order_no)
    order = detail.order
    _hurry_if_uncertain(order.open_attempt)
    shop = settings.load()
    button = capture_button(order)
    template = "order_detail/_order.html" if wants_fragment() else "order_detail/show.html"
    page = render_template(
        template,
        detail=detail,
        order=order,
        shop=shop,
        button=button,
        is_asking=is_asking and button.is_enabled and shop.has_contract,
        request_token=secrets.token_hex(16),
        refusal=refusal,
        consoles=console_links(shop),
        tell=sentence,
        carriers=CARRIERS,
        may_capture=current_user.may_act_as(Role.OPERATOR),
    )
    return make_response(page, refusal.status if refusal else 200)


def _hurry_if_uncertain(attempt: Attempt | None) -> None:
    """Somebody looks at an uncertain order: look it up now, in the background (P13)."""
    if attempt is not None and resolver.is_uncertain(attempt):
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        background.submit(app, resolver.hurry, attempt.id)
