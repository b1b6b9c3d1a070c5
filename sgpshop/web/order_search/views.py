"""注文検索/一括処理 (`/orders`): search and list; what is done with many orders is bulk_runs.py."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import ShopError
from sgpshop.models import ItemResult, Role
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.bulk import report, runs
from sgpshop.services.bulk.selection import weigh
from sgpshop.services.order_search import saved_views, search, search_fields
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.order_search import choices, order_list
from sgpshop.web.order_search.form import SearchForm, parse_query, parse_search
from sgpshop.web.order_search.order_list import BulkBar

bp = Blueprint("order_search", __name__, url_prefix="/orders")


@bp.get("")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """The list for the conditions of the query string; with HTMX only the results."""
    form = parse_search(request.args, order_list.today())
    if wants_fragment() and request.headers.get("HX-Target") == "results":
        return order_list.render_results(form)
    if form.criteria.failed_of:
        return _reselected(form)
    return order_list.render_page(form)


@bp.post("/search-fields")
@requires(Role.VIEWER)
def choose_fields() -> ResponseReturnValue:
    """Remember which conditions this person wants to see (R32), then show the same search."""
    search_fields.save(current_user.id, request.form.getlist("fields"))
    form = parse_query(request.form.get("conditions", ""), order_list.today())
    return redirect(f"{url_for('.show')}?{form.query()}", code=303)


@bp.post("/views")
@requires(Role.VIEWER)
def save_view() -> ResponseReturnValue:
    """この条件を保存: keep the search that is shown under a name, then show it again."""
    form = parse_query(request.form.get("conditions", ""), order_list.today())
    name, is_shared = request.form.get("name", ""), "is_shared" in request.form
    try:
        saved_views.save(current_user.id, name, form.query(), is_shared=is_shared)
    except ShopError as problem:
        flash(problem.message, "error")
    else:
        flash(f"条件「{name.strip()}」を保存しました。", "success")
    return redirect(f"{url_for('.show')}?{form.query()}", code=303)


@bp.post("/views/<int:view_id>/delete")
@requires(Role.VIEWER)
def delete_view(view_id: int) -> ResponseReturnValue:
    """Forget an own view, then show the same search."""
    name = saved_views.delete(current_user.id, view_id)
    flash(f"条件「{name}」を削除しました。", "success")
    form = parse_query(request.form.get("conditions", ""), order_list.today())
    return redirect(f"{url_for('.show')}?{form.query()}", code=303)


leads_back(bp, Role.VIEWER, "/views", "/views/<int:view_id>/delete")


def _reselected(form: SearchForm) -> ResponseReturnValue:
    """失敗した注文を選ぶ: the failed orders of a run, ticked, with its action chosen (R49)."""
    run_id = form.criteria.failed_of
    failed = report.order_ids(run_id, result=ItemResult.FAILED)
    action = choices.find(runs.action_of(run_id))
    page = search.search(form.criteria, form.page).rows
    bar = BulkBar(
        selection=weigh(failed, action.run if action else None),
        action=action,
        all_hits=len(failed) > len(page),
    )
    return order_list.render_page(form, bar, {order.order_no for order in page})
