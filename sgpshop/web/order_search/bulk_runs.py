"""一括処理 (`/orders/bulk/…`): choose, confirm, watch and read the result of a bulk run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flask import (
    Blueprint,
    Response,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import Forbidden

from sgpshop import logs
from sgpshop.domain.bounds import whole_number
from sgpshop.domain.errors import ShopError
from sgpshop.models import Role, utc_now
from sgpshop.services import settings
from sgpshop.services.access import activities
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.bulk import actions, report, runs
from sgpshop.services.bulk.runs import RunPreview
from sgpshop.services.order_search.totals import status_totals
from sgpshop.services.orders import facts
from sgpshop.services.payments import second_look, transaction_lookup
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.payments.second_look import ApprovalAsked
from sgpshop.web.frame import result_lines
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.order_search import order_list
from sgpshop.web.order_search.bulk_choice import (
    bar,
    chosen_action,
    chosen_ids,
    refused,
    require_chosen,
    search_of_form,
    show_bar,
)
from sgpshop.web.order_search.form import parse_query

bp = Blueprint("bulk_runs", __name__, url_prefix="/orders/bulk")

#: how far back a poll looks: a line's time is taken a moment before it can be seen
_OVERLAP = timedelta(seconds=3)
#: no run comes to more yen
_MOST_YEN = 10**12
#: so long a page watches the look-ups it asked for
_WATCHED = timedelta(minutes=10)


leads_back(bp, Role.VIEWER, "", "/selection", "/reconcile", to="order_search.show")


@bp.post("/selection")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def select() -> ResponseReturnValue:
    """Show what is chosen now: the bar with HTMX, else the list with its ticks kept (R39, R44)."""
    if "preorder_tab" in request.form and not request.form.getlist("order_no"):
        flash(runs.NO_ORDER_CHOSEN, "warning")
        return redirect(url_for("preorders.show", tab=request.form["preorder_tab"]), code=303)
    form = search_of_form()
    return show_bar(form, bar(form, request.form.get("do", "")))


@bp.post("")
@requires(Role.SHIPPER)
@limited(Use.BULK)
def prepare() -> ResponseReturnValue:
    """処理を実行: write the selection down and ask for confirmation; nothing is done (R46, R47)."""
    form = search_of_form()
    try:
        action = chosen_action()
        run_id = runs.prepare(
            chosen_ids(form),
            action.word if action else "",
            person_id=current_user.id,
            actor=current_user.name,
        )
    except ShopError as problem:
        return refused(form, problem)
    if wants_fragment():
        return render_template("bulk_runs/_dialog.html", preview=_preview(run_id))
    return redirect(url_for(".show", run_id=run_id), code=303)


@bp.post("/reconcile")
@requires(Role.OPERATOR)
@limited(Use.BULK)
def reconcile() -> ResponseReturnValue:
    """照合: plan a look-up of the chosen orders now; it moves nothing, so nobody is asked (R51)."""
    form = search_of_form()
    before = bar(form)
    try:
        chosen = require_chosen(form)
        since = utc_now()
        planned = transaction_lookup.look_soon_at_orders(chosen)
    except ShopError as problem:
        return refused(form, problem)
    logs.event("reconciliation_planned", orders=planned)
    notice = f"{planned:,}件をSMBC-GPと照合します。結果は、分かりしだい注文に反映されます。"
    if others := len(chosen) - planned:
        notice += f"SGPカード決済ではない{others:,}件は対象外です。"
    return show_bar(form, replace(before, notice=notice, since=since.isoformat()))


@bp.get("/reconciled")
@requires(Role.VIEWER)
def reconciled() -> ResponseReturnValue:
    """The rows on the page that were looked up since `since`; asked until all of them were."""
    if not wants_fragment():
        return redirect(url_for("order_search.show"), code=303)
    form = parse_query(request.values.get("conditions", ""), order_list.today())
    shop = settings.load()
    since = _moment(request.args.get("since", ""))
    waiting, looked_up = transaction_lookup.looks_since(_shown_ids(), since)
    orders = facts.by_ids(looked_up)
    return render_template(
        "bulk_runs/_reconciled.html",
        dated=form.criteria.date_field.value,
        since=since.isoformat(),
        is_waiting=bool(waiting) and utc_now() - since < _WATCHED,
        looked_up=len(looked_up),
        orders=orders,
        reasons=order_list.failure_reasons(orders),
        ticked=set(request.args.getlist("order_no")),
        may_run_bulk=order_list.may_run_bulk(),
        tabs=order_list.tabs(form, status_totals(form.criteria), shop),
        shop=shop,
        console_url=console_links(shop)["shop"],
    )


@bp.post("/<run_id>/start")
@requires(Role.SHIPPER)
@limited(Use.BULK)
def start(run_id: str) -> ResponseReturnValue:
    """Start the run, once however often this is sent (P19), and show its progress."""
    action = actions.find(runs.get(run_id).action)
    if action is not None and not current_user.may_act_as(action.role):
        raise Forbidden  # rights may have changed since it was prepared
    count, yen = (whole_number(request.form.get(name, ""), _MOST_YEN) for name in ("count", "yen"))
    try:
        runs.start(
            run_id,
            person_id=current_user.id,
            sum_confirmed="sum_confirmed" in request.form,
            seen=(count or 0, yen or 0),
        )
    except ApprovalAsked as waiting:
        flash(waiting.message, "success")
        return _to_approval(waiting.approval_id)
    except ShopError as problem:
        return _ask_again(run_id, problem)
    if wants_fragment():
        return _progress_bar(run_id, since=None)
    return redirect(url_for(".show", run_id=run_id), code=303)


@bp.get("/<run_id>/progress")
@requires(Role.VIEWER)
def progress(run_id: str) -> ResponseReturnValue:
    """The bar under the list while a run is on, with the rows that changed since `since`."""
    if not wants_fragment():
        return redirect(url_for(".show", run_id=run_id), code=303)
    return _progress_bar(run_id, since=_moment(request.args.get("since", "")))


@bp.get("/<run_id>")
@requires(Role.VIEWER)
def show(run_id: str) -> ResponseReturnValue:
    """Progress and result of a run; before it is started, the confirmation (R47, R49)."""
    if runs.get(run_id).started_at is None:
        asked = second_look.newest_of_run(bulk=run_id)
        if asked is not None and asked.is_waiting:
            return _to_approval(asked.id)
        return render_template("bulk_runs/confirm.html", preview=_preview(run_id))
    template = "bulk_runs/_result.html" if wants_fragment() else "bulk_runs/show.html"
    offset = result_lines.offset()
    return render_template(
        template,
        progress=report.progress(run_id),
        lines=report.lines(run_id, after=offset, limit=result_lines.LINES_PER_PAGE),
        offset=offset,
        per_page=result_lines.LINES_PER_PAGE,
        may_run_bulk=order_list.may_run_bulk(),
    )


@bp.get("/<run_id>/result.csv")
@requires(Role.VIEWER)
@makes_file
def download(run_id: str) -> ResponseReturnValue:
    """結果CSV: every line of the run, UTF-8 with mark (R49, S18)."""
    content = report.as_csv(run_id)
    activities.exported("bulk_result", "一括処理の結果", run=run_id)
    return attached(content, f"bulk-{run_id[:8]}.csv")


def _to_approval(approval_id: int) -> ResponseReturnValue:
    address = url_for("approvals.show", approval_id=approval_id)
    if wants_fragment():
        return Response(status=200, headers={"HX-Redirect": address})
    return redirect(address, code=303)


def _preview(run_id: str) -> RunPreview:
    """What the run that this person prepared would do.  Raises NotFound for another's run."""
    return runs.preview(run_id, current_user.id)


def _ask_again(run_id: str, problem: ShopError) -> ResponseReturnValue:
    if problem.status == 404:
        raise problem
    preview = _preview(run_id)
    if not wants_fragment():
        page = render_template("bulk_runs/confirm.html", preview=preview, error=problem.message)
        return page, problem.status
    response = make_response(
        render_template("bulk_runs/_dialog.html", preview=preview, error=problem.message),
        problem.status,
    )
    response.headers["HX-Retarget"] = "#dialog-place"
    response.headers["HX-Reswap"] = "innerHTML"
    return response


def _progress_bar(run_id: str, since: datetime | None) -> ResponseReturnValue:
    """The progress, the shown rows it touched (all of the run at its start), and the tabs."""
    now = utc_now()
    form = parse_query(request.values.get("conditions", ""), order_list.today())
    shown = _shown_ids()
    touched = report.order_ids(run_id, since=since)
    shop = settings.load()
    progress = report.progress(run_id)
    is_whole = since is None or not progress.is_running
    orders = facts.by_ids(shown.intersection(touched))
    page = render_template(
        "bulk_runs/_progress.html",
        dated=form.criteria.date_field.value,
        progress=progress,
        is_whole=is_whole,
        since=(now - _OVERLAP).isoformat(),
        just_started=since is None,
        orders=orders,
        reasons=order_list.failure_reasons(orders),
        tabs=order_list.tabs(form, status_totals(form.criteria), shop),
        shop=shop,
        console_url=console_links(shop)["shop"],
    )
    response = make_response(page)
    if is_whole:
        response.headers["HX-Retarget"] = "#bulk-bar"
    return response


def _shown_ids() -> set[int]:
    texts = request.values.get("shown", "")[:4000].split(",")
    return {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 10}


def _moment(text: str) -> datetime:
    """The moment the last fragment was made, as it says itself; a minute ago for anything else."""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    return utc_now() - timedelta(minutes=1)
