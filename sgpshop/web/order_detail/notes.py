"""社内メモ and 対応状況 on 詳細注文情報."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import StringField, TextAreaField
from wtforms.validators import AnyOf, Length, ValidationError

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.handling import Handling
from sgpshop.domain.text import has_control_characters
from sgpshop.models import Role
from sgpshop.services.orders import acting, notes
from sgpshop.services.orders.history import Actor
from sgpshop.web.frame.forms import ActForm
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, screen


def _plain_text(_form: Any, field: Any) -> None:
    if has_control_characters(field.data, lines=True):
        raise ValidationError("使用できない文字が含まれています。")


class NotesForm(ActForm):
    """対応状況 and 社内メモ."""

    handling = StringField("対応状況", [AnyOf(list(Handling), message="一覧から選んでください。")])
    memo = TextAreaField(
        "社内メモ",
        [
            Length(max=notes.LONGEST, message=f"{notes.LONGEST}文字以内で入力してください。"),
            _plain_text,
        ],
        filters=[lambda text: (text or "").replace("\r\n", "\n").strip()],
    )


@bp.post("/<order_no>/notes", endpoint="notes")
@requires(Role.SHIPPER)
def save(order_no: str) -> ResponseReturnValue:
    """Keep what was noted; what was typed is shown again if it could not be."""
    form = NotesForm()
    try:
        order_id, seen = acting.id_of(order_no), form.seen()
        for field in (form.handling, form.memo):
            if not field.validate(form):
                raise ShopError(f"{field.label.text}:{field.errors[0]}")
        by = Actor.person(current_user.name)
        changed = notes.save(order_id, seen, by, Handling(form.handling.data), form.memo.data)
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem, notes_form=form)
    return screen.done(order_no, notice="記録しました。" if changed else "")
