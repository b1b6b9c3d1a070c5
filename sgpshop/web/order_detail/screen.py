"""The screen 詳細注文情報, rendered for every view that shows it whole or in part."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.errors import ShopError
from sgpshop.domain.history import sentence
from sgpshop.domain.order_acts import Act, button
from sgpshop.models import Attempt, Order, utc_now
from sgpshop.services import settings
from sgpshop.services.order_detail.detail import get_detail
from sgpshop.services.payments import attempt_lookup, transaction_numbers
from sgpshop.services.payments.cancelling import money_effect
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.payments.transactions import standing
from sgpshop.web.frame.fragments import wants_fragment, with_messages
from sgpshop.web.frame.looking import hurry_if_uncertain, may_act

#: A planned look-up is worth waiting for if it comes within this.
_SOON = timedelta(seconds=60)

#: Confirmations that open in the panel お届け先・伝票番号 rather than in that of the payment.
_PARCEL_ASKS = (Act.DELIVER.value, Act.RETURN.value, "statuses", "waive", "refunded")


def render(
    order_no: str,
    *,
    asking: Act | str = "",
    needs: Act | None = None,
    refusal: ShopError | None = None,
    **more: Any,
) -> ResponseReturnValue:
    """The whole screen, or with HTMX the part that changes.

    `asking` opens the confirmation of that name (template `_ask_<name>.html`), if the button of
    the act `needs` is enabled, by default that of the same name; `refusal` is shown on top and
    gives the status.  Raises NotFound.
    """
    detail = get_detail(order_no)
    order = detail.order
    hurry_if_uncertain(order.open_attempt)
    shop = settings.load()
    now = utc_now()
    buttons = {act: button(act, order, shop, now) for act in Act}
    gate = needs or (asking if isinstance(asking, Act) else None)
    if not may_act() or (gate is not None and not buttons[gate].is_enabled):
        asking = ""
    page = render_template(
        "order_detail/_order.html" if wants_fragment() else "order_detail/show.html",
        detail=detail,
        order=order,
        shop=shop,
        buttons=buttons,
        Act=Act,
        asking=str(asking),
        refusal=refusal,
        consoles=console_links(shop),
        tell=sentence,
        carriers=CARRIERS,
        may_act=may_act(),
        is_looking=_is_looking(order),
        effect=money_effect(order),
        left=transaction_numbers.left_elsewhere(order.id) if asking == Act.CANCEL else "",
        standing=standing,
        may_close_by_hand=may_act() and _may_close_by_hand(order.open_attempt),
        parcel_asks=_PARCEL_ASKS,
        **more,
    )
    return make_response(with_messages(page), refusal.status if refusal else 200)


def done(order_no: str, *, notice: str = "") -> ResponseReturnValue:
    """After an act: the changed part with HTMX, else a redirect to the screen.

    `notice` is a sentence to be shown there.
    """
    if notice:
        flash(notice, "success")
    if wants_fragment():
        return render(order_no)
    return redirect(url_for("order_detail.show", order_no=order_no), code=303)


def _is_looking(order: Order) -> bool:
    """Whether a look-up is under way or about to be made: the screen then renews itself."""
    planned = order.transaction.next_look_at if order.transaction else None
    return planned is not None and planned <= utc_now() + _SOON


def _may_close_by_hand(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt_lookup.may_close_by_hand(attempt, utc_now())
