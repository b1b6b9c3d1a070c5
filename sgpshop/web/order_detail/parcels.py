"""The parcel acts of 詳細注文情報: 配送完了, 返送処理, ステータスの変更, 取消不要.

Each opens its confirmation by GET in the panel お届け先・伝票番号 and is carried out by POST; none
of them asks SMBC-GP anything (R30, R90).
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain import order_acts
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Order, Role, utc_now
from sgpshop.services.deliveries import parcels
from sgpshop.services.deliveries.parcels import InputRefused, Return
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.reading import get_order
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import screen
from sgpshop.web.order_detail.parcel_forms import (
    DeliverForm,
    ParcelForm,
    RefundForm,
    ReturnForm,
    StatusesForm,
    WaiveForm,
)

bp = Blueprint("parcels", __name__, url_prefix="/orders")

_STATUSES, _WAIVE, _REFUND = "statuses", "waive", "refunded"

#: Buttons that are not of the table §4.3, and when they are there.
_OFFERED: dict[str, Callable[[Order], bool]] = {
    _STATUSES: lambda order: order_acts.status_change(order).is_enabled,
    _WAIVE: order_acts.is_return_open,
    _REFUND: order_acts.is_refund_open,
}

#: What goes on with one order once its form was read.
_Change = Callable[[int, Seen, Actor], None]


@bp.get("/<order_no>/deliver")
@requires(Role.OPERATOR)
def ask_deliver(order_no: str) -> ResponseReturnValue:
    """The screen with the confirmation of 配送完了 open (R30)."""
    return _ask(order_no, Act.DELIVER, DeliverForm(formdata=None))


@bp.post("/<order_no>/deliver")
@requires(Role.OPERATOR)
def deliver(order_no: str) -> ResponseReturnValue:
    """配送完了 for the ticked parcels; captures nothing."""
    form = DeliverForm()

    def change(order_id: int, seen: Seen, actor: Actor) -> None:
        parcels.deliver(order_id, seen, actor, form.delivery_number.data or ())

    return _carry_out(order_no, Act.DELIVER, form, change, "配送完了にしました。")


@bp.get("/<order_no>/return")
@requires(Role.OPERATOR)
def ask_return(order_no: str) -> ResponseReturnValue:
    """The screen with the form of 返送処理 open; it says that the payment stays (R90)."""
    return _ask(order_no, Act.RETURN, ReturnForm(formdata=None))


@bp.post("/<order_no>/return")
@requires(Role.OPERATOR)
def take_back(order_no: str) -> ResponseReturnValue:
    """返送処理 for the ticked parcels; the payment stays as it is."""
    form = ReturnForm()

    def change(order_id: int, seen: Seen, actor: Actor) -> None:
        given = Return(
            form.delivery_number.data or (),
            form.returned_on.data,
            form.reason.data,
            form.restock.data,
        )
        parcels.take_back(order_id, seen, actor, given)

    return _carry_out(
        order_no,
        Act.RETURN,
        form,
        change,
        "返送処理をしました。SMBC-GPの決済は取り消していません。",
    )


@bp.get("/<order_no>/statuses")
@requires(Role.OPERATOR)
def ask_statuses(order_no: str) -> ResponseReturnValue:
    """The screen with ステータスの変更 open (R31)."""
    return _ask(order_no, _STATUSES, StatusesForm(formdata=None))


@bp.post("/<order_no>/statuses")
@requires(Role.OPERATOR)
def change_statuses(order_no: str) -> ResponseReturnValue:
    """ステータスの変更: undo 配送完了 and 返送, on the parcel's axis only."""
    form = StatusesForm()

    def change(order_id: int, seen: Seen, actor: Actor) -> None:
        parcels.change_statuses(order_id, seen, actor, form.wanted())

    return _carry_out(order_no, _STATUSES, form, change, "ステータスを変更しました。")


@bp.get("/<order_no>/waive-cancel")
@requires(Role.OPERATOR)
def ask_waive(order_no: str) -> ResponseReturnValue:
    """The screen with the form of 取消不要 open (R90a)."""
    return _ask(order_no, _WAIVE, WaiveForm(formdata=None))


@bp.post("/<order_no>/waive-cancel")
@requires(Role.OPERATOR)
def waive_cancel(order_no: str) -> ResponseReturnValue:
    """取消不要, with a reason: the badge 返送済・決済未取消 goes."""
    form = WaiveForm()

    def change(order_id: int, seen: Seen, actor: Actor) -> None:
        parcels.waive_cancel(order_id, seen, actor, form.reason.data)

    return _carry_out(order_no, _WAIVE, form, change, "取消不要にしました。")


@bp.post("/<order_no>/waive-cancel/undo")
@requires(Role.OPERATOR)
def undo_waiver(order_no: str) -> ResponseReturnValue:
    """Take 取消不要 back: the badge 返送済・決済未取消 returns."""
    return _carry_out(order_no, "", ParcelForm(), parcels.undo_waiver, "取消不要を取り消しました。")


@bp.get("/<order_no>/refunded")
@requires(Role.OPERATOR)
def ask_refunded(order_no: str) -> ResponseReturnValue:
    """The screen with the form of 返金済み open (R104)."""
    return _ask(order_no, _REFUND, RefundForm(formdata=None))


@bp.post("/<order_no>/refunded")
@requires(Role.OPERATOR)
def settle_refund(order_no: str) -> ResponseReturnValue:
    """返金済み, with day and how: 要返金 goes."""
    form = RefundForm()

    def change(order_id: int, seen: Seen, actor: Actor) -> None:
        parcels.settle_refund(order_id, seen, actor, form.refunded_on.data, form.reason.data)

    return _carry_out(order_no, _REFUND, form, change, "返金済みと記録しました。")


def _ask(
    order_no: str, asking: Act | str, form: ParcelForm, refusal: ShopError | None = None
) -> ResponseReturnValue:
    """The screen with a confirmation open in the parcel panel, if its button is enabled."""
    if asking in _OFFERED:
        asking = asking if _OFFERED[asking](get_order(order_no)) else ""
    return screen.render(
        order_no, asking=asking, refusal=refusal, parcel_form=form, today=jst_day(utc_now())
    )


def _carry_out(
    order_no: str, asking: Act | str, form: ParcelForm, change: _Change, done: str
) -> ResponseReturnValue:
    """Read the form, `change` the order, show how it stands; what was typed is kept on a mistake."""
    order_id = get_order(order_no).id
    try:
        seen = form.seen()
        form.check()
        change(order_id, seen, Actor.person(current_user.name))
    except InputRefused as problem:
        form.complain(problem)
        return _ask(order_no, asking, form, problem)
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice=done)
