"""The page of the gateway's result notifications: the address to enter there, and what came in lately (S5)."""

from __future__ import annotations

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.gateway import explain
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.payments import notifications
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires

bp = Blueprint("notifications", __name__)


@bp.get("/settings/notifications")
@requires(Role.OWNER)
def show() -> ResponseReturnValue:
    """The address to enter in SMBC-GP's console, and what came in lately."""
    return _page(recent_password.state())


def _page(asked: PasswordPrompt) -> str:
    secret = notifications.secret_of(settings.load())
    public = current_app.config["PUBLIC_URL"]
    return render_template(
        "settings/notifications.html",
        asked=asked,
        # Never from the Host header: somebody else could have chosen that.
        address=f"{public}{url_for('notify.receive', secret=secret)}" if public else "",
        arrivals=notifications.recent(),
        explain=explain,
    )


@bp.post("/settings/notifications/address")
@requires(Role.OWNER)
def renew_address() -> ResponseReturnValue:
    """Make a new address; the old one is an unknown address from now on (S5)."""
    asked = recent_password.check()
    if asked.problem:
        return asked.answer(_page(asked))
    notifications.renew_address(current_user.name)
    flash(
        "新しいアドレスに変更しました。SMBC-GPの管理画面にも、このアドレスを登録してください。",
        "success",
    )
    return redirect(url_for(".show"), code=303)
