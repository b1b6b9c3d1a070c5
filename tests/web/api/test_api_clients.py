"""The OpenAPI document is one that tools take: it is valid, and a client made from it does the work."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from flask import Flask
from openapi_spec_validator import validate

from sgpshop.services import settings
from sgpshop.web.api.document import document
from sgpshop.web.frame.problem_codes import CODES
from tests.gateway_world import DECLINED_CARD, World
from tests.web.api_calls import ORDERS, Program, make_key, new_order

_NAME, _MODELS = "shop_client_of_the_test", "shop_models_of_the_test"


def test_the_document_is_valid() -> None:
    validate(document())  # type: ignore[arg-type]


def test_every_operation_lists_what_it_refuses_and_describes_its_parameters() -> None:
    assert "(R" not in json.dumps(document())  # rules of ours say nothing outside
    for path, operations in document()["paths"].items():
        for name, operation in operations.items():
            if name == "parameters":
                continue
            assert {"400", "401", "403", "405", "429", "500", "503"} <= set(operation["responses"])
            for parameter in [*operation.get("parameters", []), *operations.get("parameters", [])]:
                assert parameter.get("description"), (path, parameter["name"])
    refused = str(document()["paths"])
    assert [code for code in CODES if code not in refused] == []


def test_every_field_is_described_and_answers_have_room_for_later_ones() -> None:
    schemas = document()["components"]["schemas"]
    assert [
        f"{model}.{name}"
        for model, schema in schemas.items()
        for name, field in schema.get("properties", {}).items()
        if not field.get("description")
    ] == []
    closed = {model for model, schema in schemas.items() if "additionalProperties" in schema}
    assert closed == {model for model in schemas if model.endswith("Body")}


@pytest.fixture(scope="module")
def client_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The client that openapi-python-client makes of the document."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(document()))
    command = Path(sys.executable).parent / "openapi-python-client"
    subprocess.run(
        [command, "generate", "--path", "openapi.json", "--output-path", _NAME, "--meta", "none"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


class Client:
    """The generated client, calling the app of the test."""

    def __init__(self, app: Flask) -> None:
        made = importlib.import_module(f"{_NAME}.client")
        self.models = importlib.import_module(f"{_NAME}.models")
        self._client = made.AuthenticatedClient(base_url="http://localhost/api/v1", token="")
        self._client.set_httpx_client(
            httpx.Client(
                transport=httpx.WSGITransport(app=app),
                base_url="http://localhost/api/v1",
                headers={"Authorization": f"Bearer {make_key(app)}"},
            )
        )

    def call(self, operation: str, *path: str, **more: Any) -> Any:
        """The status, and the answer as the client understands it."""
        api = importlib.import_module(f"{_NAME}.api.default.{operation}")
        answer = api.sync_detailed(*path, client=self._client, **more)
        assert answer.parsed is not None, answer
        return answer.status_code, answer.parsed


@pytest.fixture
def client(app: Flask, world: World, client_package: Path) -> Client:
    with app.app_context():
        settings.save("test", enabled="True")
    return Client(app)


def test_checkout_search_capture_and_fulfilment(world: World, client: Client) -> None:
    models = client.models
    body = new_order(world)
    status, order = client.call("create", body=models.NewOrderBody.from_dict(body))
    assert (status, order.payment_status) == (201, models.PaymentStatus.AUTHORIZED)
    status, declined = client.call(
        "create", body=models.NewOrderBody.from_dict(new_order(world, DECLINED_CARD.number))
    )
    assert (status, declined.code) == (402, "declined")

    status, page = client.call("search")
    assert (status, [one.order_no for one in page.orders]) == (200, [body["order_no"]])
    status, page = client.call("search", changed_since="")
    assert [one.order_no for one in page.orders] == [body["order_no"]]

    seen = models.CaptureBody(version=order.version, amount=order.total)
    status, order = client.call("capture", body["order_no"], body=seen)
    assert (status, order.captured_amount) == (200, 2500)

    parcel = {"status": "delivered", "carrier_code": "002", "slip_numbers": ["1234"]}
    told = {"orders": [{"order_no": body["order_no"], "parcels": [parcel]}]}
    status, done = client.call("fulfil", body=models.FulfilmentBody.from_dict(told))
    assert (status, done.failed) == (200, 0)
    status, order = client.call("show", body["order_no"])
    assert order.deliveries[0].slip_numbers == ["1234"]
    status, events = client.call("events")
    assert [event.type_ for event in events.events][-1] == "delivery"


def test_defaults_that_are_written_out_say_nothing(app: Flask, client: Client) -> None:
    program = Program(app)
    written_out = "date_field=ordered_at&q=&unsent=0&sort=ordered_at&dir=desc&size=40"
    for query in (written_out, f"{written_out}&changed_since="):
        assert program.get(f"{ORDERS}?{query}").status_code == 200


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The models that datamodel-code-generator makes of the document."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "openapi.json").write_text(json.dumps(document()))
    command = Path(sys.executable).parent / "datamodel-codegen"
    options = "--input openapi.json --input-file-type openapi --set-default-enum-member"
    kind = "--output-model-type pydantic_v2.BaseModel --target-python-version 3.11 --formatters builtin"
    subprocess.run(
        [command, *options.split(), *kind.split(), "--output", f"{_MODELS}.py"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    sys.path.insert(0, str(folder))
    yield importlib.import_module(_MODELS)
    sys.path.remove(str(folder))


def test_the_same_with_models_alone(app: Flask, world: World, models: ModuleType) -> None:
    with app.app_context():
        settings.save("test", enabled="True")
    program = Program(app)

    def post(path: str, body: Any) -> Any:
        return program.post(path, json.loads(body.model_dump_json(by_alias=True))).get_json()

    body = models.NewOrderBody.model_validate(new_order(world))
    order = models.OrderAnswer.model_validate(post(ORDERS, body))
    assert order.payment_status is models.PaymentStatus.authorized
    other = models.NewOrderBody.model_validate(new_order(world, DECLINED_CARD.number))
    assert models.ProblemAnswer.model_validate(post(ORDERS, other)).code is models.Code.declined

    page = models.OrdersAnswer.model_validate(program.get(ORDERS).get_json())
    assert [one.order_no for one in page.orders] == [order.order_no]

    seen = models.CaptureBody(version=order.version, amount=order.total)
    order = models.OrderAnswer.model_validate(post(f"{ORDERS}/{order.order_no}/capture", seen))
    assert order.captured_amount == 2500

    parcel = {"status": "delivered", "carrier_code": "002", "slip_numbers": ["1234"]}
    told = {"orders": [{"order_no": order.order_no, "parcels": [parcel]}]}
    done = post("/api/v1/fulfilments", models.FulfilmentBody.model_validate(told))
    assert models.FulfilmentAnswer.model_validate(done).failed == 0
    events = models.EventsAnswer.model_validate(program.get("/api/v1/events").get_json())
    assert events.events[-1].type is models.EventKind.delivery
