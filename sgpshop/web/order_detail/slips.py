"""伝票番号 of one parcel on 詳細注文情報, with 配送完了 and the capture in one go (R30, R82).

What captures, or leaves without a capture, is asked for first: `confirmed` comes only from that question.
"""

from __future__ import annotations

from flask import request, session
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_status import CAPTURABLE
from sgpshop.models import FollowUp, Operation, Order
from sgpshop.services.orders import history, parcels
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.parcels import InputRefused, ParcelSlips
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.frame import run_and_wait
from sgpshop.web.frame.forms import CARRIER, is_sum_confirmed
from sgpshop.web.frame.looking import require_captures_with_slips
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, screen
from sgpshop.web.order_detail.parcel_forms import SlipsForm
from sgpshop.web.order_detail.parcels import shown_with


@bp.post("/<order_no>/slips", endpoint="slips")
@requires(screen.role_for("slips"))
def register(order_no: str) -> ResponseReturnValue:
    """登録, 登録して配送完了 (`then` = deliver), …と実売上処理 (`then` = capture)."""
    form, order = SlipsForm(), get_order(order_no)
    then = request.form.get("then", "")
    asks = then == "capture" or (then == "deliver" and order.payment_status in CAPTURABLE)
    try:
        if then == "capture":
            require_captures_with_slips()
        given = form.given()
        session[CARRIER] = given.carrier_code or session.get(CARRIER, "")
        if asks and "confirmed" not in request.form:
            return screen.render(order_no, asking="ship", **shown_with("ship", form))
        if then == "capture":
            done = _capture(order_no, form, given)
        else:
            parcels.register_slips(
                order.id, form.seen(), _actor(), given, delivers=then == "deliver"
            )
            done = f"伝票番号を登録{'し、配送完了に' if then else ''}しました。"
    except NotFound:
        raise
    except InputRefused as problem:
        form.complain(problem)
        return screen.render(order_no, refusal=problem, slips_form=form)
    except ApprovalAsked as waiting:
        done = f"伝票番号を登録しました。{waiting.message}"
    except ShopError as problem:
        return screen.render(order_no, refusal=problem, slips_form=form)
    return screen.done(order_no, notice=done)


def _capture(order_no: str, form: SlipsForm, given: ParcelSlips) -> str:
    def also(order: Order) -> None:
        words, before = parcels.write_slips(order, given), order.payment_status
        history.record_change(order, "parcel_slips", _actor(), before=before, changes=words)

    wanted = OperationRequest(
        Operation.CAPTURE, FollowUp.DELIVER, is_sum_confirmed=is_sum_confirmed()
    )
    return run_and_wait.carry_out(order_no, wanted, form.seen(), also=also)


def _actor() -> Actor:
    return Actor.person(current_user.name)
