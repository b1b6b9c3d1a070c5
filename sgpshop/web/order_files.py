"""注文ファイル取込 (`/orders/imports`): send an order file, watch it go in, read what was wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.row_files import Limits
from sgpshop.models import ImportRun, IssueLevel, Role
from sgpshop.services.access import activities
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.demo.sample import SAMPLE
from sgpshop.services.order_files import importing
from sgpshop.services.order_files.importing import RunState, mappings
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import requires

bp = Blueprint("imports", __name__, url_prefix="/orders/imports")

_TOKEN = re.compile(r"[0-9a-f]{32}")
_COLUMN = re.compile(r"column-(\d{1,3})")
_ISSUES_ON_PAGE = 500
#: some programs write orders and their items apart
_MOST_FILES = 2


@bp.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    """The upload form and the latest runs."""
    return _index()


@bp.post("")
@requires(Role.OPERATOR)
@limited(Use.UPLOAD)
def upload() -> ResponseReturnValue:
    """Read the files and show what they would do; nothing of them goes in yet (S17, P19)."""
    files = [file for file in request.files.getlist("file") if file.filename]
    if not files:
        return _index("取り込むファイルを選んでください。", status=422)
    if len(files) > _MOST_FILES:
        return _index(
            "一度に選べるのは2つまでです。ファイルは1つずつ取り込んでください。", status=422
        )
    contents = [file.read() for file in files]
    limits = Limits.of_screen(current_app.config)
    run = importing.prepare(_run_id(), current_user.name, contents, limits)
    return redirect(url_for(".show", run_id=run.id), code=303)


@bp.post("/<run_id>/start")
@requires(Role.OPERATOR)
@limited(Use.BULK)
def start(run_id: str) -> ResponseReturnValue:
    """Take the shown file in, by a worker; a second press changes nothing (P19)."""
    importing.start(run_id, current_user.name, request.form.get("seen", ""))
    return redirect(url_for(".show", run_id=run_id), code=303)


@bp.post("/<run_id>/mapping")
@requires(Role.OPERATOR)
@limited(Use.UPLOAD)
def mapping(run_id: str) -> ResponseReturnValue:
    """Which column is what, of a file of no program we know."""
    chosen = {
        int(found[1]): value
        for name, value in request.form.items()
        if (found := _COLUMN.fullmatch(name))
    }
    try:
        importing.map_columns(
            run_id,
            chosen,
            current_user.name,
            is_to_be_remembered=request.form.get("remember") == "1",
        )
    except ShopError as problem:
        if isinstance(problem, NotFound):
            raise
        return _mapping_page(_visible(run_id), problem.message, chosen), 422
    return redirect(url_for(".show", run_id=run_id), code=303)


@bp.post("/<run_id>/method")
@requires(Role.OPERATOR)
@limited(Use.UPLOAD)
def method(run_id: str) -> ResponseReturnValue:
    """「この決済方法はSGPカードですか?」: the answer is kept in the settings, the preview made anew."""
    answer = request.form.get("is_sgp", "")
    if answer not in ("yes", "no"):
        raise ShopError("「はい」か「いいえ」を選んでください。")
    importing.answer_method(
        run_id, request.form.get("method", ""), current_user.name, is_sgp=answer == "yes"
    )
    return redirect(url_for(".show", run_id=run_id), code=303)


@bp.get("/sample.csv")
@requires(Role.VIEWER)
def sample() -> ResponseReturnValue:
    """The sample file, for its form."""
    return send_file(SAMPLE, "text/csv", as_attachment=True, download_name="orders.csv")


@bp.get("/<run_id>")
@requires(Role.VIEWER)
def show(run_id: str) -> ResponseReturnValue:
    """One run: what it would do, how far it is, and its problems by line."""
    run = _visible(run_id)
    if _waits_for_mapping(run):
        return _mapping_page(run)
    is_prepared = importing.state_of(run) is RunState.PREPARED
    return _run_page(f"order_files/{'preview' if is_prepared else 'show'}.html", run_id)


@bp.get("/<run_id>/progress")
@requires(Role.VIEWER)
def progress(run_id: str) -> ResponseReturnValue:
    """The part of the page that changes while orders are written and looked up."""
    if not wants_fragment():
        return redirect(url_for(".show", run_id=run_id), code=303)
    _visible(run_id)
    return _run_page("order_files/_progress.html", run_id)


@bp.get("/<run_id>/problems.csv")
@requires(Role.VIEWER)
@makes_file
def problems(run_id: str) -> ResponseReturnValue:
    """All problems of a run as UTF-8 CSV with mark."""
    run = _visible(run_id)
    activities.exported("import_problems", "注文ファイルの問題", run=run_id)
    return attached(importing.problems_csv(run.id), f"import-{run.id[:8]}.csv")


def _visible(run_id: str) -> ImportRun:
    return importing.visible(run_id, current_user.name)


def _index(error: str = "", status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "order_files/index.html",
        error=error,
        runs=[(run, importing.state_of(run)) for run in importing.recent(current_user.name)],
        **_form(),
    )
    return page, status


def _run_page(template: str, run_id: str) -> str:
    shown = importing.progress(run_id)
    return render_template(
        template,
        heading=_heading(shown),
        program=importing.program_of(shown.run),
        progress=shown,
        run=shown.run,
        seen=importing.fingerprint(shown.run),
        errors=importing.issues(run_id, IssueLevel.ERROR, _ISSUES_ON_PAGE + 1),
        warnings=importing.issues(run_id, IssueLevel.WARNING, _ISSUES_ON_PAGE + 1),
        issues_on_page=_ISSUES_ON_PAGE,
        **_form(),
    )


def _waits_for_mapping(run: ImportRun) -> bool:
    return run.started_at is None and "columns" in (run.preview or {})


def _mapping_page(run: ImportRun, error: str = "", chosen: Mapping[int, str] | None = None) -> str:
    columns = (run.preview or {}).get("columns", [])
    headings = [heading for heading, _values in columns]
    if chosen is None:
        proposal = mappings.propose(headings)
        chosen = {n: proposal.get(heading, "") for n, heading in enumerate(headings)}
    return render_template(
        "order_files/mapping.html",
        run=run,
        columns=columns,
        chosen=chosen,
        choices=mappings.choices(),
        error=error,
        **_form(),
    )


def _heading(shown: importing.ImportProgress) -> str:
    """The result in one sentence; never 完了 when something was left out."""
    run = shown.run
    if shown.state is RunState.REFUSED:
        return "ファイルを読み取れませんでした"
    if shown.state is RunState.PREPARED:
        return f"{run.orders:,}件の注文のファイルです"
    if shown.state is RunState.RUNNING:
        return f"{run.orders:,}件中 {shown.done:,}件まで取り込みました"
    if shown.state is RunState.INTERRUPTED and shown.goes_on and not shown.done:
        return "順番を待っています"
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
