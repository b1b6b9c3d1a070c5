"""詳細注文情報 (/orders/<order_no>): one order, its payment, and the acts on it."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.models import Role
from sgpshop.services import opening
from sgpshop.services.opening import Wish
from sgpshop.web import money_acts, order_screen
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
        money_acts.carry_out(order_no, wish, form.seen())
    except NotFound:
        raise
    except ShopError as problem:
        return order_screen.render(order_no, refusal=problem)
    return order_screen.done(order_no)
