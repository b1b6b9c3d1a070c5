"""最初の設定 (`/setup`): the first owner and the shop's first settings, while nobody is registered (S1a)."""

from __future__ import annotations

from flask import (
    Blueprint,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from sgpshop.domain.errors import ShopError
from sgpshop.services.access import rate_limits, sessions
from sgpshop.services.access.passwords import PasswordRefused
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.installation import first_set_up
from sgpshop.services.payments import gateway_access
from sgpshop.services.settings.rules import SettingRefused
from sgpshop.web import auth
from sgpshop.web.frame import proxies
from sgpshop.web.frame.security import public
from sgpshop.web.settings.form import FirstSetUpForm

bp = Blueprint("first_set_up", __name__, url_prefix="/setup")
bp.add_app_template_global(first_set_up.is_open, "needs_first_owner")

#: In the session of a browser that opened the link.
_LINK = "first_owner_link"


@bp.get("")
@public
def show() -> ResponseReturnValue:
    """The form; a link that is right is remembered by this browser and leaves the address."""
    if not first_set_up.is_open():
        return redirect(url_for("auth.login"), code=303)
    if link := request.args.get("link", ""):
        if first_set_up.admits(link):
            session[_LINK] = link
            return redirect(url_for(".show"), code=303)
        try:
            rate_limits.count_wrong_link(request.remote_addr or "")
        except TooOften as refusal:
            page = render_template("auth/first_set_up.html", form=None, problem=refusal)
            return make_response(page, refusal.status, {"Retry-After": str(refusal.retry_after)})
    if not _may():
        return _shut(is_link_wrong=bool(link))
    return _page(FirstSetUpForm(formdata=None))


@bp.post("")
@public
def carry_out() -> ResponseReturnValue:
    """Register the owner and store the settings, sign in, and ask SMBC-GP about the contract."""
    if not first_set_up.is_open():
        return _over()
    if not _may():
        return _shut()
    form = FirstSetUpForm()
    if not form.validate():
        return _page(form), 422
    try:
        first_set_up.carry_out(form.name.data, form.password.data, form.sent())
    except first_set_up.SetUpOver:
        return _over()
    except TooOften:
        raise
    except ShopError as problem:
        field = form.password if isinstance(problem, PasswordRefused) else form.name
        if isinstance(problem, SettingRefused):
            field = form[problem.field]
        field.errors = [problem.message]
        return _page(form), 422
    try:
        owner = sessions.sign_in(
            form.name.data,
            form.password.data,
            address=request.remote_addr or "",
            browser=request.user_agent.string,
            device=auth.device(),
        )
    except TooOften as refusal:  # others of the same address; what was stored stays
        flash(
            f"最初の設定は終わり、入力した内容は保存しました。ログインだけがまだです。{refusal.message}",
            "warning",
        )
        return redirect(url_for("auth.login"), code=303)
    answer = auth.go_on(owner, url_for("settings.sgp" if form.has_contract else "dashboard.show"))
    flash("最初の設定が終わりました。ほかの人は、設定の「ユーザー」から追加できます。", "success")
    if form.has_contract:
        _check_contract()
    return answer


def _check_contract() -> None:
    """接続を確認, as the button of 設定 does it; what was typed is stored, whatever is answered."""
    try:
        found = gateway_access.check_connection()
    except ShopError as problem:
        flash(f"契約情報は保存しました。{problem.message}", "error")
    else:
        flash(
            f"{found}新しい注文を受け付けるには、「利用」を「利用する」にして保存してください。",
            "success",
        )


def _may() -> bool:
    return proxies.is_on_this_machine() or first_set_up.admits(session.get(_LINK, ""))


def _over() -> ResponseReturnValue:
    flash(first_set_up.SetUpOver().message, "warning")
    return redirect(url_for("auth.login"), code=303)


def _shut(*, is_link_wrong: bool = False) -> ResponseReturnValue:
    page = render_template("auth/first_set_up.html", form=None, is_link_wrong=is_link_wrong)
    return page, 403


def _page(form: FirstSetUpForm) -> str:
    return render_template("auth/first_set_up.html", form=form)
