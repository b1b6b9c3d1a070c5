"""注文内容修正 (/orders/<order_no>/edit): correct the total and the content, send the change (R62-R76c).

Corrections stay on our side until 「変更内容をSMBC-GPに送信」.  Every form works without JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.amounts import AmountRefused, typed_total
from sgpshop.domain.errors import (
    FormUsed,
    NotFound,
    NotPossible,
    OrderBusy,
    OrderChanged,
    ShopError,
)
from sgpshop.domain.order_acts import Act, require
from sgpshop.models import FollowUp, Operation, Order, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.order_detail import editing
from sgpshop.services.order_detail.editing import SaveResult
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments.acts import OperationRequest, SumNotConfirmed
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.frame import run_and_wait
from sgpshop.web.frame.forms import ActForm, is_sum_confirmed
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import requires
from sgpshop.web.order_edit import edit_form, screen
from sgpshop.web.order_edit.edit_form import ContentForm, FormBroken
from sgpshop.web.order_edit.screen import EditScreen

bp = Blueprint("order_edit", __name__, url_prefix="/orders/<order_no>/edit")

#: Rough on purpose: what is not like that is told, and kept all the same.
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NOTHING_NEW = "変更はありませんでした。修正として記録していません。"


@bp.get("")
@requires(Role.VIEWER)
def show(order_no: str) -> ResponseReturnValue:
    """The screen; read-only with the reason where the order cannot be edited (R75a)."""
    if "waited" in request.args and wants_fragment():
        run_and_wait.tell_end(order_no)
    return screen.render(order_no)


@bp.get("/total")
@requires(Role.OPERATOR)
def open_total(order_no: str) -> ResponseReturnValue:
    """「編集」: the total becomes an input (R62, R63)."""
    order = get_order(order_no)
    return screen.render(order_no, EditScreen(total_text=f"{order.total:,}"))


@bp.get("/total/echo")
@requires(Role.OPERATOR)
def echo_total(order_no: str) -> ResponseReturnValue:
    """What the typed total means, before anything is saved (R65)."""
    order = get_order(order_no)
    if not wants_fragment():
        return redirect(url_for(".show", order_no=order_no), code=303)
    try:
        total, problem = typed_total(request.args.get("total", "")), ""
    except AmountRefused as refused:
        total, problem = None, refused.message
    return render_template("order_edit/_echo.html", order=order, total=total, problem=problem)


@bp.post("/total")
@requires(Role.OPERATOR)
def correct_total(order_no: str) -> ResponseReturnValue:
    """「確定」: the typed total is the order's (R63, R64)."""
    text = request.form.get("total", "")
    shown = EditScreen(total_text=text, notice="合計金額を修正しました。")
    try:
        typed_total(text)
    except AmountRefused as refused:
        shown.total_error = refused.message
    return _save(
        order_no,
        shown,
        lambda order, seen: editing.correct_total(order.id, typed_total(text), seen, _actor()),
    )


@bp.post("/total/reset")
@requires(Role.OPERATOR)
def return_to_calculation(order_no: str) -> ResponseReturnValue:
    """「自動計算に戻す」 (R76b)."""
    return _save(
        order_no,
        EditScreen(notice="合計金額を自動計算に戻しました。"),
        lambda order, seen: editing.return_to_calculation(order.id, seen, _actor()),
    )


@bp.post("")
@requires(Role.OPERATOR)
def change_content(order_no: str) -> ResponseReturnValue:
    """「変更内容を保存」: items, fees, buyer, deliveries and note (R76), and a total still being typed."""
    text = request.form.get("total")
    shown = EditScreen(total_text=text, notice="注文内容の変更を保存しました。")

    def change(order: Order, seen: Seen) -> SaveResult:
        edit = edit_form.typed(order, request.form).edit()
        if text is not None:
            try:
                edit = replace(edit, total=typed_total(text))
            except AmountRefused as refused:
                shown.total_error = refused.message
                raise
            if edit.total == order.total:
                shown.total_text = None
        before = order.buyer_email
        saved = editing.change_content(order.id, edit, seen, _actor())
        mail = request.form.get("buyer_email", "").strip()
        if mail and mail != before and not _MAIL.fullmatch(mail):
            flash(
                "メールアドレスの形ではないようです。確認してください(保存はしました)。", "warning"
            )
        return saved

    return _save(order_no, shown, change, keeps_content=False)


@bp.post("/preview")
@requires(Role.OPERATOR)
def preview(order_no: str) -> ResponseReturnValue:
    """「再計算」 and 「商品を追加」: the form as typed, with what it comes to; saves nothing (R76a)."""
    order = get_order(order_no)
    try:
        content = edit_form.typed(order, request.form)
    except FormBroken as refusal:
        return screen.render(order_no, EditScreen(refusal.status, refusal=refusal))
    content.take_in_gone_rows()
    shown = EditScreen(content=content, stale_version=_stale_version(order, ActForm()))
    if "add" in request.form:
        content.add_row(order)
        shown.has_new_row = True
    return screen.render(order_no, shown)


@bp.get("/preview")
@bp.get("/total/reset")
@requires(Role.VIEWER)
def to_screen(order_no: str) -> ResponseReturnValue:
    """A reload of an address that only forms are sent to leads back to the screen."""
    get_order(order_no)
    return redirect(url_for(".show", order_no=order_no), code=303)


@bp.get("/send")
@requires(Role.OPERATOR)
def ask_send(order_no: str) -> ResponseReturnValue:
    """The confirmation of 「送信して実売上処理」 (R72a)."""
    return screen.render(order_no, EditScreen(asks_to_capture=True))


@bp.post("/send")
@requires(Role.OPERATOR)
def send(order_no: str) -> ResponseReturnValue:
    """「変更内容をSMBC-GPに送信」; with `then_capture` 実売上処理 follows if that succeeded (R68)."""
    follow_up = FollowUp.CAPTURE if "then_capture" in request.form else None
    wanted = OperationRequest(
        Operation.CHANGE_AMOUNT, follow_up, is_sum_confirmed=is_sum_confirmed()
    )
    form = ActForm()
    try:
        done = run_and_wait.carry_out(order_no, wanted, form.seen())
    except NotFound:
        raise
    except ApprovalAsked as waiting:
        return _show_again(order_no, EditScreen(notice=waiting.message))
    except SumNotConfirmed as problem:
        shown = EditScreen(problem.status, refusal=problem, asks_to_capture=follow_up is not None)
        return screen.render(order_no, shown)
    except ShopError as problem:
        stale = form.version.data if isinstance(problem, OrderChanged) else None
        shown = EditScreen(problem.status, refusal=problem, stale_version=stale)
        return screen.render(order_no, shown)
    return _show_again(order_no, EditScreen(notice=done))


def _save(
    order_no: str,
    shown: EditScreen,
    act: Callable[[Order, Seen], SaveResult],
    *,
    keeps_content: bool = True,
) -> ResponseReturnValue:
    """Carry out `act` and show the screen: with what was typed, unless it was saved.

    Raises NotFound.  An order that may not be edited is shown as it is, with 403 (R75a); one that
    somebody changed meanwhile with what was changed, and 409 (P20).
    """
    order = get_order(order_no)
    form = ActForm()
    try:
        saved = act(order, form.seen())
    except NotFound:
        raise
    except ShopError as problem:
        return _refuse(order_no, shown, form, problem)
    shown.total_text, shown.total_error = None, ""
    if saved is SaveResult.UNCHANGED:
        shown.notice, shown.is_unchanged = _NOTHING_NEW, True
    if keeps_content and wants_fragment():
        shown.content = _typed_content(order_no)
    return _show_again(order_no, shown)


def _refuse(
    order_no: str, shown: EditScreen, form: ActForm, refusal: ShopError
) -> ResponseReturnValue:
    order = get_order(order_no)
    shown.notice = ""
    shown.refusal = refusal
    shown.stale_version = _stale_version(order, form)
    try:
        require(Act.EDIT, order, settings.load(), utc_now())
    except NotPossible as reason:
        shown.refusal, shown.status = reason, 403
        return screen.render(order_no, shown)
    shown.content = _typed_content(order_no)
    if shown.content is not None:
        shown.content.take_in_gone_rows()
    is_stale = isinstance(refusal, OrderChanged | OrderBusy) or shown.stale_version is not None
    if is_stale and not isinstance(refusal, FormUsed):
        shown.refusal = OrderChanged()
        shown.stale_version = shown.stale_version or order.version
    shown.status = shown.refusal.status
    return screen.render(order_no, shown)


def _show_again(order_no: str, shown: EditScreen) -> ResponseReturnValue:
    if shown.notice:
        flash(shown.notice, "info" if shown.is_unchanged else "success")
    if wants_fragment():
        return screen.render(order_no, shown)
    return redirect(url_for(".show", order_no=order_no), code=303)


def _stale_version(order: Order, form: ActForm) -> int | None:
    """The version the form was made for, when the order has another by now."""
    version = form.version.data
    if not isinstance(version, int) or not form.version.validate(form):
        return None
    return version if version != order.version else None


def _typed_content(order_no: str) -> ContentForm | None:
    """What the content form holds, if it was sent along."""
    if "line_id" not in request.form:
        return None
    try:
        return edit_form.typed(get_order(order_no), request.form)
    except FormBroken:
        return None


def _actor() -> Actor:
    return Actor.person(current_user.name)
