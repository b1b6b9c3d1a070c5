"""詳細注文情報 (/orders/<order_no>): one order, its payment, and the acts that touch SMBC-GP.

Each act is a GET that opens its confirmation (screen.CONFIRMATIONS) and a POST that carries it out;
what happens to the parcel alone is in parcels.py, what changes the order's content in order_edit.
"""

from __future__ import annotations

from functools import partial

from flask import request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import BooleanField

from sgpshop.domain.errors import NotFound, NotPossible, ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.models import FollowUp, Operation, Role
from sgpshop.services.order_files import card_order
from sgpshop.services.orders import acting
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import cancelling
from sgpshop.services.payments.acts import OperationRequest, SumNotConfirmed
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.frame import run_and_wait
from sgpshop.web.frame.forms import ActForm, is_sum_confirmed
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, parcels, screen


@bp.get("/<order_no>")
@requires(Role.VIEWER)
def show(order_no: str) -> ResponseReturnValue:
    """The whole screen, or with HTMX the part that changes."""
    if "waited" in request.args and wants_fragment():
        run_and_wait.tell_end(order_no)
    return screen.render(order_no)


def ask(order_no: str, act: str) -> ResponseReturnValue:
    """The same with the confirmation of `act` open, if it is offered."""
    return screen.render(order_no, asking=act, **parcels.shown_with(act))


for _act in screen.CONFIRMATIONS:
    bp.add_url_rule(
        f"/<order_no>/{_act}",
        f"ask-{_act}",
        requires(screen.role_for(_act))(partial(ask, act=_act)),
    )


@bp.post("/<order_no>/capture", endpoint="capture")
@requires(Role.OPERATOR)
def capture(order_no: str) -> ResponseReturnValue:
    """SGPカード実売上処理; with `then_deliver` the parcels are 配送完了 once it succeeded (R30)."""
    follow_up = FollowUp.DELIVER if "then_deliver" in request.form else None
    wanted = OperationRequest(Operation.CAPTURE, follow_up, is_sum_confirmed=is_sum_confirmed())
    return _carry_out(order_no, wanted, asking="" if follow_up else Act.CAPTURE)


@bp.post("/<order_no>/send-changes", endpoint="send-changes")
@requires(Role.OPERATOR)
def send_changes(order_no: str) -> ResponseReturnValue:
    """変更内容をSMBC-GPに送信: the new amount goes to SMBC-GP at once (R68)."""
    wanted = OperationRequest(Operation.CHANGE_AMOUNT, is_sum_confirmed=is_sum_confirmed())
    return _carry_out(order_no, wanted)


@bp.post("/<order_no>/send-and-capture", endpoint="send-and-capture")
@requires(Role.OPERATOR)
def send_and_capture(order_no: str) -> ResponseReturnValue:
    """送信して実売上処理: two journalled steps, the second only after the first succeeded."""
    wanted = OperationRequest(
        Operation.CHANGE_AMOUNT, FollowUp.CAPTURE, is_sum_confirmed=is_sum_confirmed()
    )
    return _carry_out(order_no, wanted, asking="send-and-capture")


@bp.post("/<order_no>/extend", endpoint="extend")
@requires(Role.OPERATOR)
def extend(order_no: str) -> ResponseReturnValue:
    """オーソリ期間延長: the same amount is authorized anew (R83)."""
    return _carry_out(order_no, OperationRequest(Operation.EXTEND))


@bp.post("/<order_no>/refund-difference", endpoint="refund-difference")
@requires(Role.OPERATOR)
def refund_difference(order_no: str) -> ResponseReturnValue:
    """差額を返金: what SMBC-GP took beyond the total goes back to the buyer."""
    wanted = OperationRequest(Operation.REFUND_DIFFERENCE, is_sum_confirmed=is_sum_confirmed())
    return _carry_out(order_no, wanted, asking=Act.REFUND_DIFFERENCE)


class CancelForm(ActForm):
    """注文キャンセル: its variants, and the second confirmation of a refund (R93, R99, S21)."""

    restock = BooleanField()
    return_points = BooleanField()
    refund_confirmed = BooleanField()


@bp.post("/<order_no>/cancel", endpoint="cancel")
@requires(Role.OPERATOR)
def cancel(order_no: str) -> ResponseReturnValue:
    """注文キャンセル: SMBC-GP first, the order after (R91, R92)."""
    form = CancelForm()
    try:
        seen = form.seen()
        if acting.was_accepted(acting.id_of(order_no), seen):
            return screen.done(order_no)
        wanted = cancelling.operation_request(
            order_no,
            restock=form.restock.data,
            return_points=form.return_points.data,
            refund_confirmed=form.refund_confirmed.data,
        )
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, asking=Act.CANCEL, refusal=problem)
    return _carry_out(order_no, wanted)


@bp.post("/<order_no>/reconcile", endpoint="reconcile")
@requires(Role.OPERATOR)
def reconcile(order_no: str) -> ResponseReturnValue:
    """照合: ask SMBC-GP how the transaction stands, and follow what it says (R120)."""
    try:
        found = run_and_wait.reconcile(order_no)
    except NotPossible as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice=found)


@bp.post("/<order_no>/card-order", endpoint="card-order")
@requires(Role.OPERATOR)
def make_card_order(order_no: str) -> ResponseReturnValue:
    """SGPカード決済の注文に直す: it came in as another way of payment, and SMBC-GP knows its number."""
    try:
        card_order.make(order_no, Actor.person(current_user.name))
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice="SGPカード決済の注文に直しました。")


@bp.get("/<order_no>/card-order")
@bp.get("/<order_no>/send-changes")
@bp.get("/<order_no>/slips")
@bp.get("/<order_no>/notes")
@bp.get("/<order_no>/reconcile")
@bp.get("/<order_no>/alerts/<int:alert_id>/acknowledge")
@bp.get("/<order_no>/numbers/<int:question_id>/ours")
@bp.get("/<order_no>/numbers/<int:question_id>/others")
@bp.get("/<order_no>/numbers/<int:question_id>/left")
@bp.get("/<order_no>/numbers/<int:question_id>/again")
@requires(Role.VIEWER)
def to_screen(order_no: str, **_of_the_address: int) -> ResponseReturnValue:
    """A reload of an address that only forms are sent to leads back to the screen."""
    return screen.done(order_no)


def _carry_out(order_no: str, wanted: OperationRequest, *, asking: str = "") -> ResponseReturnValue:
    """Do it and show the order; `asking` is the confirmation that is open again if a tick misses."""
    try:
        done = run_and_wait.carry_out(order_no, wanted, ActForm().seen())
    except NotFound:
        raise
    except ApprovalAsked as waiting:
        return screen.done(order_no, notice=waiting.message)
    except SumNotConfirmed as problem:
        return screen.render(order_no, asking=asking, refusal=problem)
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice=done)
