"""売上集計 (`/sales`): a month by day, its files, and the files for accounting programs (R149)."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.billing_calendar import month_of, next_month, parse_month, previous_month
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Role, utc_now
from sgpshop.services import journals, settings, subscriptions
from sgpshop.services.access import activities
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.journals import sales
from sgpshop.services.journals.sales import Line
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.security import requires

bp = Blueprint("sales", __name__, url_prefix="/sales")

_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@bp.get("")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """The month of the address, at first the present one; a month that is none: that one, and a word."""
    this_month = month_of(utc_now())
    typed = request.args.get("month", "")
    month = _month(typed) if typed else this_month
    found, orders = sales.read(month or this_month, utc_now()), url_for("order_search.show")
    page = render_template(
        "sales/show.html",
        found=found,
        today=jst_day(utc_now()),
        error="" if month else "月は 2026-11 のように入力してください。",
        before=previous_month(found.first),
        after=next_month(found.first),
        bars=[_bar(orders, line) for line in found.days],
        list_of=partial(list_of, orders),
        layouts=list(journals.LAYOUTS.values()),
        has_subscriptions=subscriptions.in_use(settings.load()) or found.whole.subscriptions,
        may_export=current_user.may_act_as(Role.ACCOUNTANT),
    )
    return page, 200 if month else 422


@bp.post("")
@requires(Role.ACCOUNTANT)
@makes_file
def download() -> ResponseReturnValue:
    """The month as a file; POST, for it counts against a limit (S23)."""
    month = _month(request.form.get("month", ""))
    if month is None:
        raise ShopError("月は 2026-11 のように入力してください。")
    found = sales.read(month, utc_now())
    activities.exported("sales", "売上集計", count=found.whole.sales + found.whole.refunds)
    if request.form.get("kind") == "xlsx":
        response = attached(sales.as_excel(found), sales.file_name(found, "xlsx"))
        response.mimetype = _EXCEL
        return response
    return attached(sales.as_csv(found), sales.file_name(found, "csv"))


def _month(text: str) -> date | None:
    try:
        return parse_month(text.strip())
    except ValueError:
        return None


def list_of(orders: str, what: str, first: date, last: date, **more: Any) -> str:
    """The order list (at `orders`) of what moved on these days: `what` is a 期間対象 of it."""
    return f"{orders}?{urlencode({'date_field': what, 'from': first, 'to': last, **more})}"


def _bar(orders: str, line: Line) -> dict[str, Any]:
    assert line.day is not None
    return {
        "words": f"{line.day.month}/{line.day.day}",
        "value": line.sold,
        "href": list_of(orders, "captured_at", line.day, line.day),
        "tone": "",
    }
