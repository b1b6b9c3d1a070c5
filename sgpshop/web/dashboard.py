"""The first page (`/`): what needs somebody today, each figure a link to its orders (R155)."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.payment_calendar import SOON_DAYS
from sgpshop.models import Role
from sgpshop.services import dashboard, settings
from sgpshop.services.bulk import report
from sgpshop.services.orders import alerts
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.storage import setbacks
from sgpshop.web.frame.security import requires

bp = Blueprint("dashboard", __name__)

_ALERTS_SHOWN = 10


@bp.get("/")
@requires(Role.VIEWER)
def show() -> ResponseReturnValue:
    """The tiles, and the bulk runs that are on."""
    shop = settings.load()
    found = dashboard.figures(shop)
    return render_template(
        "dashboard/show.html",
        figures=found,
        runs=[report.progress(run.id) for run in found.running],
        set_aside=setbacks.set_aside(),
        may_act=current_user.may_act_as(Role.OPERATOR),
        alerts=alerts.newest_open(_ALERTS_SHOWN) if found.alerts.count else [],
        shop=shop,
        console_url=console_links(shop)["shop"],
        soon_days=SOON_DAYS,
    )


@bp.post("/set-aside/try-again")
@requires(Role.OPERATOR)
def try_again() -> ResponseReturnValue:
    """What broke off however often it was tried is tried once more, now (P15)."""
    count = setbacks.try_again()
    words = (
        f"止まっている処理{count:,}件を、もう一度試します。"
        if count
        else "止まっている処理はありません。"
    )
    flash(words, "success")
    return redirect(url_for(".show"), code=303)


@bp.get("/set-aside/try-again")
@requires(Role.VIEWER)
def to_start() -> ResponseReturnValue:
    """A reload of an address that only forms are sent to leads back to the first page."""
    return redirect(url_for(".show"), code=303)
