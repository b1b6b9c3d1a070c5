"""照合: the console's transaction list beside our orders (`/orders/reconcile`), and acknowledging
what look-ups found (R121, R122).
"""

from __future__ import annotations

import io

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import StringField
from wtforms.validators import Length, Optional

from sgpshop import logs
from sgpshop.domain.text import has_control_characters
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.order_files.reading import FileRefused, Limits
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.reconciliation import console_file
from sgpshop.services.reconciliation.console_file import Result
from sgpshop.web.frame.base_form import Form
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import screen

bp = Blueprint("reconciling", __name__, url_prefix="/orders")

ROWS_SHOWN = 500


@bp.get("/reconcile")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    """The upload form."""
    return _page()


@bp.post("/reconcile")
@requires(Role.OPERATOR)
def compare() -> ResponseReturnValue:
    """Compare the file and show what came of it; what differs is looked up at SMBC-GP (R122)."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _page("照合するファイルを選んでください。")
    try:
        result = console_file.compare(io.BytesIO(file.read()), Limits.of_screen(current_app.config))
    except FileRefused as problem:
        return _page(problem.message)
    logs.event(
        "console_file_compared",
        rows=result.rows,
        differences=len(result.differences),
        gateway_only=len(result.gateway_only),
        planned=result.planned,
    )
    return render_template(
        "reconciliation/result.html",
        result=result,
        heading=_heading(result),
        rows_shown=ROWS_SHOWN,
        is_nightly=current_app.config["NIGHTLY_COMPARE_HOUR"] is not None,
        consoles=console_links(settings.load()),
        **_form(),
    )


class AcknowledgeForm(Form):
    """確認済みにする: what the person wants to be remembered, if anything."""

    reason = StringField(
        "メモ(任意)",
        [Optional(), Length(max=alerts.REASON_MOST)],
        filters=[lambda text: (text or "").strip()],
    )


@bp.post("/<order_no>/alerts/<int:alert_id>/acknowledge")
@requires(Role.OPERATOR)
def acknowledge(order_no: str, alert_id: int) -> ResponseReturnValue:
    """確認済みにする: it leaves the first page and the order, not the history (R121)."""
    form = AcknowledgeForm()
    note = form.reason.data or ""
    if not form.reason.validate(form) or has_control_characters(note):
        return screen.render(order_no, refusal=alerts.NoteRefused())
    alerts.acknowledge(order_no, alert_id, Actor.person(current_user.name), note)
    return screen.done(order_no, notice="確認済みにしました。履歴に記録されています。")


@bp.get("/<order_no>/alerts/<int:alert_id>/acknowledge")
@requires(Role.VIEWER)
def to_screen(order_no: str, alert_id: int) -> ResponseReturnValue:
    """A reload of an address that only forms are sent to leads back to the screen."""
    return screen.done(order_no)


def _page(error: str = "") -> ResponseReturnValue:
    page = render_template("reconciliation/index.html", error=error, **_form())
    return page, 422 if error else 200


def _heading(result: Result) -> str:
    """The result in one sentence; never 一致 when something is not (look.md)."""
    if not result.rows:
        return "ファイルに取引がありませんでした"
    parts = [
        (len(result.differences), "件が異なります"),
        (len(result.open), "件は結果待ち"),
        (len(result.unknown_transactions) + len(result.gateway_only), "件は記録のない取引"),
        (len(result.mistakes), "行は読み取れません"),
    ]
    told = [f"{count:,}{words}" for count, words in parts if count]
    if not told:
        return f"{result.rows:,}件すべて一致しています"
    return f"{result.rows:,}件中 {result.agreeing:,}件が一致、" + "、".join(told)


def _form() -> dict[str, object]:
    return {
        "limits": Limits.of_screen(current_app.config),
        "may_compare": current_user.may_act_as(Role.OPERATOR),
    }
