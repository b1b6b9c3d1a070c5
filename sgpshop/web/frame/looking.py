"""Somebody looks at an order: what they see and may do, and a look-up that must not wait."""

from __future__ import annotations

from typing import Any

from flask_login import current_user

from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.history import sentence
from sgpshop.domain.order_acts import Act, button
from sgpshop.domain.order_rules import Button
from sgpshop.models import Attempt, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.order_detail.detail import Detail, get_detail
from sgpshop.services.payments import attempt_lookup
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.storage.queue import Task, tell_now

Buttons = dict[Act, Button]


def may_act() -> bool:
    """Whether the signed-in person may act on orders (R150)."""
    return bool(current_user.may_act_as(Role.OPERATOR))


def _hurry_if_uncertain(attempt: Attempt | None) -> None:
    """Somebody looks at an uncertain order: a worker looks it up now (P13)."""
    if attempt is not None and attempt_lookup.is_uncertain(attempt):
        tell_now(Task.HURRY, attempt.id)


def looked_at(order_no: str) -> tuple[Detail, Buttons, dict[str, Any]]:
    """The order, its buttons, and both with all else that its templates ask for.  Raises NotFound.

    An operation in doubt is looked up now: somebody looks.
    """
    detail = get_detail(order_no)
    _hurry_if_uncertain(detail.order.open_attempt)
    shop, now = settings.load(), utc_now()
    buttons = {act: button(act, detail.order, shop, now) for act in Act}
    return (
        detail,
        buttons,
        {
            "detail": detail,
            "order": detail.order,
            "shop": shop,
            "buttons": buttons,
            "Act": Act,
            "consoles": console_links(shop),
            "carriers": CARRIERS,
            "tell": sentence,
            "may_act": may_act(),
        },
    )
