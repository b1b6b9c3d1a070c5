"""承認待ち (`/approvals`): big acts that wait for a second person (R157).

Everybody may see what waits, as they see orders; who asked, and who may act on orders, decide.
"""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.bounds import whole_number
from sgpshop.domain.errors import ShopError
from sgpshop.domain.second_look import LONGEST_REASON, ApprovalState, is_on
from sgpshop.models import ActorKind, Approval, Role
from sgpshop.services import approvals, settings
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.approvals import AlreadyDecided
from sgpshop.storage.questions import answer
from sgpshop.web.frame import run_and_wait
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import leads_back, requires

bp = Blueprint("approvals", __name__, url_prefix="/approvals")


@bp.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    """What waits, the oldest first, and what became of the others."""
    shop = settings.load()
    return render_template(
        "approvals/index.html",
        waiting=approvals.waiting(),
        all_waiting=answer(approvals.waiting_question()).count,
        ended=approvals.ended(),
        is_on=is_on(shop),
        shop=shop,
        has_others=bool(approvals.others(name=current_user.name)),
    )


@bp.get("/<int:approval_id>")
@requires(Role.VIEWER)
def show(approval_id: int) -> ResponseReturnValue:
    """One of them: what would be done, and the buttons of who may decide."""
    return _page(approvals.get(approval_id))


@bp.post("/<int:approval_id>/approve")
@requires(Role.OPERATOR)
@limited(Use.BULK)
def approve(approval_id: int) -> ResponseReturnValue:
    """承認: begin it, of just the orders and yen that were shown (P20)."""
    count, yen = (whole_number(request.form.get(name, "")) for name in ("count", "yen"))
    try:
        if count is None or yen is None:
            raise ShopError("送信内容を確認できませんでした。画面を開き直してください。")
        done = approvals.approve(approval_id, by=current_user.name, seen=(count, yen))
    except AlreadyDecided as decided:
        if (decided.state, decided.decided_by) != (ApprovalState.APPROVED, current_user.name):
            return _page(approvals.get(approval_id), decided)
        done = approvals.get(approval_id)  # the same button twice (P19)
    except ShopError as problem:
        return _answer(approval_id, problem)
    if done.order is not None and done.attempt_id is not None:
        words = run_and_wait.wait_for(done.order.order_no, done.attempt_id)
        flash(words or f"承認しました。{done.what}を処理しています。", "success")
        return redirect(url_for("order_detail.show", order_no=done.order.order_no), code=303)
    flash("承認しました。処理を開始しました。", "success")
    return redirect(_run_of(done) or url_for(".show", approval_id=approval_id), code=303)


@bp.post("/<int:approval_id>/refuse")
@requires(Role.OPERATOR)
def refuse(approval_id: int) -> ResponseReturnValue:
    """却下, with the reason that the asker reads."""
    reason = request.form.get("reason", "")
    try:
        approvals.refuse(approval_id, by=current_user.name, reason=reason)
    except ShopError as problem:
        return _answer(approval_id, problem, reason=reason)
    flash("却下しました。SMBC-GPへの送信は行っていません。", "success")
    return redirect(url_for(".index"), code=303)


@bp.post("/<int:approval_id>/withdraw")
@requires(Role.SHIPPER)
def withdraw(approval_id: int) -> ResponseReturnValue:
    """取り下げる: who asked wants it no more."""
    try:
        approvals.withdraw(approval_id, by=current_user.name)
    except ShopError as problem:
        return _answer(approval_id, problem)
    flash("依頼を取り下げました。SMBC-GPへの送信は行っていません。", "success")
    return redirect(url_for(".index"), code=303)


leads_back(
    bp,
    Role.VIEWER,
    "/<int:approval_id>/approve",
    "/<int:approval_id>/refuse",
    "/<int:approval_id>/withdraw",
    of="approval_id",
)


def _answer(approval_id: int, problem: ShopError, reason: str = "") -> ResponseReturnValue:
    if problem.status == 404:
        raise problem
    return _page(approvals.get(approval_id), problem, reason)


def _page(
    approval: Approval, problem: ShopError | None = None, reason: str = ""
) -> ResponseReturnValue:
    is_own = approval.actor_kind is ActorKind.PERSON and approval.actor == current_user.name
    page = render_template(
        "approvals/show.html",
        approval=approval,
        content=approvals.what_it_is(approval),
        problem=problem,
        reason=reason,
        longest=LONGEST_REASON,
        is_own=is_own,
        may_approve=current_user.may_act_as(Role.OPERATOR)
        and approvals.may_decide(approval, current_user.name),
        others=approvals.others(approval) if approval.is_waiting else [],
        run_address=_run_of(approval),
    )
    return page, problem.status if problem else 200


def _run_of(approval: Approval) -> str:
    """Where the run that was begun is watched; "" for one order, and what never was."""
    if approval.state is not ApprovalState.APPROVED:
        return ""
    if approval.bulk_run_id is not None:
        return url_for("bulk_runs.show", run_id=approval.bulk_run_id)
    return url_for("slips.show", run_id=approval.slip_run_id) if approval.slip_run_id else ""
