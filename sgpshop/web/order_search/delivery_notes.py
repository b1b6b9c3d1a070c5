"""納品書 and ピッキングリスト (`/orders/<order_no>/print`, `/orders/bulk/…`): A4 sheets for the browser to print."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.shop_terms import PaperAmounts
from sgpshop.models import Role, utc_now
from sgpshop.services import settings
from sgpshop.services.access import activities, rate_limits
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.bulk.selection import TooMany
from sgpshop.services.deliveries import notes, picking
from sgpshop.services.deliveries.notes import MOST_ORDERS, Prints, TooManyToPrint
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.order_search.bulk_choice import refused, require_chosen, search_of_form

bp = Blueprint("delivery_notes", __name__, url_prefix="/orders")


leads_back(bp, Role.VIEWER, "/bulk/print", "/bulk/picking", to="order_search.show")


@bp.post("/bulk/print")
@requires(Role.SHIPPER)
def print_chosen() -> ResponseReturnValue:
    """納品書印刷 of the bulk actions: the sheets of the chosen orders on one page (R51)."""
    form = search_of_form()
    try:
        chosen = require_chosen(form)
        if len(chosen) > MOST_ORDERS:
            raise TooManyToPrint(len(chosen))
        rate_limits.count_export(current_user.id, request.remote_addr or "")
        prints = notes.of_orders(chosen, _amounts(request.form.get("amounts", "")))
    except TooMany as problem:
        return refused(form, TooManyToPrint(problem.count))
    except rate_limits.TooOften:
        raise
    except ShopError as problem:
        return refused(form, problem)
    activities.exported("delivery_notes", "納品書", count=prints.orders)
    return _page(prints, _back())


@bp.post("/bulk/picking")
@requires(Role.SHIPPER)
def print_picking() -> ResponseReturnValue:
    """ピッキングリスト of the chosen orders: what to take from the shelves (R145a)."""
    form = search_of_form()
    try:
        chosen = require_chosen(form)
        rate_limits.count_export(current_user.id, request.remote_addr or "")
        picking_list = picking.of_orders(chosen)
    except rate_limits.TooOften:
        raise
    except ShopError as problem:
        return refused(form, problem)
    activities.exported("picking_list", "ピッキングリスト", count=len(picking_list.orders))
    return render_template(
        "delivery_notes/picking.html",
        picking=picking_list,
        back=_back(),
        shop=settings.load(),
        now=utc_now(),
    )


@bp.get("/<order_no>/print")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def print_one(order_no: str) -> ResponseReturnValue:
    """The sheets of one order."""
    prints = notes.of_order(order_no, _amounts(request.args.get("amounts", "")))
    return _page(prints, url_for("order_detail.show", order_no=order_no))


def _back() -> str:
    return url_for("slips.index" if "slips_grid" in request.form else "order_search.show")


def _amounts(word: str) -> PaperAmounts | None:
    """金額あり or 金額なし, as it is switched on the page; None: by the settings."""
    return PaperAmounts(word) if word in list(PaperAmounts) else None


def _page(prints: Prints, back: str) -> str:
    return render_template(
        "delivery_notes/page.html", prints=prints, back=back, today=jst_day(utc_now())
    )
