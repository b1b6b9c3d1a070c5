"""予約 (`/preorders`): preorders by the day they are to be shipped (R113)."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import CursorInvalid
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.order_search import preorders
from sgpshop.services.order_search.preorders import ListedPreorder, PreorderTab
from sgpshop.services.subscriptions.use import in_use_question
from sgpshop.storage.keyset import Page
from sgpshop.storage.questions import answers
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import requires

bp = Blueprint("preorders", __name__, url_prefix="/preorders")


@bp.get("")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """One tab of the list, the ones to be shipped first on top."""
    word = request.args.get("tab", "")
    tab = PreorderTab(word) if word in list(PreorderTab) else PreorderTab.OPEN
    found, error = _search(tab)
    shop = settings.load()
    overdue, _ = answers(preorders.overdue(), in_use_question())  # the latter by the menu
    return render_template(
        "preorders/index.html",
        shop=shop,
        tab=tab,
        tabs=list(PreorderTab),
        Tab=PreorderTab,
        totals=preorders.tab_totals(overdue),
        found=found,
        error=error,
        # The list of orders shows just these rows, with the ticks that are set here.
        conditions=urlencode(
            {
                "from": "",
                "to": "",
                "order_no": " ".join(row.order.order_no for row in found.rows),
                "size": "100",
            }
        ),
        may_run_bulk=current_user.may_act_as(Role.OPERATOR) and shop.has_contract,
    )


def _search(tab: PreorderTab) -> tuple[Page[ListedPreorder], str]:
    try:
        return preorders.search(tab, request.args.get("cursor", "")[:200]), ""
    except CursorInvalid as problem:
        return preorders.search(tab), problem.message
