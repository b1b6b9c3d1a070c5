"""アカウント (`/account`): the own password, and where one is signed in (S1, S3)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired, Length

from sgpshop.domain.errors import ShopError
from sgpshop.domain.mail_kinds import CHOICES
from sgpshop.models import Role, Scheme
from sgpshop.services.access import people_admin
from sgpshop.services.access.passwords import LONGEST, SHORTEST, PasswordRefused
from sgpshop.services.outgoing import mails
from sgpshop.services.outgoing.mails.choices import AddressRefused, chosen_by
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires

bp = Blueprint("account", __name__, url_prefix="/account")

_LENGTH = Length(SHORTEST, LONGEST, f"{SHORTEST}文字以上{LONGEST}文字以内で入力してください。")


class OwnPasswordForm(Form):
    """The new password twice; the present one is asked for beside it."""

    password = PasswordField(
        "新しいパスワード", [InputRequired("新しいパスワードを入力してください。"), _LENGTH]
    )
    password_again = PasswordField(
        "新しいパスワード(もう一度)",
        [EqualTo("password", "2つの新しいパスワードが一致しません。もう一度入力してください。")],
    )


@bp.get("")
@requires(Role.VIEWER)
def show() -> ResponseReturnValue:
    """Who one is, the form for a new password, and the own sessions."""
    return _page(OwnPasswordForm(formdata=None), PasswordPrompt(True))


@bp.post("/password")
@requires(Role.VIEWER)
def change_password() -> ResponseReturnValue:
    """Take a new password; it ends all other sessions (S3)."""
    form = OwnPasswordForm()
    if not form.validate():
        return PasswordPrompt(True).answer(_page(form, PasswordPrompt(True)))
    asked = recent_password.check(always=True)
    if asked.problem:
        return asked.answer(_page(form, asked))
    try:
        people_admin.set_password(
            current_user.id, form.password.data, keep_token=current_user.get_id()
        )
    except PasswordRefused as problem:
        form.password.errors = [problem.message]
        return asked.answer(_page(form, PasswordPrompt(True)))
    flash("パスワードを変更し、ほかの端末のログインを終了しました。", "success")
    return redirect(url_for(".show"), code=303)


@bp.post("/shortcuts")
@requires(Role.VIEWER)
def choose_shortcuts() -> ResponseReturnValue:
    """Switch the keys of one sign on or off for this person, and choose the colours."""
    is_on = "has_shortcuts" in request.form
    wanted = request.form.get("scheme", "")
    scheme = Scheme(wanted) if wanted in set(Scheme) else Scheme.AUTO
    people_admin.set_screen(current_user.id, has_shortcuts=is_on, scheme=scheme)
    flash(
        f"1文字のキー操作を{'使う' if is_on else '使わない'}設定、画面の色を「{scheme.label}」にしました。",
        "success",
    )
    return redirect(url_for(".show"), code=303)


@bp.post("/mails")
@requires(Role.VIEWER)
def choose_mails() -> ResponseReturnValue:
    """Where and of what this person is told by mail (R156); or a mail to see that it arrives."""
    try:
        if "test" in request.form:
            mails.send_test(current_user.id)
            flash(
                "確認のメールを送信します。数秒後にこの画面を開き直すと、結果が分かります。",
                "success",
            )
        else:
            mails.save_choice(
                current_user.id, request.form.get("email", ""), request.form.getlist("mail_kinds")
            )
            flash("メールの設定を保存しました。", "success")
    except AddressRefused as problem:
        return _page(
            OwnPasswordForm(formdata=None),
            PasswordPrompt(True),
            mail_error=problem.message,
            email=request.form.get("email", ""),
            mail_kinds=request.form.getlist("mail_kinds"),
        ), 422
    return redirect(url_for(".show", _anchor="mails"), code=303)


@bp.post("/sessions")
@requires(Role.VIEWER)
def end_sessions() -> ResponseReturnValue:
    """End one of the own sessions by its mark, or all the others."""
    mark = request.form.get("mark", "")
    if not mark:
        raise ShopError(
            "どのログインを終了するかを確認できませんでした。画面を開き直してください。"
        )
    if mark == "others":
        people_admin.end_sessions(current_user.id, keep_token=current_user.get_id())
    else:
        people_admin.end_session_of(current_user.id, mark)
    flash("ログインを終了しました。", "success")
    return redirect(url_for(".show"), code=303)


def _page(form: OwnPasswordForm, asked: PasswordPrompt, **typed: Any) -> str:
    email, kinds = chosen_by(current_user.id)
    stored: dict[str, Any] = {"email": email, "mail_kinds": kinds, "mail_error": ""}
    return render_template(
        "people/account.html",
        schemes=Scheme,
        form=form,
        asked=asked,
        has_mail=mails.is_on(),
        choices=CHOICES,
        last_mails=mails.last_mails(current_user.id),
        **(stored | typed),
        sessions=people_admin.sessions_of(current_user.id, this_token=current_user.get_id()),
    )
