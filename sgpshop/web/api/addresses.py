"""Every address of the API, who may call it (S4) and which function answers, loaded by its first call.

What the API takes and answers is written down in models of pydantic: 10 MB and 0.15 s, which a shop
without programs never pays for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from flask import Blueprint, Response

from sgpshop.models import Scope
from sgpshop.web.api.access import needs
from sgpshop.web.frame.security import for_machines

#: module -> method, address, function, and the scope a key needs; None: everybody may ask
ADDRESSES: dict[str, list[tuple[str, str, str, Scope | None]]] = {
    "orders": [
        ("GET", "/orders", "search", Scope.READ),
        ("GET", "/orders/<order_no>", "show", Scope.READ),
        ("POST", "/orders", "create", Scope.INTAKE),
    ],
    "money": [
        ("POST", "/orders/<order_no>/capture", "capture", Scope.CAPTURE),
        ("POST", "/orders/<order_no>/cancel", "cancel", Scope.CAPTURE),
        ("POST", "/orders/<order_no>/amount", "change_amount", Scope.CHANGE),
        ("POST", "/orders/<order_no>/extend", "extend", Scope.CHANGE),
        ("POST", "/orders/<order_no>/refund-difference", "refund_difference", Scope.CAPTURE),
    ],
    "events": [("GET", "/events", "show", Scope.READ)],
    "fulfilments": [
        ("POST", "/fulfilments", "create", Scope.FULFIL),
        ("GET", "/fulfilments/<run_id>", "show", Scope.FULFIL),
    ],
    "document": [("GET", "/openapi.json", "show", None)],
}
#: which of them count against the limit of searches, too
_SEARCHES = {("orders", "search"), ("events", "show")}


def blueprints() -> Iterator[Blueprint]:
    """One for each module."""
    for module, addresses in ADDRESSES.items():
        bp = Blueprint(f"api_{module}", __name__, url_prefix="/api/v1")
        for method, address, name, scope in addresses:
            is_search = (module, name) in _SEARCHES
            mark = needs(scope, is_search=is_search) if scope else for_machines
            bp.add_url_rule(address, name, mark(_late(module, name)), methods=[method])
        yield bp


def _late(module: str, name: str) -> Callable[..., Response]:
    """What answers, once it is called."""

    def answer(**parts: str) -> Response:
        found: Response = getattr(import_module(f"{__package__}.{module}"), name)(**parts)
        return found

    return answer
