"""Somebody looks at an order: what they may do with it, and a look-up that must not wait."""

from __future__ import annotations

from flask import current_app
from flask_login import current_user

from sgpshop.models import Attempt, Role
from sgpshop.services.health import background
from sgpshop.services.payments import attempt_lookup


def may_act() -> bool:
    """Whether the signed-in person may act on orders (R150)."""
    return bool(current_user.may_act_as(Role.OPERATOR))


def hurry_if_uncertain(attempt: Attempt | None) -> None:
    """Somebody looks at an uncertain order: look it up now, in the background (P13)."""
    if attempt is not None and attempt_lookup.is_uncertain(attempt):
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        background.submit(app, attempt_lookup.hurry, attempt.id)
