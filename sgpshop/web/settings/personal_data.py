"""購入者の情報 (`/settings/personal-data`): how long it stays after an order is closed (S12a)."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.shop_terms import PersonalDataFor
from sgpshop.models import Role, utc_now
from sgpshop.services import settings
from sgpshop.services.personal_data import ending
from sgpshop.services.settings import rules
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires
from sgpshop.web.settings.form import PersonalDataForm
from sgpshop.web.settings.views import changed_since_seen

bp = Blueprint("personal_data", __name__, url_prefix="/settings/personal-data")


@bp.get("")
@requires(Role.OWNER)
def show() -> ResponseReturnValue:
    """The term, and how many orders it is over for."""
    form = PersonalDataForm(formdata=None, obj=settings.load())
    return _page(form, recent_password.state())


@bp.post("")
@requires(Role.OWNER)
def save() -> ResponseReturnValue:
    """Store another term; one that lets something end only when that was confirmed."""
    asked = recent_password.check()
    before = settings.load().personal_data_for
    form = PersonalDataForm(obj=settings.load())
    if not form.validate() or asked.problem:
        return asked.answer(_page(form, asked))
    term = PersonalDataFor(form.personal_data_for.data)
    is_new = term is not PersonalDataFor.EVER and term.value != before
    if is_new and request.form.get("confirmed") != term.value:
        return _page(form, asked, to_confirm=term), 422
    if since := changed_since_seen():
        return _page(form, asked, to_confirm=term if is_new else None, since=since), 409
    changed = settings.save(current_user.name, **form.sent())
    flash("設定を保存しました。" if changed else "変更はありませんでした。", "success")
    return redirect(url_for(".show"), code=303)


def _page(
    form: PersonalDataForm,
    asked: PasswordPrompt,
    *,
    to_confirm: PersonalDataFor | None = None,
    **more: object,
) -> str:
    stored = PersonalDataFor(settings.load().personal_data_for)
    return render_template(
        "settings/personal_data.html",
        title="購入者の情報",
        form=form,
        asked=asked,
        to_confirm=to_confirm,
        ended=ending.count_ended(to_confirm or stored, utc_now()),
        stored=stored,
        changes=settings.recent_changes(),
        setting_label=rules.label,
        **more,
    )
