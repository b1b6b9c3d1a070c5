"""APIキー (`/settings/api-keys`): keys of other programs, made, shown once, revoked (S13)."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import DateField, HiddenField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional, Regexp

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Role, Scope, utc_now
from sgpshop.services.access import api_keys
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires

bp = Blueprint("api_keys", __name__, url_prefix="/settings/api-keys")


class KeyForm(Form):
    """A new key: whose it is, what it is good for, until when."""

    name = StringField(
        "キーの名前",
        [InputRequired("キーの名前を入力してください。"), Length(max=api_keys.LONGEST_NAME)],
    )
    scopes = SelectMultipleField(
        "このキーでできること",
        choices=[SelectChoice(scope.value, scope.label) for scope in Scope],
    )
    last_day = DateField("有効期限", [Optional()])
    request_token = HiddenField(validators=[InputRequired(), Regexp(r"[0-9a-f]{32}\Z")])


@bp.get("")
@requires(Role.OWNER)
def show() -> ResponseReturnValue:
    """The keys, and the form for a new one."""
    return _page(_empty_form(), recent_password.state())


@bp.post("")
@requires(Role.OWNER)
def create() -> ResponseReturnValue:
    """Make a key and show it in this answer only: it is not kept to be shown again."""
    asked = recent_password.check()
    form = KeyForm()
    is_complete = form.validate()
    if form.request_token.errors:  # not a form of ours: the next one is
        form.request_token.data = secrets.token_hex(16)
    if not is_complete or asked.problem:
        return asked.answer(_page(form, asked))
    try:
        key = api_keys.create(
            (form.name.data or "").strip(),
            [Scope(word) for word in form.scopes.data],
            by=current_user.name,
            last_day=form.last_day.data,
            request_token=form.request_token.data,
        )
    except ShopError as problem:
        return make_response(_page(form, asked, problem=problem), problem.status)
    return Response(_page(_empty_form(), asked, made=key), 201)


@bp.get("/<prefix>/revoke")
@requires(Role.OWNER)
def ask_revoke(prefix: str) -> ResponseReturnValue:
    """The screen with the confirmation open beside that key."""
    return _page(_empty_form(), recent_password.state(), revoking=prefix)


@bp.post("/<prefix>/revoke")
@requires(Role.OWNER)
def revoke(prefix: str) -> ResponseReturnValue:
    """End the key at its next request."""
    asked = recent_password.check()
    if asked.problem:
        return asked.answer(_page(_empty_form(), asked, revoking=prefix))
    key = api_keys.revoke(prefix, by=current_user.name)
    flash(f"APIキー「{key.name}」を無効にしました。", "success")
    return redirect(url_for(".show"), code=303)


def _empty_form() -> KeyForm:
    form = KeyForm(formdata=None)
    form.request_token.data = secrets.token_hex(16)
    return form


def _page(
    form: KeyForm,
    asked: PasswordPrompt,
    *,
    made: str = "",
    revoking: str = "",
    problem: ShopError | None = None,
) -> str:
    return render_template(
        "api_keys/show.html",
        form=form,
        asked=asked,
        made=made,
        revoking=revoking,
        problem=problem,
        keys=api_keys.all_keys(),
        is_over=api_keys.is_over,
        today=jst_day(utc_now()),
    )
