"""Settings of the files we write (`/settings/files/…`): names that other programs know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.settings import rules
from sgpshop.web.frame.security import requires
from sgpshop.web.settings.form import JournalForm, LabelForm, SettingsForm
from sgpshop.web.settings.views import changed_since_seen

bp = Blueprint("file_settings", __name__, url_prefix="/settings")


@dataclass(frozen=True)
class Screen:
    """One of the screens."""

    title: str
    form: type[SettingsForm]
    template: str


SCREENS = {
    "labels": Screen("送り状の設定", LabelForm, "settings/labels.html"),
    "journals": Screen("会計ソフトの設定", JournalForm, "settings/journals.html"),
}


@bp.get("/files/<which>")
@requires(Role.OWNER)
def show(which: str) -> ResponseReturnValue:
    """The settings as they are."""
    screen = _screen(which)
    return _page(screen, screen.form(formdata=None, obj=settings.load()))


@bp.post("/files/<which>")
@requires(Role.OWNER)
def save(which: str) -> ResponseReturnValue:
    """Store what changed (R86); nothing here moves money, so no password is asked for."""
    screen = _screen(which)
    form = screen.form(obj=settings.load())
    if not form.validate():
        return _page(screen, form), 422
    if since := changed_since_seen():
        return _page(screen, form, since=since), 409
    changed = settings.save(current_user.name, **form.sent())
    flash("設定を保存しました。" if changed else "変更はありませんでした。", "success")
    return redirect(url_for(".show", which=which), code=303)


def _screen(which: str) -> Screen:
    return SCREENS.get(which) or abort(404)


def _page(screen: Screen, form: SettingsForm, **more: Any) -> str:
    return render_template(
        screen.template,
        title=screen.title,
        form=form,
        changes=settings.recent_changes(),
        setting_label=rules.label,
        **more,
    )
