"""/login and /logout (S2, S3)."""

from __future__ import annotations

import re
import secrets

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from sqlalchemy.orm import Session
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from sgpshop import logs
from sgpshop.domain.errors import ShopError
from sgpshop.models import Person, Role
from sgpshop.services.access import one_time_codes, passkeys, second_factor, sessions
from sgpshop.services.access.one_time_codes import CodeRefused
from sgpshop.services.access.passkeys import PasskeyRefused
from sgpshop.services.access.passwords import LONGEST
from sgpshop.services.access.people import LONGEST_NAME
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.web.frame import carried, recent_password
from sgpshop.web.frame.forms import Form
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.proxies import needs_https
from sgpshop.web.frame.security import own_path, public, requires, split
from sgpshop.web.frame.site import this_site

_DEVICE = re.compile(r"[A-Za-z0-9_-]{32}")

bp = Blueprint("auth", __name__)
bp.add_app_template_global(needs_https)
bp.add_app_template_global(recent_password.passkey_question)
bp.add_app_template_global(lambda: warn_before(), "warn_before")
bp.add_app_template_global(
    lambda: passkeys.ask_alone(site) if (site := this_site()) else None, "passkey_alone"
)
bp.add_app_template_global(lambda: LoginForm(formdata=None), "new_login_form")


class LoginForm(Form):
    """Name and password."""

    name = StringField(
        "ユーザー名",
        [
            InputRequired("ユーザー名を入力してください。"),
            Length(max=LONGEST_NAME, message="ユーザー名が長すぎます。"),
        ],
    )
    password = PasswordField(
        "パスワード",
        [
            InputRequired("パスワードを入力してください。"),
            Length(max=LONGEST, message="パスワードが長すぎます。"),
        ],
    )


@bp.get("/login")
@public
def login() -> ResponseReturnValue:
    """The form; whoever is signed in already goes on."""
    if current_user.is_authenticated:
        return redirect(own_path(request.args.get("next")), code=303)
    return render_template("auth/login.html", form=None)


@bp.post("/login")
@public
def enter() -> ResponseReturnValue:
    """Sign in and go to the page that was wanted, or ask whether to go on with what was pressed."""
    form = LoginForm()
    if not form.validate():
        return render_template("auth/login.html", form=form), 422
    try:
        person = sessions.sign_in(
            form.name.data,
            form.password.data,
            address=request.remote_addr or "",
            browser=request.user_agent.string,
            device=device(),
        )
    except TooOften as refusal:
        return _too_often(render_template("auth/login.html", form=form, problem=refusal), refusal)
    except sessions.SignInRefused as refusal:
        return render_template("auth/login.html", form=form, problem=refusal), 422
    except sessions.CodeNeeded as wanted:
        return _code_page(wanted.step)
    return go_on(person)


@bp.post("/login/passkey")
@public
def enter_by_passkey() -> ResponseReturnValue:
    """パスキーでログイン: the device says who it is, and knows its owner (S2)."""
    site, answer = this_site(), request.form.get("passkey", "")
    question = request.form.get("passkey_question", "")
    try:
        if site is None:
            raise PasskeyRefused
        person = sessions.sign_in_by_passkey(
            passkeys.owner_of(site, answer),
            lambda session, person: passkeys.use(
                session, person, site, question, answer, is_alone=True
            ),
            address=request.remote_addr or "",
            browser=request.user_agent.string,
            device=device(),
        )
    except TooOften as refusal:
        return _too_often(render_template("auth/login.html", form=None, problem=refusal), refusal)
    except (PasskeyRefused, sessions.SignInRefused):
        problem = PasskeyAloneRefused()
        return render_template("auth/login.html", form=None, problem=problem), 422
    return go_on(person)


class PasskeyAloneRefused(ShopError):
    """Whatever was wrong with it, nobody is told which (S2)."""

    sentence = (
        "パスキーでログインできませんでした。ユーザー名とパスワードでログインしてください。"
        "パスキーだけのログインは、アカウントの「2段階認証」で選んだ人が使えます。"
    )


@bp.get("/login/passkey")
@bp.get("/login/code")
@public
def to_login() -> ResponseReturnValue:
    """A reload of an address that only forms are sent to leads back to the beginning."""
    return redirect(url_for(".login"), code=303)


@bp.post("/login/code")
@public
def enter_code() -> ResponseReturnValue:
    """The second step: a code of the telephone, or a 予備コード (S2)."""
    step = request.form.get("second_step", "")
    try:
        person, is_recovery = sessions.sign_in_second(
            step,
            _prove,
            address=request.remote_addr or "",
            browser=request.user_agent.string,
            device=device(),
        )
    except TooOften as refusal:
        return _too_often(_code_page(step, refusal), refusal)
    except (CodeRefused, PasskeyRefused) as refusal:
        return _code_page(step, refusal), 422
    except sessions.StepOver as refusal:
        form = LoginForm(formdata=None)
        return render_template("auth/login.html", form=form, problem=refusal), 422
    answer = go_on(person)
    if is_recovery:
        left = second_factor.recovery_codes_left(person.id)
        flash(
            f"予備コードを1つ使いました(残り{left}個)。アカウントの「2段階認証」で、"
            "スマートフォンの変更と新しい予備コードの作成ができます。",
            "warning",
        )
    return answer


def _prove(session: Session, person: Person) -> bool:
    """Take the code, 予備コード or answer of a passkey that came; whether it was a 予備コード."""
    form, site = request.form, this_site()
    if not form.get("passkey"):
        typed = form.get("code", "") or form.get("recovery_code", "")
        return one_time_codes.use(session, person, typed)
    if site is None:
        raise PasskeyRefused
    passkeys.use(session, person, site, form.get("passkey_question", ""), form["passkey"])
    return False


def _code_page(step: str, problem: ShopError | None = None) -> str:
    """What the person has for a second step: a telephone, passkeys, or both."""
    person_id, site = sessions.person_of_step(step), this_site()
    return render_template(
        "auth/code.html",
        step=step,
        problem=problem,
        has_codes=one_time_codes.are_set_up(person_id),
        passkey=passkeys.ask(person_id, site) if site else None,
    )


def _too_often(page: str, refusal: TooOften) -> Response:
    return make_response(page, refusal.status, {"Retry-After": str(refusal.retry_after)})


def go_on(person: sessions.SignedIn, page: str = "") -> ResponseReturnValue:
    """With a new session to `page`, else the one that was wanted, or to what was pressed."""
    if current_user.is_authenticated:  # signed in as somebody: that session ends
        sessions.end_session(current_user.get_id())
    session.clear()  # nothing from before, the CSRF token included, lives on (S3)
    g.pop("csrf_token", None)
    login_user(person)
    session[carried.PERSON] = person.id
    logs.bind(person=person.name)
    page = page or own_path(request.args.get("next"))
    if (pressed := carried.open_for(person.id)) is None:
        answer = make_response(redirect(page, code=303))
    else:
        answer = make_response(
            render_template("auth/continue.html", pressed=pressed, page=own_path(pressed.page))
        )
    answer.set_cookie(
        _device_cookie(),
        device(),
        max_age=sessions.DEVICE_KEPT,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
    return answer


def device() -> str:
    """The mark of this browser, the same all through a request; it opens nothing (S3)."""
    if "device" not in g:
        sent = request.cookies.get(_device_cookie(), "")
        g.device = sent if _DEVICE.fullmatch(sent) else secrets.token_urlsafe(24)
    mark: str = g.device
    return mark


def _device_cookie() -> str:
    return f"{current_app.config['SESSION_COOKIE_NAME']}-device"


@bp.get("/session")
@public
def watch() -> ResponseReturnValue:
    """How long the session still lasts: a piece of every page, which asks once before the end."""
    if not wants_fragment():
        return redirect(url_for("dashboard.show"), code=303)
    return render_template("auth/_session.html")


@bp.post("/session")
@requires(Role.VIEWER)
def extend() -> ResponseReturnValue:
    """ログインを延長する: this request is the use that the session waits for."""
    if not wants_fragment():
        return redirect(own_path(split(request.referrer or "").path), code=303)
    return render_template("auth/_session.html")


def warn_before() -> float:
    """Seconds before the end at which it is said."""
    return min(300.0, float(current_app.config["SESSION_IDLE"]) / 4)


@bp.post("/logout")
@requires(Role.VIEWER)
def logout() -> ResponseReturnValue:
    """End the session on the server and in the browser."""
    current = current_user.id
    sessions.end_session(current_user.get_id(), signed_out=current_user.name)
    logs.event("logout")
    logout_user()
    session.clear()
    session[carried.PERSON] = current  # a form in another window is still kept for them
    flash("ログアウトしました。", "success")
    return redirect(url_for("auth.login"), code=303)
