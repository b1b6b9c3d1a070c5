"""確認済みにする: what a look-up found leaves the first page and the order, not the history (R121)."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import StringField
from wtforms.validators import Length, Optional

from sgpshop.domain.errors import NotFound, NotPossible, OrderNotFound, ShopError
from sgpshop.domain.text import has_control_characters
from sgpshop.models import Role
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import answers_taken_back, unknown_numbers
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, screen


class AcknowledgeForm(Form):
    """確認済みにする: what the person wants to be remembered, if anything."""

    reason = StringField(
        "メモ(任意)",
        [Optional(), Length(max=alerts.REASON_MOST)],
        filters=[lambda text: (text or "").strip()],
    )


@bp.post("/<order_no>/alerts/<int:alert_id>/acknowledge", endpoint="acknowledge")
@requires(Role.OPERATOR)
def acknowledge(order_no: str, alert_id: int) -> ResponseReturnValue:
    """確認済みにする: it leaves the first page and the order, not the history (R121)."""
    form = AcknowledgeForm()
    note = form.reason.data or ""
    if not form.reason.validate(form) or has_control_characters(note):
        return screen.render(order_no, refusal=alerts.NoteRefused())
    try:
        actor, read = Actor.person(current_user.name), request.form.get("read", "")
        alerts.acknowledge(order_no, alert_id, actor, note, read=read)
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice="確認済みにしました。履歴に記録されています。")


@bp.post("/<order_no>/numbers/<int:question_id>/ours", endpoint="number_is_ours")
@requires(Role.OPERATOR)
def number_is_ours(order_no: str, question_id: int) -> ResponseReturnValue:
    """この注文の決済です: the payment becomes the order's, and what SMBC-GP shows decides (R141).

    Acts build on it, and then it cannot be taken back: it is confirmed beside its button.
    """
    if "is_sure" not in request.form:
        unsure = "別の注文の取引でないことを確認し、確認欄にチェックを入れてください。何も変更していません。"
        return screen.render(order_no, refusal=NotPossible(unsure))
    return _answer(order_no, question_id, Answer.OURS, "この注文の決済として確認します。")


@bp.post("/<order_no>/numbers/<int:question_id>/others", endpoint="number_is_others")
@requires(Role.OPERATOR)
def number_is_others(order_no: str, question_id: int) -> ResponseReturnValue:
    """別の注文の決済です: this order is not asked about it again, unless that is taken back (R141)."""
    notice = "別の注文の決済としました。間違えたときは、この画面で取り消せます。"
    return _answer(order_no, question_id, Answer.OTHERS, notice)


@bp.post("/<order_no>/numbers/<int:question_id>/left", endpoint="number_was_left")
@requires(Role.OPERATOR)
def number_was_left(order_no: str, question_id: int) -> ResponseReturnValue:
    """購入者が支払わなかった: the subscription is charged under the next number (R141)."""
    notice = "購入者が支払わなかったものとしました。次の番号で請求します。"
    return _answer(order_no, question_id, Answer.LEFT, notice)


@bp.post("/<order_no>/numbers/<int:question_id>/again", endpoint="number_asked_again")
@requires(Role.OPERATOR)
def number_asked_again(order_no: str, question_id: int) -> ResponseReturnValue:
    """答えを取り消す: whose that payment is becomes a question again (R141)."""
    try:
        answers_taken_back.ask_again(order_no, question_id, Actor.person(current_user.name))
    except OrderNotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(
        order_no, notice="答えを取り消しました。どの注文の決済か、もう一度選んでください。"
    )


def _answer(order_no: str, question_id: int, said: Answer, notice: str) -> ResponseReturnValue:
    actor, read = Actor.person(current_user.name), request.form.get("read", "")
    try:
        unknown_numbers.answer(order_no, question_id, actor, said, read=read)
    except OrderNotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice=notice)
