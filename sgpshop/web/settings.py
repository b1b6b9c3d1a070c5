"""SGP:クレジットカードの設定 (`/settings/sgp`): the contract and the shop's limits (domain.md §10)."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import IntegerField, PasswordField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from sgpshop import logs
from sgpshop.domain.amounts import TaxRounding
from sgpshop.domain.errors import ShopError
from sgpshop.models import Role
from sgpshop.services import contract, settings
from sgpshop.web.base_form import Form
from sgpshop.web.security import requires

bp = Blueprint("settings", __name__, url_prefix="/settings")

_CONTRACT_ID = Regexp(
    rf"^{settings.CONTRACT_ID.pattern}\Z", message="半角英数字13文字以内で入力してください。"
)
_PASSWORD = [
    Optional(),
    Length(max=64, message="64文字以内で入力してください。"),
    Regexp(r"^[!-~]+\Z", message="半角の英数字と記号で入力してください。"),
]


def _whole_number(label: str, least: int, most: int) -> IntegerField:
    message = f"{least}から{most:,}までの整数で入力してください。"
    return IntegerField(
        label,
        [InputRequired(message), NumberRange(least, most, message)],
    )


def _yes_or_no(label: str, yes: str, no: str) -> SelectField:
    return SelectField(
        label,
        choices=[SelectChoice(True, yes), SelectChoice(False, no)],
        coerce=lambda value: str(value) == "True",
    )


class SgpForm(Form):
    """The settings of domain.md §10 that have an effect now; an empty password keeps the old."""

    site_id = StringField("サイトID", [Optional(), _CONTRACT_ID])
    site_pass = PasswordField("サイトパスワード", _PASSWORD)
    shop_id = StringField("ショップID", [Optional(), _CONTRACT_ID])
    shop_pass = PasswordField("ショップパスワード", _PASSWORD)
    auth_valid_days = _whole_number("オーソリ有効日数", 1, 90)
    needs_review_alert_hours = _whole_number("要確認アラート時間", 1, 720)
    bulk_max = _whole_number("一括処理の上限件数", 1, 5000)
    cancel_lock_minutes = _whole_number("キャンセルできない時間(分)", 0, 1440)
    extend_auth_enabled = _yes_or_no("オーソリ期間延長", "利用する", "利用しない")
    tax_included = _yes_or_no("価格の税区分", "税込", "税別")
    tax_rounding = SelectField(
        "消費税の端数", choices=[SelectChoice(way.value, way.label) for way in TaxRounding]
    )


@bp.get("/sgp")
@requires(Role.OWNER)
def sgp() -> ResponseReturnValue:
    """The settings as they are; of passwords only whether there is one (R86)."""
    return _page(SgpForm(formdata=None, obj=settings.load()))


@bp.post("/sgp")
@requires(Role.OWNER)
def save_sgp() -> ResponseReturnValue:
    """Store what changed and log the names of the fields, never their values (R86)."""
    form = SgpForm()
    if not form.validate():
        return _page(form), 422
    sent = {name: value for name, value in form.data.items() if value is not None}
    sent.pop("csrf_token", None)
    changed = settings.save(current_user.name, **sent)
    if changed:
        logs.event("settings_changed", fields=changed)
        flash("設定を保存しました。", "success")
    else:
        flash("変更はありませんでした。", "success")
    return redirect(url_for(".sgp"), code=303)


@bp.post("/sgp/check")
@requires(Role.OWNER)
def check_connection() -> ResponseReturnValue:
    """Ask SMBC-GP whether it accepts the stored shop id and password; moves nothing."""
    try:
        contract.check_connection()
    except ShopError as problem:
        flash(problem.message, "error")
    else:
        flash("SMBC-GPに接続できました。ショップIDとショップパスワードは有効です。", "success")
    return redirect(url_for(".sgp"), code=303)


def _page(form: SgpForm) -> str:
    shop = settings.load()
    return render_template(
        "settings/sgp.html", form=form, shop=shop, consoles=contract.console_links(shop)
    )
