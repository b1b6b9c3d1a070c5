"""会計ソフト用ファイル (`/journals`): captures and refunds of a period for an accounting program."""

from __future__ import annotations

from datetime import date, timedelta

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.billing_calendar import month_of, previous_month
from sgpshop.domain.bounds import DAYS_WORDS, is_usable
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Role, utc_now
from sgpshop.services import journals, settings
from sgpshop.services.access import activities
from sgpshop.services.access.rate_limits import Use
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.security import requires

#: days: a year of the shop's, and the month after
_LONGEST = 366 + 31

bp = Blueprint("journals", __name__, url_prefix="/journals")


@bp.get("")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """The sums of a period, at first of the month before, and the form for its file."""
    last_month = previous_month(month_of(utc_now()))
    wanted = request.args.to_dict()
    if "from" not in wanted and "to" not in wanted:
        wanted |= {"from": str(last_month), "to": str(month_of(utc_now()) - timedelta(days=1))}
    error, sums = "", None
    try:
        sums = journals.sums_of(*_period(wanted))
    except ShopError as problem:
        error = problem.message
    this_month = month_of(utc_now())
    page = render_template(
        "journals/index.html",
        wanted=wanted,
        error=error,
        sums=sums,
        layouts=list(journals.LAYOUTS.values()),
        shortcuts=[
            ("先月", last_month, this_month - timedelta(days=1)),
            ("今月", this_month, jst_day(utc_now())),
        ],
        may_export=current_user.may_act_as(Role.ACCOUNTANT),
        is_owner=current_user.may_act_as(Role.OWNER),
    )
    return page, 422 if error else 200


@bp.post("")
@requires(Role.ACCOUNTANT)
@makes_file
def download() -> ResponseReturnValue:
    """The file; POST, for it counts against a limit (S23)."""
    layout = journals.LAYOUTS.get(request.form.get("layout", ""))
    if layout is None:
        raise ShopError("会計ソフトを選んでください。")
    first, last = _period(request.form)
    sums = journals.sums_of(first, last)
    content = layout.written(journals.movements(first, last), settings.load())
    count = sums.sales + sums.refunds
    activities.exported(f"journal_{layout.word}", "会計ソフト用ファイル", count=count)
    return attached(content, layout.file_name(first, last))


def _period(wanted: dict[str, str]) -> tuple[date, date]:
    """Raises ShopError."""
    try:
        first, last = (date.fromisoformat(wanted.get(name, "")) for name in ("from", "to"))
    except ValueError:
        raise ShopError("期間の最初の日と最後の日を入力してください(例:2026-11-01)。") from None
    if not (is_usable(first) and is_usable(last)):
        raise ShopError(f"期間は{DAYS_WORDS}で入力してください。")
    if first > last:
        raise ShopError("期間の最後の日は、最初の日以降にしてください。")
    if (last - first).days >= _LONGEST:
        raise ShopError(
            "期間は13か月以内で入力してください。長い期間は、年度ごとなどに分けてください。"
        )
    return first, last
