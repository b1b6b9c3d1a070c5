"""接続元 (`/settings/networks`): from where screens and API can be used (S4a)."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.networks import holds, read
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.settings import rules
from sgpshop.web.frame import networks, proxies, recent_password
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires
from sgpshop.web.settings.form import NetworksForm
from sgpshop.web.settings.views import changed_since_seen

bp = Blueprint("networks", __name__, url_prefix="/settings/networks")


@bp.get("")
@requires(Role.OWNER)
def show() -> ResponseReturnValue:
    """The lists as they are, and where this request comes from."""
    return _page(NetworksForm(formdata=None, obj=settings.load()), recent_password.state())


@bp.post("")
@requires(Role.OWNER)
def save() -> ResponseReturnValue:
    """Store the lists; never one that shuts out who stores it."""
    asked = recent_password.check()
    form = NetworksForm(obj=settings.load())
    if not form.validate() or asked.problem:
        return asked.answer(_page(form, asked))
    listed = read(form.screen_networks.data or "")
    if listed and not holds(listed, networks.address()):
        form.screen_networks.errors = [
            f"いまの接続元({networks.address() or '不明'})が入っていません。"
            "このまま保存すると、ご自身もこの画面を開けなくなるため、保存していません。"
        ]
        return _page(form, asked), 422
    if since := changed_since_seen():
        return _page(form, asked, since=since), 409
    changed = settings.save(current_user.name, **form.sent())
    flash("接続元を保存しました。" if changed else "変更はありませんでした。", "success")
    return redirect(url_for(".show"), code=303)


def _page(form: NetworksForm, asked: PasswordPrompt, **more: object) -> str:
    return render_template(
        "settings/networks.html",
        form=form,
        asked=asked,
        title="接続元",
        changes=settings.recent_changes(),
        setting_label=rules.label,
        address=networks.address(),
        proxy_problems=proxies.problems(),
        **more,
    )
