"""Programs that call the JSON API in tests: keys of all scopes, bodies; answers are checked by their client."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_calendar import JST
from sgpshop.models import Scope, utc_now
from sgpshop.services.access import api_keys
from tests.factories import order_number
from tests.gateway_world import World

ORDERS = "/api/v1/orders"
#: Yesterday morning: a search that names no days asks for those of the last week.
ORDERED_AT = (utc_now().astimezone(JST) - timedelta(days=1)).replace(
    hour=10, minute=15, second=0, microsecond=0
)
_names = itertools.count(1)


def make_key(app: Flask, *scopes: Scope) -> str:
    """A new key; without `scopes` it is good for everything."""
    with app.app_context():
        return api_keys.create(f"カート{next(_names)}", scopes or tuple(Scope), by="店長")


class Program:
    """Another program with its key."""

    def __init__(self, app: Flask, *scopes: Scope) -> None:
        self.key = make_key(app, *scopes)
        self._client: FlaskClient = app.test_client(use_cookies=False)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self._send("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self._send("POST", path, **({} if body is None else {"json": body}), **more)

    def _send(
        self, method: str, path: str, *, again: str = "", headers: Any = None, **more: Any
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        if again:
            sent["Idempotency-Key"] = again
        return self._client.open(path, method=method, headers=sent, **more)


def new_order(world: World, card_no: str = "4111111111111111", **changes: Any) -> dict[str, Any]:
    """The body of interfaces.md §5 with a fresh card token and `changes`."""
    return {
        "order_no": order_number(),
        "ordered_at": ORDERED_AT.isoformat(),
        "kind": "normal",
        "buyer": {"name": "佐藤 花子", "email": "h@example.jp", "member_id": None},
        "items": [
            {"code": "A-1", "name": "煎茶", "unit_price": 1000, "quantity": 2, "tax_rate": 8}
        ],
        "shipping_fee": 500,
        "total": 2500,
        "payment": {"token": token(world, card_no)},
        "three_ds": "required" if changes.get("return_url") else "none",
    } | changes


def token(world: World, card_no: str = "4111111111111111") -> str:
    """A one-time card token, as the token script would make it."""
    answer = world.simulator.test_client().post(
        "/_control/tokens", json={"card_no": card_no, "expire": "4912"}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["token"])


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document that `answer` must be."""
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), (
        answer.text
    )
    said = answer.get_json()
    assert (said["status"], said["code"]) == (status, code), said
    assert said["type"] == f"urn:sgpshop:problem:{code}"
    assert said["request_id"] == answer.headers["X-Request-Id"]
    return dict(said)
