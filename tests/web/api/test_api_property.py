"""The OpenAPI document is true (S14, T7): requests made from it, and against it, find nothing.

Every status that comes back is described, every answer is as its schema says, whatever breaks the
schema is refused, nothing is a 5xx.  `make soak` makes more; API_EXAMPLES=400: 2,000 in all.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from sgpshop.extensions import db
from sgpshop.services import settings as shop_settings
from sgpshop.services.payments import gateway_access
from tests.conftest import make_app
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.web.api_calls import ORDERED_AT, make_key, token

EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))
UNLIMITED = dict.fromkeys(
    ("API_REQUESTS_PER_KEY", "API_REQUESTS_PER_ADDRESS", "API_SEARCHES_PER_KEY"), 10**6
)
#: Not asked: whether all that fits the schema is accepted (sums and order numbers have to fit each
#: other, 1.0 is no integer of ours), and made-up keys in place of ours.
NOT_ASKED = {"positive_data_acceptance", "ignored_auth", "object_level_authorization"}
#: In a query [1] and 1 are the same text, so what was made to break the schema may not do so; what
#: a query must not hold is in test_api.py.
NOT_ASKED_OF_QUERIES = NOT_ASKED | {"negative_data_rejection"}


class Api:
    """An app with its document, and a key for everything."""

    def __init__(self, app: Flask, world: World) -> None:
        self.world = world
        self.headers = {"Authorization": f"Bearer {make_key(app)}"}
        self.schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
        load_all_checks()
        self._app = app

    def make_orders(self) -> list[str]:
        """The numbers of a dozen new orders."""
        with self._app.app_context():
            return [authorized_order(self.world, total=2500).order_no for _ in range(12)]


@pytest.fixture(scope="module")
def api(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    (folder / "sgpshop.db").write_bytes(empty_database.read_bytes())
    app = make_app(folder, PUBLIC_URL="https://shop.example.jp", **UNLIMITED)
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        shop_settings.save("test", site_id="tsite00000001", shop_id="tshop00000001", enabled="True")
    yield Api(app, world)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize(
    "label",
    [
        "GET /orders",
        "GET /orders/{order_no}",
        "POST /orders",
        "POST /orders/{order_no}/capture",
        "POST /orders/{order_no}/cancel",
        "POST /orders/{order_no}/amount",
        "POST /fulfilments",
        "GET /events",
    ],
)
def test_what_the_document_says_is_so(api: Api, label: str) -> None:
    [operation] = [
        found.ok() for found in api.schema.get_all_operations() if found.ok().label == label
    ]
    not_asked = NOT_ASKED_OF_QUERIES if label.startswith("GET") and "{" not in label else NOT_ASKED
    left_out = [check for check in CHECKS.get_all() if check.__name__ in not_asked]
    numbers = api.make_orders() if "order_no" in label else []
    statuses: Counter[int] = Counter()

    fits = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    anything = fits | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    choices = st.integers(0, 35)

    def holds(case: Case, choice: int) -> None:
        _make_fitting(api, numbers, case, choice)
        answer = case.call(headers=api.headers)
        case.validate_response(answer, excluded_checks=left_out)
        statuses[answer.status_code] += 1

    # Which are made up depends on the modules that are loaded, too: of the first there may be none
    # that can be done.
    for cases, chosen in ((anything, choices), (fits, choices.filter(_is_made_fitting))):
        _examples(given(case=cases, choice=chosen)(holds))()
    assert min(statuses) < 300, statuses  # the valid ones do something


_examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="API_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def _is_made_fitting(choice: int) -> bool:
    return choice % 3 != 0


def _whole(value: Any) -> Any:
    """Integers as a JSON integer: to a schema 276.0 is one too, to us it is none (S14)."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _make_fitting(api: Api, numbers: list[str], case: Case, choice: int) -> None:
    """In two of three that fit the schema: an order that is there, the right sum, a card that pays."""
    assert case.meta is not None
    if case.meta.generation.mode is not GenerationMode.POSITIVE or not _is_made_fitting(choice):
        return
    body = case.body if isinstance(case.body, dict) else {}
    if "order_no" in (case.path_parameters or {}):
        case.path_parameters["order_no"] = numbers[choice // 3]
    if "version" in body:
        body.update(version=1, amount=2500)
    for order in body.get("orders", ()):  # of a fulfilment
        order.pop("version", None)
    if "items" not in body:
        return
    case.body = body = _whole(body)
    body["ordered_at"] = ORDERED_AT.isoformat()  # most generated days no order can have
    # What a schema cannot say: which hosts a buyer may be sent to, and that tax adds to the sum.
    if "return_url" in body:
        body["return_url"] = "https://shop.example.jp/thanks"
    body.pop("prices_include_tax", None)
    for item in body["items"]:  # a sum that a card can pay
        item.update(unit_price=min(item["unit_price"], 9_999), quantity=min(item["quantity"], 9))
    items = sum(item["unit_price"] * item["quantity"] for item in body["items"])
    fees = body.get("shipping_fee", 0) + body.get("handling_fee", 0)
    less = sum(body.get(name, 0) for name in ("discount", "coupon", "points_used"))
    body["total"] = max(1, min(9_999_999, int(items + fees - less)))
    if choice % 2:
        body.pop("deliveries", None)
        if body["kind"] != "subscription" or "subscription" not in body:
            body.pop("subscription", None)
            body["kind"] = "normal"
    body["payment"] = {"token": token(api.world)}  # no member that is made up can pay
