"""The screen 詳細注文情報, rendered for every view that shows it whole or in part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from sgpshop.domain.errors import ShopError
from sgpshop.domain.money_effect import money_effect
from sgpshop.domain.order_acts import (
    REFUND_CLASSES,
    Act,
    is_refund_open,
    may_waive_cancel,
    status_change,
)
from sgpshop.domain.order_rules import taken_too_much
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Attempt, Order, Role, utc_now
from sgpshop.services.order_detail import letters
from sgpshop.services.order_search import search
from sgpshop.services.orders import money_movements
from sgpshop.services.payments import attempt_lookup, transaction_numbers
from sgpshop.services.payments.transactions import standing
from sgpshop.web.frame.formatters import waiting
from sgpshop.web.frame.looking import Buttons, looked_at, may_act
from sgpshop.web.frame.pieces import wants_fragment, with_messages

#: A planned look-up is worth waiting for if it comes within this.
_SOON = timedelta(seconds=60)
#: Who captured an order goes on to the next one within this.
_GOES_ON = timedelta(minutes=10)


def _enabled(act: Act) -> Callable[[Order, Buttons], bool]:
    return lambda _order, buttons: buttons[act].is_enabled


#: Confirmations that open in the panel お届け先・伝票番号, and when each is offered.
PARCEL_CONFIRMATIONS: dict[str, Callable[[Order, Buttons], bool]] = {
    Act.DELIVER.value: _enabled(Act.DELIVER),
    "ship": _enabled(Act.DELIVER),
    Act.RETURN.value: _enabled(Act.RETURN),
    "statuses": lambda order, _buttons: status_change(order).is_enabled,
    "waive-cancel": lambda order, _buttons: may_waive_cancel(order),
    "refunded": lambda order, _buttons: is_refund_open(order),
}
#: What who only ships may do with a parcel (R150); all else is for who handles payments.
_SHIPPING = frozenset({"slips", "ship", Act.DELIVER, Act.RETURN, "statuses"})
#: All of them; the others open in the panel of the payment.
CONFIRMATIONS = PARCEL_CONFIRMATIONS | {
    Act.CAPTURE.value: _enabled(Act.CAPTURE),
    "send-and-capture": _enabled(Act.SEND_CHANGES),
    Act.EXTEND.value: _enabled(Act.EXTEND),
    Act.REFUND_DIFFERENCE.value: _enabled(Act.REFUND_DIFFERENCE),
    Act.CANCEL.value: _enabled(Act.CANCEL),
    "close-uncertain": lambda order, _buttons: order.open_attempt is not None,
}


def role_for(act: str) -> Role:
    """Whose right an act of this screen needs."""
    return Role.SHIPPER if act in _SHIPPING else Role.OPERATOR


def render(
    order_no: str, *, asking: str = "", refusal: ShopError | None = None, **more: Any
) -> ResponseReturnValue:
    """The whole screen, or with HTMX the part that changes.

    `asking` opens the confirmation of that name (template `_ask_<name>.html`), if it is offered;
    `refusal` is shown on top and gives the status.  Raises NotFound.
    """
    detail, buttons, shared = looked_at(order_no)
    order = detail.order
    if asking and not (may_act(role_for(asking)) and CONFIRMATIONS[asking](order, buttons)):
        asking = ""
    shop = shared["shop"]
    # The buyer may still be paying (R20).
    is_early = order.payment_status is PaymentStatus.NEEDS_REVIEW and not waiting(
        order, shop.needs_review_alert_hours
    )
    refund_left, refund_preset = _refundable(order)
    page = render_template(
        "order_detail/_order.html" if wants_fragment() else "order_detail/show.html",
        **shared,
        asking=str(asking),
        refusal=refusal,
        is_looking=_is_looking(order),
        effect=money_effect(order),
        letter=None if is_early else letters.letter(order, detail.problem, shop),
        refund_left=refund_left,
        refund_preset=refund_preset,
        next_to_capture=search.next_to_capture(order) if _was_just_captured(order) else None,
        left=transaction_numbers.left_elsewhere(order.id) if asking == Act.CANCEL else "",
        standing=standing,
        may_close_by_hand=may_act() and _may_close_by_hand(order.open_attempt),
        parcel_asks=PARCEL_CONFIRMATIONS,
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


def _refundable(order: Order) -> tuple[int, int]:
    """Yen that can still go back by another way, and what is proposed: of what was reported as sold (R104)."""
    if order.payment_status is not PaymentStatus.BILLING_REPORTED:
        return 0, 0
    left = money_movements.left_of(order)
    is_whole = order.processing_class in REFUND_CLASSES
    return left, left if is_whole else min(left, taken_too_much(order))


def _is_looking(order: Order) -> bool:
    """Whether a look-up is under way or about to be made: the screen then renews itself."""
    planned = order.transaction.next_look_at if order.transaction else None
    return planned is not None and planned <= utc_now() + _SOON


def _was_just_captured(order: Order) -> bool:
    """Whether somebody is likely to go on to the next order: this one was captured a moment ago."""
    at = order.transaction.captured_at if order.transaction else None
    is_captured = may_act() and order.payment_status is PaymentStatus.CAPTURED
    return is_captured and at is not None and at > utc_now() - _GOES_ON


def _may_close_by_hand(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt_lookup.may_close_by_hand(attempt, utc_now())
