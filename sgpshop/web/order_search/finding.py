"""The search box that is on every page (`/find`): one order is opened, several are listed."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from sgpshop.models import Role
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.order_search.criteria import LONGEST_WORD
from sgpshop.services.order_search.search import the_one
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import requires

bp = Blueprint("finding", __name__)


@bp.get("/find")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def find() -> ResponseReturnValue:
    """What somebody typed, whatever it is, in all periods (R35a)."""
    word = " ".join(request.args.get("q", "").split())[:LONGEST_WORD]
    order_no = the_one(word) if word else None
    if order_no is not None:
        return redirect(url_for("order_detail.show", order_no=order_no))
    return redirect(url_for("order_search.show", q=word or None))
