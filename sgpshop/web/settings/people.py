"""ユーザー (`/settings/people`): who may sign in and with which right (S3, S4, S5, R150)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.shop_terms import SecondFactorFor
from sgpshop.models import ApiKey, Role
from sgpshop.services import settings
from sgpshop.services.access import api_keys, people, people_admin, second_factor
from sgpshop.services.access.passwords import PasswordRefused
from sgpshop.services.access.people import LONGEST_NAME
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.settings.form import new_password

bp = Blueprint("people", __name__, url_prefix="/settings/people")

#: The usual one first.
_ROLES = [
    SelectChoice(role.value, role.label)
    for role in sorted(Role, key=lambda role: role is not Role.OPERATOR)
]
_CHOOSE = InputRequired("選択肢から選んでください。")
#: So many keys are named in a message: it goes by a cookie, which browsers drop beyond 4 kB.
_NAMED = 5


class NewPersonForm(Form):
    """Name, right and first password of somebody new."""

    name = StringField(
        "ユーザー名",
        [
            InputRequired("ユーザー名を入力してください。"),
            Length(max=LONGEST_NAME, message=f"{LONGEST_NAME}文字以内で入力してください。"),
        ],
    )
    role = SelectField("権限", [_CHOOSE], choices=_ROLES)
    password = new_password("最初のパスワード")


class RightsForm(Form):
    """Role, and whether the person may sign in."""

    role = SelectField("権限", [_CHOOSE], choices=_ROLES)
    is_active = SelectField(
        "ログイン",
        [_CHOOSE],
        choices=[SelectChoice("True", "できる"), SelectChoice("False", "できない")],
    )


class PasswordForm(Form):
    """A new password for somebody who forgot theirs."""

    password = new_password("新しいパスワード")


_FORMS: dict[str, type[Form]] = {"rights": RightsForm, "password": PasswordForm}


@bp.get("")
@requires(Role.OWNER)
def index() -> ResponseReturnValue:
    """Everybody, and a form for somebody new."""
    return _list(NewPersonForm(formdata=None), recent_password.state())


@bp.post("")
@requires(Role.OWNER)
def create() -> ResponseReturnValue:
    """Register somebody."""
    asked = recent_password.check()
    form = NewPersonForm()
    if not form.validate() or asked.problem:
        return asked.answer(_list(form, asked))
    try:
        people.create(form.name.data, form.password.data, Role(form.role.data))
    except TooOften:
        raise
    except ShopError as problem:
        field = form.password if isinstance(problem, PasswordRefused) else form.name
        field.errors = [problem.message]
        return asked.answer(_list(form, asked))
    flash(
        f"「{form.name.data}」を登録しました。最初のパスワードを本人に伝えてください。", "success"
    )
    return redirect(url_for(".index"), code=303)


leads_back(bp, Role.OWNER, "/second-factor", to=".index")


@bp.post("/second-factor")
@requires(Role.OWNER)
def require_second_factor() -> ResponseReturnValue:
    """Of whom 2段階認証 is wanted (S2)."""
    asked = recent_password.check()
    if asked.problem:
        return asked.answer(_list(NewPersonForm(formdata=None), PasswordPrompt(True), asked))
    wanted = request.form.get("second_factor_for", "")
    is_new = settings.save(current_user.name, second_factor_for=wanted)
    flash(
        f"2段階認証を「{SecondFactorFor(wanted).label}」にしました。"
        if is_new
        else "変更はありませんでした。",
        "success",
    )
    return redirect(url_for(".index"), code=303)


@bp.get("/<int:person_id>")
@requires(Role.OWNER)
def show(person_id: int) -> ResponseReturnValue:
    """One person and what can be changed."""
    return _one(person_id, recent_password.state())


@bp.post("/<int:person_id>")
@requires(Role.OWNER)
def change(person_id: int) -> ResponseReturnValue:
    """Do what the pressed button says: `rights`, `sessions`, `password`, `second` or `keys`."""
    act = request.form.get("act", "")
    if act not in _ACTS:
        raise ShopError("どの操作かを確認できませんでした。画面を開き直してください。")
    people_admin.get(person_id)
    asked = recent_password.check()
    form = _FORMS.get(act, Form)()
    if not form.validate() or asked.problem:
        return asked.answer(_one(person_id, asked, act, form))
    try:
        notice = _ACTS[act](person_id, form)
    except (NotFound, TooOften):
        raise
    except ShopError as problem:
        field = form["password" if act == "password" else "role"]
        field.errors = [problem.message]
        return asked.answer(_one(person_id, asked, act, form))
    flash(notice, "success")
    return redirect(url_for(".index"), code=303)


def _set_rights(person_id: int, form: RightsForm) -> str:
    is_active = form.is_active.data == "True"
    if not people_admin.set_rights(person_id, Role(form.role.data), is_active=is_active):
        return "変更はありませんでした。"
    done = "権限を変更しました。この人のログインは終了し、次のログインから新しい権限になります。"
    person = people_admin.get(person_id)
    if not person.is_active and (keys := api_keys.usable_of(person.name)):
        done += (
            f"この人が作ったAPIキー({_names(keys)})は、いまも使えます。"
            "止める場合は、この人の画面で無効にしてください。"
        )
    return done


def _names(keys: Sequence[ApiKey]) -> str:
    more = f"、ほか{len(keys) - _NAMED}件" if len(keys) > _NAMED else ""
    return "、".join(f"「{key.name}」" for key in keys[:_NAMED]) + more


def _end_sessions(person_id: int, _form: Form) -> str:
    if mark := request.form.get("mark"):
        people_admin.end_session_of(person_id, mark)
        return "選んだ端末のログインを終了しました。"
    return f"ログイン{people_admin.end_sessions(person_id)}件を終了しました。"


def _set_password(person_id: int, form: PasswordForm) -> str:
    people_admin.set_password(person_id, form.password.data)
    return "新しいパスワードを設定し、この人のログインを終了しました。パスワードを本人に伝えてください。"


def _reset_second_factor(person_id: int, _form: Form) -> str:
    second_factor.reset(person_id)
    return (
        "2段階認証を解除し、この人のログインを終了しました。次はパスワードだけでログインできます。"
    )


def _revoke_keys(person_id: int, _form: Form) -> str:
    ended = api_keys.revoke_all_of(people_admin.get(person_id).name, by=current_user.name)
    return f"この人が作ったAPIキー{len(ended)}件を無効にしました。"


_ACTS: dict[str, Callable[[int, Any], str]] = {
    "rights": _set_rights,
    "sessions": _end_sessions,
    "password": _set_password,
    "second": _reset_second_factor,
    "keys": _revoke_keys,
}


def _list(
    form: NewPersonForm, asked: PasswordPrompt, asked_rule: PasswordPrompt | None = None
) -> str:
    return render_template(
        "people/index.html",
        people=people_admin.everybody(),
        form=form,
        asked=asked,
        asked_rule=asked_rule or PasswordPrompt(asked.is_needed),
        rules=SecondFactorFor,
        rule=settings.load().second_factor_for,
    )


def _one(person_id: int, asked: PasswordPrompt, act: str = "", form: Form | None = None) -> str:
    person = people_admin.get(person_id)
    forms: dict[str, Form] = {
        "rights": RightsForm(
            formdata=None, role=person.role.value, is_active=str(person.is_active)
        ),
        "password": PasswordForm(formdata=None),
    }
    if form is not None:
        forms[act] = form
    return render_template(
        "people/show.html",
        person=person,
        sessions=people_admin.sessions_of(person_id, this_token=current_user.get_id()),
        keys=api_keys.usable_of(person.name),
        forms=forms,
        asked={name: asked if name == act else PasswordPrompt(asked.is_needed) for name in _ACTS},
    )
