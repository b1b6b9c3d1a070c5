"""The first page (`/`): what needs somebody today, each figure a link to its orders (R155)."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from sgpshop.domain.payment_calendar import SOON_DAYS
from sgpshop.models import Role
from sgpshop.services import alerts, bulk_capture, dashboard, settings
from sgpshop.services.contract import console_links
from sgpshop.web.security import requires

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
        runs=[bulk_capture.progress(run.id) for run in found.running],
        alerts=alerts.newest_open(_ALERTS_SHOWN) if found.alerts.count else [],
        shop=shop,
        console_url=console_links(shop)["shop"],
        soon_days=SOON_DAYS,
    )
