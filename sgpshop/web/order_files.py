"""注文ファイル取込 (`/orders/imports`): send an order file, watch it go in, read what was wrong."""

from __future__ import annotations

import io
import re
from typing import Any

from flask import (
    Blueprint,
    current_app,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.csv_reading import Limits
from sgpshop.domain.errors import ShopError
from sgpshop.models import IssueLevel, Role
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.demo import SAMPLE
from sgpshop.services.order_files import background, importing
from sgpshop.services.order_files.importing import RunState
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.fragments import wants_fragment
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import requires

bp = Blueprint("imports", __name__, url_prefix="/orders/imports")

_TOKEN = re.compile(r"[0-9a-f]{32}")
_ISSUES_ON_PAGE = 500


@bp.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    """The upload form and the latest runs."""
    return _index()


@bp.post("")
@requires(Role.OPERATOR)
@limited(Use.UPLOAD)
def upload() -> ResponseReturnValue:
    """Check the file as a whole now, write its orders in the background (S17, P19)."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _index("取り込むファイルを選んでください。", status=422)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    background.require_room(app)
    stream = io.BytesIO(file.read())  # the request's own copy is gone when the writing begins
    run, survey = importing.begin(
        _run_id(), current_user.name, [stream], Limits.of_screen(current_app.config)
    )
    if survey is not None:
        background.submit(
            app,
            importing.carry_out,
            run.id,
            [stream],
            Limits.of_screen(current_app.config),
            survey,
        )
    return redirect(url_for(".show", run_id=run.id), code=303)


@bp.get("/sample.csv")
@requires(Role.VIEWER)
def sample() -> ResponseReturnValue:
    """The sample file, for its form."""
    return send_file(SAMPLE, "text/csv", as_attachment=True, download_name="orders.csv")


@bp.get("/<run_id>")
@requires(Role.VIEWER)
def show(run_id: str) -> ResponseReturnValue:
    """One run: how far it is, and its problems by line."""
    return _run_page("order_files/show.html", run_id)


@bp.get("/<run_id>/progress")
@requires(Role.VIEWER)
def progress(run_id: str) -> ResponseReturnValue:
    """The part of the page that changes while orders are written and looked up."""
    if not wants_fragment():
        return redirect(url_for(".show", run_id=run_id), code=303)
    return _run_page("order_files/_progress.html", run_id)


@bp.get("/<run_id>/problems.csv")
@requires(Role.VIEWER)
def problems(run_id: str) -> ResponseReturnValue:
    """All problems of a run as UTF-8 CSV with mark."""
    run = importing.find(run_id)
    return attached(importing.problems_csv(run.id), f"import-{run.id[:8]}.csv")


def _index(error: str = "", status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "order_files/index.html",
        error=error,
        runs=[(run, importing.state_of(run)) for run in importing.recent()],
        **_form(),
    )
    return page, status


def _run_page(template: str, run_id: str) -> str:
    shown = importing.progress(run_id)
    return render_template(
        template,
        heading=_heading(shown),
        progress=shown,
        run=shown.run,
        errors=importing.issues(run_id, IssueLevel.ERROR, _ISSUES_ON_PAGE + 1),
        warnings=importing.issues(run_id, IssueLevel.WARNING, _ISSUES_ON_PAGE + 1),
        issues_on_page=_ISSUES_ON_PAGE,
        **_form(),
    )


def _heading(shown: importing.ImportProgress) -> str:
    """The result in one sentence; never 完了 when something was left out (look.md)."""
    run = shown.run
    if shown.state is RunState.REFUSED:
        return "ファイルを読み取れませんでした"
    if shown.state is RunState.RUNNING:
        return f"{run.orders:,}件中 {shown.done:,}件まで取り込みました"
    if shown.state is RunState.INTERRUPTED:
        return f"{run.orders:,}件中 {shown.done:,}件で止まりました"
    if not run.left_out:
        return f"{run.orders:,}件すべてを取り込みました"
    taken = shown.done - run.left_out
    return f"{run.orders:,}件中 {taken:,}件を取り込み、{run.left_out:,}件は取り込めませんでした"


def _form() -> dict[str, Any]:
    """What the upload form shows; every rendered form is good for one run (P19)."""
    return {
        "limits": Limits.of_screen(current_app.config),
        "may_import": current_user.may_act_as(Role.OPERATOR),
        "token": importing.new_run_id(),
    }


def _run_id() -> str:
    token = request.form.get("request_token", "")
    if not _TOKEN.fullmatch(token):
        raise ShopError("画面を開き直してから、もう一度ファイルを選んで取り込んでください。")
    return token
