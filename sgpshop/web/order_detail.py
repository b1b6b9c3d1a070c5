"""詳細注文情報 (/orders/<order_no>): one order, its payment, and the acts on it."""

from __future__ import annotations

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.models import Role
from sgpshop.services import attempts, background, opening, payments
from sgpshop.services.history import Actor
from sgpshop.services.opening import Wish
from sgpshop.services.order_detail import get_order
from sgpshop.web import order_screen
from sgpshop.web.act_form import ActForm
from sgpshop.web.security import requires

bp = Blueprint("order_detail", __name__, url_prefix="/orders")


@bp.get("/<order_no>")
@requires(Role.VIEWER)
def show(order_no: str) -> ResponseReturnValue:
    """The whole screen, or with HTMX the part that changes."""
    return order_screen.render(order_no)


@bp.get("/<order_no>/capture")
@requires(Role.OPERATOR)
def ask_capture(order_no: str) -> ResponseReturnValue:
    """The same screen with the confirmation open in the payment panel (R56)."""
    return order_screen.render(order_no, asking=Act.CAPTURE)


@bp.post("/<order_no>/capture")
@requires(Role.OPERATOR)
def capture(order_no: str) -> ResponseReturnValue:
    """SGPカード実売上処理: accept it, wait a moment for the answer, show how it stands."""
    return _carry_out(order_no, opening.CAPTURE, ActForm())


def _carry_out(order_no: str, wish: Wish, form: ActForm) -> ResponseReturnValue:
    try:
        attempt_id = opening.open_attempt(
            get_order(order_no).id, wish, form.seen(), Actor.person(current_user.name)
        )
    except NotFound:
        raise
    except ShopError as problem:
        return order_screen.render(order_no, refusal=problem)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    background.submit(app, payments.run_operation, attempt_id)
    attempts.wait_for_end(attempt_id, app.config["ANSWER_WAIT"])
    return order_screen.done(order_no)
