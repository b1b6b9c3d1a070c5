"""SGP:クレジットカードの設定 (`/settings/sgp`): the contract and the shop's choices (rules.md §10)."""

from __future__ import annotations

from collections.abc import Sequence

from flask import (
    Blueprint,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import SalesMode
from sgpshop.models import Activity, Role
from sgpshop.services import settings
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.totals import Total, status_totals
from sgpshop.services.payments import gateway_access
from sgpshop.services.settings import ShopSettings, guide_html, rules
from sgpshop.services.settings.rules import SECRETS, SettingRefused
from sgpshop.web.frame import proxies, recent_password
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import requires
from sgpshop.web.settings.form import SgpForm

bp = Blueprint("settings", __name__, url_prefix="/settings")

_SCREENS = (
    ("settings.sgp", "SGP:クレジットカードの設定"),
    ("file_settings.show:paper", "納品書"),
    ("file_settings.show:labels", "送り状"),
    ("file_settings.show:journals", "会計ソフト"),
    ("notifications.show", "結果通知"),
    ("people.index", "ユーザー"),
    ("api_keys.show", "APIキー"),
    ("webhooks.show", "Webhook"),
    ("second_look.show", "承認"),
    ("networks.show", "接続元"),
    ("personal_data.show", "購入者の情報"),
    ("activities.show", "操作の記録"),
)


@bp.app_template_global()
def settings_menu() -> list[tuple[str, str]]:
    """Address and name of every 設定 screen there is."""
    found = [(*address.partition(":")[::2], words) for address, words in _SCREENS]
    return [
        (url_for(endpoint, which=which or None), words)
        for endpoint, which, words in found
        if endpoint in current_app.view_functions
    ]


@bp.get("/sgp")
@requires(Role.OWNER)
def sgp() -> ResponseReturnValue:
    """The settings as they are; of passwords only whether there is one (R86)."""
    shop = settings.load()
    return _page(SgpForm(formdata=None, obj=shop), shop, recent_password.state())


@bp.post("/sgp")
@requires(Role.OWNER)
def save_sgp() -> ResponseReturnValue:
    """Store what changed, once the person is sure who and what (S5, R85)."""
    shop = settings.load()
    asked = recent_password.check()
    form = SgpForm(obj=shop)
    if not form.validate() or asked.problem:
        return asked.answer(_page(form, shop, asked))
    if since := changed_since_seen():
        return _page(form, shop, asked, since=since), 409
    sent = form.sent()
    if _is_other_sales_mode(sent, shop):
        if request.form.get("answer") == "back":
            form.sales_mode.data = shop.sales_mode
            return _page(form, shop, asked, is_back=True)
        if request.form.get("sales_mode_confirmed") != sent["sales_mode"]:
            return _ask_about_sales_mode(sent, asked)
    try:
        changed = settings.save(current_user.name, **sent)
    except SettingRefused as refusal:  # not by itself, but by how things stand
        form[refusal.field].errors = [refusal.message]
        return asked.answer(_page(form, shop, asked))
    flash("設定を保存しました。" if changed else "変更はありませんでした。", "success")
    if "guide" in changed and settings.load().guide != _typed_guide(sent):
        flash(
            "案内文から使用できないHTMLを取り除き、表記を整えて保存しました。プレビューで確認してください。",
            "warning",
        )
    return redirect(url_for(".sgp"), code=303)


@bp.post("/sgp/check")
@requires(Role.OWNER)
@limited(Use.BULK)
def check_connection() -> ResponseReturnValue:
    """Ask SMBC-GP whether it accepts the stored ids and passwords; moves nothing."""
    try:
        found = gateway_access.check_connection()
    except ShopError as problem:
        flash(problem.message, "error")
    else:
        flash(found, "success")
    return redirect(url_for(".sgp"), code=303)


def _page(
    form: SgpForm,
    shop: ShopSettings,
    asked: PasswordPrompt,
    *,
    is_back: bool = False,
    since: Sequence[Activity] = (),
) -> str:
    return render_template(
        "settings/sgp.html",
        form=form,
        shop=shop,
        asked=asked,
        is_back=is_back,
        since=since,
        is_again=bool(form.errors or asked.problem or is_back or since),
        had_secret=any(form[name].data for name in SECRETS),
        guide=guide_html.shown(form.guide.data or ""),
        consoles=gateway_access.console_links(shop),
        changes=settings.recent_changes(),
        setting_label=rules.label,
        proxy_problems=proxies.problems(),
    )


def changed_since_seen() -> list[Activity]:
    """What others changed since this form was opened: it would be set back unawares (P20)."""
    seen = request.form.get("seen", "")
    if not (seen.isascii() and seen.isdigit() and len(seen) <= 9):
        return []
    return [
        change
        for change in settings.recent_changes()
        if change.id > int(seen) and change.actor != current_user.name
    ]


def _is_other_sales_mode(sent: dict[str, str], shop: ShopSettings) -> bool:
    return sent.get("sales_mode", shop.sales_mode) != shop.sales_mode


def _ask_about_sales_mode(sent: dict[str, str], asked: PasswordPrompt) -> str:
    """A step of its own that says what stays to be captured (R85).

    It carries on what was typed, but never a password (S10): that is to be typed there again.
    """
    left = status_totals(SearchCriteria()).get(PaymentStatus.AUTHORIZED, Total())
    return render_template(
        "settings/confirm_sales_mode.html",
        mode=SalesMode(sent["sales_mode"]),
        left=left,
        typed={name: value for name, value in sent.items() if name not in SECRETS}
        | {"seen": request.form.get("seen", "")},
        secrets=[name for name in sorted(SECRETS) if sent.get(name)],
        setting_label=rules.label,
        asked=asked,
    )


def _typed_guide(sent: dict[str, str]) -> str:
    return sent["guide"].replace("\r\n", "\n").strip()
