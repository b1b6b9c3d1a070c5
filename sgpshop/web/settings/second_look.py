"""承認 (`/settings/second-look`): from how many yen on a second person has to agree (R157)."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.models import Role
from sgpshop.services import approvals, settings
from sgpshop.services.settings import rules
from sgpshop.services.settings.rules import SettingRefused
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires
from sgpshop.web.settings.form import SecondLookForm
from sgpshop.web.settings.views import changed_since_seen

bp = Blueprint("second_look", __name__, url_prefix="/settings/second-look")


@bp.get("")
@requires(Role.OWNER)
def show() -> ResponseReturnValue:
    """The amounts as they are, and who could agree."""
    return _page(SecondLookForm(formdata=None, obj=settings.load()), recent_password.state())


@bp.post("")
@requires(Role.OWNER)
def save() -> ResponseReturnValue:
    """Store the amounts; not where one person is alone."""
    asked = recent_password.check()
    form = SecondLookForm(obj=settings.load())
    if not form.validate() or asked.problem:
        return asked.answer(_page(form, asked))
    if since := changed_since_seen():
        return _page(form, asked, since=since), 409
    try:
        changed = settings.save(current_user.name, **form.sent())
    except SettingRefused as refusal:
        form[refusal.field].errors = [refusal.message]
        return _page(form, asked), refusal.status
    flash("承認の設定を保存しました。" if changed else "変更はありませんでした。", "success")
    return redirect(url_for(".show"), code=303)


def _page(form: SecondLookForm, asked: PasswordPrompt, **more: object) -> str:
    return render_template(
        "settings/second_look.html",
        form=form,
        asked=asked,
        title="承認",
        people=approvals.others(),
        changes=settings.recent_changes(),
        setting_label=rules.label,
        **more,
    )
