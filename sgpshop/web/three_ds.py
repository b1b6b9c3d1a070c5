"""Where a buyer's browser comes back from 3-D Secure (`/three-ds/<number>/<mark>`).

It belongs to a buyer, not to one of our people: no session, no cookie.  What it carries is believed
only as far as our own mark and the stored AccessID go; whether the buyer passed, SMBC-GP says.
"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from sgpshop.services import intake
from sgpshop.services.payments import three_ds
from sgpshop.web.frame.networks import from_anywhere
from sgpshop.web.frame.security import for_machines

bp = Blueprint("three_ds", __name__)


@bp.route(f"{three_ds.PATH}/<gateway_order_id>/<mark>", methods=["POST"])
@from_anywhere
@for_machines
def come_back(gateway_order_id: str, mark: str) -> ResponseReturnValue:
    """Finish the payment and send the buyer on to the shop's own page."""
    access_id = request.form.get("AccessID", "")
    returned = intake.come_back(gateway_order_id, mark, access_id)
    if returned.url:
        return redirect(returned.url, code=303)
    return render_template("three_ds/ended.html", returned=returned)
