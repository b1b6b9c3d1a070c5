"""2段階認証 (`/account/second-factor`): a code of one's telephone besides the password (S2, S5)."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import ShopError
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.access import passkeys, second_factor
from sgpshop.services.access.one_time_codes import CodeRefused
from sgpshop.services.access.passkeys import PasskeyRefused
from sgpshop.services.access.second_factor import NewSeed, SetUpOver
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.frame.site import this_site

bp = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")


@bp.get("")
@requires(Role.VIEWER)
def show() -> ResponseReturnValue:
    """How it stands; without it, or with `again`, a new QR code to be read."""
    is_wanted = not current_user.has_codes or "again" in request.args
    seed = second_factor.begin(current_user) if is_wanted else None
    return _page(recent_password.state(), seed)


@bp.post("")
@requires(Role.VIEWER)
def set_up() -> ResponseReturnValue:
    """The first code proves that the telephone has the seed; the 予備コード are shown in this answer only."""
    asked = recent_password.check()
    try:
        seed = second_factor.opened(current_user, request.form.get("set_up_secret", ""))
        if asked.problem:
            return asked.answer(_page(asked, seed))
        codes = second_factor.set_up(current_user, seed.sealed, request.form.get("code", ""))
    except SetUpOver as problem:
        return _page(asked, second_factor.begin(current_user), problem=problem), 422
    except CodeRefused as problem:
        return _page(asked, seed, problem=problem), 422
    return render_template("people/recovery_codes.html", codes=codes, is_first=True)


@bp.post("/codes")
@requires(Role.VIEWER)
def renew_codes() -> ResponseReturnValue:
    """New 予備コード in place of the earlier ones, shown in this answer only."""
    asked = recent_password.check()
    if asked.problem:
        return asked.answer(_page(asked, None, act="codes"))
    codes = second_factor.renew_recovery_codes(current_user)
    return render_template("people/recovery_codes.html", codes=codes, is_first=False)


@bp.post("/off")
@requires(Role.VIEWER)
def turn_off() -> ResponseReturnValue:
    """解除, where the shop does not want it of everybody."""
    asked = recent_password.check()
    if asked.problem:
        return asked.answer(_page(asked, None, act="off"))
    second_factor.turn_off(current_user)
    flash("2段階認証を解除しました。次のログインからは、パスワードだけで入れます。", "success")
    return redirect(url_for("account.show"), code=303)


@bp.post("/passkeys")
@requires(Role.VIEWER)
def add_passkey() -> ResponseReturnValue:
    """A key that the person's device just made; the first second step shows 予備コード, this once."""
    asked, site, form = recent_password.check(), this_site(), request.form
    seed = None if current_user.has_codes else second_factor.begin(current_user)
    if asked.problem:
        return asked.answer(_page(asked, seed, act="passkey"))
    try:
        if site is None:
            raise PasskeyRefused
        question, answer = form.get("passkey_question", ""), form.get("passkey", "")
        codes = passkeys.add(current_user, site, question, answer, form.get("name", ""))
    except ShopError as problem:
        return _page(asked, seed, problem=problem), 422
    if codes:
        return render_template("people/recovery_codes.html", codes=codes, is_first=True)
    flash("パスキーを追加しました。", "success")
    return redirect(url_for(".show"), code=303)


@bp.post("/passkeys/<int:passkey_id>/remove")
@requires(Role.VIEWER)
def remove_passkey(passkey_id: int) -> ResponseReturnValue:
    """外す: the key opens no more."""
    asked = recent_password.check()
    seed = None if current_user.has_codes else second_factor.begin(current_user)
    if asked.problem:
        return asked.answer(_page(asked, seed, act="remove"))
    passkeys.remove(current_user, passkey_id)
    flash("パスキーを外しました。", "success")
    return redirect(url_for(".show"), code=303)


@bp.post("/alone")
@requires(Role.VIEWER)
def choose_alone() -> ResponseReturnValue:
    """Whether a passkey alone lets this person in."""
    asked, is_on = recent_password.check(), request.form.get("alone") == "1"
    seed = None if current_user.has_codes else second_factor.begin(current_user)
    if asked.problem:
        return asked.answer(_page(asked, seed, act="alone"))
    passkeys.choose_alone(current_user, is_on=is_on)
    words = (
        "パスキーだけでログインできるようにしました。"
        if is_on
        else "パスキーだけではログインできないようにしました。"
    )
    flash(words, "success")
    return redirect(url_for(".show"), code=303)


leads_back(
    bp, Role.VIEWER, "/alone", "/codes", "/off", "/passkeys", "/passkeys/<int:passkey_id>/remove"
)


def _page(
    asked: PasswordPrompt, seed: NewSeed | None, *, act: str = "", problem: ShopError | None = None
) -> str:
    shop = settings.load().shop_name or "SGP Shop"
    uri = seed.uri(current_user.name, shop) if seed else ""
    return render_template(
        "people/second_factor.html",
        seed=seed,
        uri=uri,
        qr=_picture(uri) if uri else "",
        asked={
            name: asked if name == act else PasswordPrompt(asked.is_needed)
            for name in ("codes", "off", "passkey", "remove", "alone")
        }
        | {"set_up": asked},
        problem=problem,
        passkeys=passkeys.of_person(current_user.id),
        question=passkeys.ask_for_new(current_user, site, shop) if (site := this_site()) else None,
        left=second_factor.recovery_codes_left(current_user.id),
    )


def _picture(uri: str) -> str:
    """The QR code as a picture inside the page: no other address is asked, nothing is stored."""
    import segno  # for this page alone

    picture: str = segno.make(uri, error="l", micro=False).svg_inline(
        scale=4, border=4, dark="#000", light="#fff"
    )
    return picture
