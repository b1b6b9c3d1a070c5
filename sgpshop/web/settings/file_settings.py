"""Settings of paper and of the files we write (`/settings/files/…`): names that other programs know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain import logos
from sgpshop.domain.errors import ShopError
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.settings import logo, rules
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import requires
from sgpshop.web.settings.form import JournalForm, LabelForm, PaperForm, SettingsForm
from sgpshop.web.settings.views import changed_since_seen

bp = Blueprint("file_settings", __name__, url_prefix="/settings")


@dataclass(frozen=True)
class Screen:
    """One of the screens."""

    title: str
    form: type[SettingsForm]
    template: str


SCREENS = {
    "paper": Screen("納品書の設定", PaperForm, "settings/paper.html"),
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


@bp.get("/files/paper/logo")
@requires(Role.VIEWER)
def show_logo() -> ResponseReturnValue:
    """The picture itself, and nothing that a file may hold besides."""
    kind = settings.load().paper_logo.partition("-")[0]
    if kind not in ("png", "jpeg"):
        abort(404)
    return Response(logo.picture(), mimetype=f"image/{kind}")


@bp.post("/files/paper/logo")
@requires(Role.OWNER)
@limited(Use.UPLOAD)
def save_logo() -> ResponseReturnValue:
    """Another logo, or none."""
    file = request.files.get("paper_logo")
    content = file.read(logos.MOST_BYTES + 1) if file is not None else b""
    try:
        if not content and "remove" not in request.form:
            raise ShopError("ロゴの画像を選んでください。")
        logo.store(current_user.name, content)
    except ShopError as problem:
        flash(problem.message, "error")
    else:
        flash("ロゴを保存しました。" if content else "ロゴを削除しました。", "success")
    return redirect(url_for(".show", which="paper"), code=303)


def _screen(which: str) -> Screen:
    return SCREENS.get(which) or abort(404)


def _page(screen: Screen, form: SettingsForm, **more: Any) -> str:
    return render_template(
        screen.template,
        title=screen.title,
        form=form,
        shop=settings.load(),
        changes=settings.recent_changes(),
        setting_label=rules.label,
        **more,
    )
