"""A click that moves money: accept it, let it run, wait a moment for the answer (P6, P23)."""

from __future__ import annotations

from flask import current_app
from flask_login import current_user

from sgpshop.services import attempts, background, opening, payments
from sgpshop.services.history import Actor
from sgpshop.services.opening import Seen, Wish
from sgpshop.services.order_detail import get_order


def carry_out(order_no: str, wish: Wish, seen: Seen) -> None:
    """Accept `wish` for this order and return when it ended, or after ANSWER_WAIT seconds.

    What is still under way then goes on by itself and shows as 処理中.  Raises NotFound, and
    ShopError when it was not accepted: nothing was sent then.
    """
    order = get_order(order_no)
    attempt_id = opening.open_attempt(order.id, wish, seen, Actor.person(current_user.name))
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    background.submit(app, payments.run_operation, attempt_id)
    attempts.wait_for_end(attempt_id, app.config["ANSWER_WAIT"])
