"""照合: the console's transaction list beside our orders (`/orders/reconcile`; R122)."""

from __future__ import annotations

import io

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop import logs
from sgpshop.domain.row_files import FileRefused, Limits
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.reconciliation import console_file
from sgpshop.services.reconciliation.console_file import FileComparison
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import requires

bp = Blueprint("reconciling", __name__, url_prefix="/orders")

ROWS_SHOWN = 500


@bp.get("/reconcile")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    """The upload form."""
    return _page()


@bp.post("/reconcile")
@requires(Role.OPERATOR)
@limited(Use.UPLOAD)
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


def _page(error: str = "") -> ResponseReturnValue:
    page = render_template("reconciliation/index.html", error=error, **_form())
    return page, 422 if error else 200


def _heading(result: FileComparison) -> str:
    """The result in one sentence; never 一致 when something is not."""
    if not result.rows:
        return "ファイルに取引がありませんでした"
    parts = [
        (len(result.differences), "件が異なります"),
        (len(result.open), "件は結果待ち"),
        (len(result.unknown_transactions) + len(result.gateway_only), "件はこの管理画面にない取引"),
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
