"""Ending a 結果確認中 by hand (/orders/<order_no>/close-uncertain): a reason and the password (P15, S5)."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from sgpshop.domain.errors import NotFound, NotPossible, OrderChanged, ShopError
from sgpshop.domain.text import has_control_characters
from sgpshop.models import Role
from sgpshop.services.access import sessions
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import attempt_lookup
from sgpshop.web.frame.forms import Form, NumberField
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, screen

_REASON = 200


class CloseForm(Form):
    """Which operation, why, and the password of who says so."""

    attempt_id = NumberField(validators=[InputRequired()])
    why = StringField(validators=[InputRequired(), Length(max=_REASON)])
    password = PasswordField(validators=[InputRequired()])


@bp.post("/<order_no>/close-uncertain", endpoint="close-uncertain")
@requires(Role.OPERATOR)
def close(order_no: str) -> ResponseReturnValue:
    """End the doubt; the order follows what the look-up shows."""
    order = get_order(order_no)
    try:
        if order.open_attempt is None:
            raise NotPossible("結果確認中の処理はありません。")
        form = CloseForm()
        why = (form.why.data or "").strip()
        if not form.validate() or not why or has_control_characters(why):
            raise ShopError(f"理由({_REASON}文字以内)とパスワードを入力してください。")
        if form.attempt_id.data != order.open_attempt.id:  # another one than was shown (P20)
            raise OrderChanged
        sessions.confirm(current_user, form.password.data, address=request.remote_addr or "")
        attempt_lookup.close_by_hand(order.open_attempt.id, why, Actor.person(current_user.name))
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, asking="close-uncertain", refusal=problem)
    return screen.done(
        order_no, notice="自動確認をやめました。SMBC-GPの状態に表示を合わせています。"
    )
