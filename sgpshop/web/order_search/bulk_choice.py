"""What is chosen in the order list, read from the list's form, and the bar that says so again.

Shared by everything that is done with many orders: runs, files, prints.
"""

from __future__ import annotations

from dataclasses import replace

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from sgpshop.domain.errors import ShopError
from sgpshop.services import settings
from sgpshop.services.bulk.actions import captures
from sgpshop.services.bulk.runs import NO_ORDER_CHOSEN
from sgpshop.services.bulk.selection import Selection, TooMany, weigh
from sgpshop.services.order_search import search
from sgpshop.services.order_search.totals import added, status_totals, total
from sgpshop.web.frame.pieces import wants_fragment
from sgpshop.web.order_search import choices, order_list
from sgpshop.web.order_search.choices import Choice
from sgpshop.web.order_search.form import SearchForm, parse_query
from sgpshop.web.order_search.order_list import BulkBar


def search_of_form() -> SearchForm:
    """The search whose result the person looks at."""
    return parse_query(request.form.get("conditions", ""), order_list.today())


def chosen_action() -> Choice | None:
    """処理内容, if one was chosen."""
    return choices.find(request.form.get("action", ""))


def chosen_ids(form: SearchForm, *, all_hits: bool | None = None) -> list[int]:
    """The ids of the orders that are chosen.  Raises TooMany, with their true number (R50)."""
    if all_hits is None:
        all_hits = "all_hits" in request.form
    most = settings.load().bulk_max
    ticked = set(request.form.getlist("order_no"))
    count = total(form.criteria).count if all_hits else len(ticked)
    if count > most:
        raise TooMany(count, most)
    if all_hits:
        return search.matching_ids(form.criteria, most)
    return search.ids_of(sorted(ticked))


def require_chosen(form: SearchForm) -> list[int]:
    """The same, at least one.  Raises ShopError (R46) or TooMany."""
    if chosen := chosen_ids(form):
        return chosen
    raise ShopError(NO_ORDER_CHOSEN)


def bar(form: SearchForm, wish: str = "") -> BulkBar:
    """The bar after the person pressed the button `do=wish`, or only ticked something."""
    chosen_now = choices.find(wish)
    action = chosen_now or chosen_action()
    # While nothing is chosen, capture is what people are after.
    weighed_for = action.run if action else captures.ACTION
    all_hits = wish == "all_hits" or (wish != "only_ticked" and "all_hits" in request.form)
    try:
        selection, error = weigh(chosen_ids(form, all_hits=all_hits), weighed_for), ""
    except TooMany as problem:
        selection, error = Selection(problem.count, yen=None), problem.message
    return BulkBar(
        selection=selection,
        action=action,
        is_choosing=wish == "choose",
        was_chosen_now=chosen_now is not None,
        all_hits=all_hits,
        error=error,
    )


def show_bar(form: SearchForm, bar: BulkBar, *, status: int = 200) -> ResponseReturnValue:
    """The bar with HTMX, else the list with its ticks kept."""
    if not wants_fragment():
        ticked = set(request.form.getlist("order_no"))
        return order_list.render_page(form, bar, ticked, status=status)
    totals = status_totals(form.criteria)
    response = make_response(
        render_template(
            "bulk_runs/_bar.html",
            bar=bar,
            form=form,
            hits=added(totals, form.criteria.statuses),
        ),
        status,
    )
    response.headers["HX-Retarget"] = "#bulk-bar"
    response.headers["HX-Reswap"] = "outerHTML"
    return response


def refused(form: SearchForm, problem: ShopError) -> ResponseReturnValue:
    """The bar with the sentence why nothing was done; 発送 has none, and keeps what was typed there."""
    if "slips_grid" in request.form:
        flash(problem.message, "warning")
        return redirect(url_for("slips.fill"), code=307)
    return show_bar(form, replace(bar(form), error=problem.message), status=problem.status)
