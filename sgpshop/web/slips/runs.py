"""Slip numbers of a file, or typed: look at what they would do, let it be done, and what became of it (§9)."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.csv_writing import Encoding, csv_file
from sgpshop.domain.errors import ShopError
from sgpshop.domain.row_files import FileRefused
from sgpshop.domain.second_look import captured_to_approve
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.models import ItemResult, Role, SlipRun
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import SlipTerms, Typed, Uploaded
from sgpshop.services.payments import second_look
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.frame import result_lines
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.looking import may_capture_with_slips, require_captures_with_slips
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.slips import bp

_DONE_BEFORE = (
    "同じ内容のファイルは、同じ設定ですでに処理しています。下はそのときの結果です。"
    "もう一度処理することはありません。失敗した行は「失敗した行をやり直す」で処理できます。"
)


_RUNS_PER_PAGE = 20


@bp.get("/file")
@requires(Role.SHIPPER)
def file() -> ResponseReturnValue:
    """ファイル・貼り付け: the upload form."""
    return _file_page(slips.usual_terms())


@bp.get("/history")
@requires(Role.SHIPPER)
def history() -> ResponseReturnValue:
    """履歴: what was registered, the newest first."""
    offset = result_lines.offset()
    found = slips.recent(_RUNS_PER_PAGE + 1, offset)
    return render_template(
        "slips/history.html",
        runs=slips.progresses(found[:_RUNS_PER_PAGE]),
        offset=offset,
        per_page=_RUNS_PER_PAGE,
        has_more=len(found) > _RUNS_PER_PAGE,
    )


@bp.post("")
@requires(Role.SHIPPER)
@limited(Use.UPLOAD)
def upload() -> ResponseReturnValue:
    """① Read the file and write down what it would do; nothing of the orders changes (R81)."""
    wanted = terms()
    try:
        return to_run(prepared(_uploaded(), wanted))
    except ShopError as problem:
        return _file_page(wanted, problem.message, status=422)


@bp.get("/template.csv")
@requires(Role.SHIPPER)
def template() -> ResponseReturnValue:
    """An empty slip file: the headings of §9.1, as Excel reads them."""
    return attached(b"".join(csv_file(slips.TITLES, [], Encoding.CP932)), "slips.csv")


@bp.get("/<run_id>")
@requires(Role.SHIPPER)
def show(run_id: str) -> ResponseReturnValue:
    """Progress and result of a run; before it is started, the preview (R81)."""
    run = _visible(run_id)
    if run.started_at is None:
        asked = second_look.newest_of_run(slips=run_id)
        if asked is not None and asked.is_waiting:
            return redirect(url_for("approvals.show", approval_id=asked.id), code=303)
        return _preview_page(run)
    shown = "slips/_result.html" if wants_fragment() else "slips/show.html"
    offset = result_lines.offset()
    return render_template(
        shown,
        run=run,
        progress=slips.progress(run),
        lines=slips.lines(run_id, after=offset, limit=result_lines.LINES_PER_PAGE),
        offset=offset,
        per_page=result_lines.LINES_PER_PAGE,
    )


leads_back(bp, Role.SHIPPER, "/<run_id>/terms", "/<run_id>/start", "/<run_id>/retry", of="run_id")


@bp.post("/<run_id>/terms")
@requires(Role.SHIPPER)
@limited(Use.UPLOAD)
def change_terms(run_id: str) -> ResponseReturnValue:
    """Look at the same file again under other terms, or with a company where none is known (R79)."""
    wanted, carrier = terms(), request.form.get("carrier_code", "")
    if wanted.capture:
        require_captures_with_slips()
    return to_run(slips.change_terms(run_id, wanted, person_id=current_user.id, carrier=carrier))


@bp.post("/<run_id>/start")
@requires(Role.SHIPPER)
@limited(Use.BULK)
def start(run_id: str) -> ResponseReturnValue:
    """② 処理を実行: start the run, once however often this is sent (P19, R82a)."""
    try:
        if slips.own(run_id, current_user.id).capture:  # rights and settings may have changed since
            require_captures_with_slips()
        shown = slips.start(
            run_id,
            person_id=current_user.id,
            sum_confirmed="sum_confirmed" in request.form,
            seen=request.form.get("seen", ""),
        )
    except ApprovalAsked as waiting:
        flash(waiting.message, "success")
        return redirect(url_for("approvals.show", approval_id=waiting.approval_id), code=303)
    except ShopError as problem:
        if problem.status == 404:
            raise
        return _preview_page(slips.own(run_id, current_user.id), problem)
    if shown != run_id:
        flash(_DONE_BEFORE, "warning")
    return redirect(url_for(".show", run_id=shown), code=303)


@bp.post("/<run_id>/retry")
@requires(Role.SHIPPER)
@limited(Use.UPLOAD)
def retry(run_id: str) -> ResponseReturnValue:
    """失敗した行をやり直す: the failed rows on their own, to be looked at first (R49)."""
    run = _visible(run_id)
    failed = slips.rows_typed(run_id, ItemResult.FAILED) if run.is_typed else None
    given = Uploaded(slips.errors_csv(run)) if failed is None else Typed(failed)
    try:
        if failed == []:
            raise FileRefused("")
        again = prepared(given, SlipTerms(run.capture, run.on_failure))
    except FileRefused:
        flash("やり直す行はありません。", "warning")
        return redirect(url_for(".show", run_id=run_id), code=303)
    return to_run(again)


@bp.get("/<run_id>/errors.csv")
@requires(Role.SHIPPER)
@makes_file
def errors(run_id: str) -> ResponseReturnValue:
    """The failed rows, to be mended and handed in again; UTF-8 with mark (R81, S18)."""
    run = _visible(run_id)
    content = slips.errors_csv(run)
    activities.exported("slip_errors", "伝票番号ファイルのエラー行", run=run_id)
    return attached(content, f"slips-{run_id[:8]}-errors.csv")


def _visible(run_id: str) -> SlipRun:
    """A run that was started, or that this person prepared.  Raises NotFound."""
    run = slips.get(run_id)
    return run if run.started_at is not None else slips.own(run_id, current_user.id)


def _file_page(terms: SlipTerms, error: str = "", status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "slips/file.html",
        error=error,
        terms=terms,
        pasted=request.form.get("pasted", ""),
        limits=slips.limits(),
        on_failures=list(OnCaptureFailure),
    )
    return page, status


def _preview_page(run: SlipRun, problem: ShopError | None = None) -> ResponseReturnValue:
    offset = result_lines.offset()
    preview = slips.preview(run)
    asks_carrier = preview.without_carrier and not run.is_typed  # there it was left so on purpose
    page = render_template(
        "slips/preview.html",
        run=run,
        preview=preview,
        carriers=CARRIERS if asks_carrier else {},
        usual_carrier=slips.usual_carrier() if asks_carrier else "",
        lines=slips.lines(run.id, after=offset, limit=result_lines.LINES_PER_PAGE),
        offset=offset,
        per_page=result_lines.LINES_PER_PAGE,
        to_approve=captured_to_approve(preview.capture_yen, settings.load()),
        terms=SlipTerms(run.capture, run.on_failure),
        on_failures=list(OnCaptureFailure),
        error=problem.message if problem else "",
    )
    return page, problem.status if problem else 200


def to_run(run_id: str) -> ResponseReturnValue:
    """To the preview of that run, or to its result where it was begun before (R82a)."""
    if slips.get(run_id).started_at is not None:
        flash(_DONE_BEFORE, "warning")
    return redirect(url_for(".show", run_id=run_id), code=303)


def prepared(given: Uploaded | Typed, terms: SlipTerms) -> str:
    """The id of a run of this person.  Raises FileRefused, or ShopError for a capture they may not."""
    if terms.capture:
        require_captures_with_slips()
    return slips.prepare(given, terms, person_id=current_user.id, actor=current_user.name)


def _uploaded() -> Uploaded:
    """What was handed in.  Raises ShopError for nothing, or for a file and lines at once."""
    file = request.files.get("file")
    pasted = request.form.get("pasted", "")
    if file is not None and file.filename:
        if pasted.strip():
            raise ShopError(
                "ファイルと貼り付けの両方が入力されています。どちらか一方にしてください。"
            )
        return Uploaded(file.read())
    if not pasted.strip():
        raise ShopError("伝票番号のファイルを選ぶか、行を貼り付けてください。")
    return Uploaded(pasted.encode("utf-8", "replace"), is_pasted=True)


def terms() -> SlipTerms:
    """The two settings for this run.  Raises ShopError for a word that is none."""
    try:
        on_failure = OnCaptureFailure(request.form.get("on_capture_failure", ""))
    except ValueError:
        raise ShopError("「実売り失敗時の動作」を選んでください。") from None
    return SlipTerms(request.form.get("capture_on_slip", "") == "1", on_failure)


@bp.context_processor
def _rights() -> dict[str, object]:
    return {"may_capture": may_capture_with_slips}
