"""Somebody looks at an order: what they see and may do, and a look-up that must not wait."""

from __future__ import annotations

from typing import Any

from flask_login import current_user

from sgpshop.domain import rights
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.errors import ShopError
from sgpshop.domain.history import sentence
from sgpshop.domain.order_acts import Act, button
from sgpshop.domain.order_rules import Button
from sgpshop.domain.second_look import is_on
from sgpshop.models import Attempt, Role, utc_now
from sgpshop.services import settings
from sgpshop.services.order_detail.detail import Detail, get_detail
from sgpshop.services.payments import attempt_lookup
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.payments.second_look import waiting_of_order
from sgpshop.storage.queue import Task, tell_now

Buttons = dict[Act, Button]


def may_act(role: Role = Role.OPERATOR) -> bool:
    """Whether the signed-in person may act on orders: on all, or so far as `role` may (R150)."""
    return bool(current_user.may_act_as(role))


def may_capture_with_slips() -> bool:
    """Whether this person may register slip numbers with a capture."""
    is_usual = settings.load().capture_on_slip
    return rights.may_capture_with_slips(current_user.role, is_usual=is_usual)


def require_captures_with_slips() -> None:
    """Raises ShopError where this person may not."""
    if not may_capture_with_slips():
        raise ShopError(
            "発送担当は、実売上処理を同時に行えません。担当者が行うか、オーナーが設定の「実売り同時処理」を"
            "「利用する」にしてください。伝票番号の登録と配送完了は、実売上処理なしで行えます。"
        )


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
            "approvals": waiting_of_order(detail.order.id) if is_on(shop) else [],
            "may_act": may_act(),
            "may_ship": may_act(Role.SHIPPER),
            "may_capture_with_slips": may_capture_with_slips(),
        },
    )
