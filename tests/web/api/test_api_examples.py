"""The examples of the OpenAPI document work as they stand, each on the order of the first one."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from sgpshop.services import settings
from sgpshop.web.api.document import document
from tests.gateway_world import World
from tests.web.api_calls import Program, problem

PATHS: dict[str, Any] = document()["paths"]
CREATE = PATHS["/orders"]["post"]
ORDER_NO = PATHS["/orders/{order_no}"]["parameters"][0]["example"]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"PUBLIC_URL": "https://shop.example.jp"}


@pytest.fixture
def program(app: Flask, world: World) -> Program:
    """Somebody who has read the document, at a shop like that of `make run`."""
    with app.app_context():
        settings.save("test", enabled="True", extend_auth_enabled="True")
    return Program(app)


def sent(operation: dict[str, Any]) -> Any:
    return operation["requestBody"]["content"]["application/json"]["example"]


def shape(value: Any) -> Any:
    """Names and kinds, without what differs from order to order."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value)


def created(program: Program) -> Any:
    answer = program.post("/api/v1/orders", sent(CREATE), again="example")
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def test_an_order_is_taken_in_and_answered_as_it_says(program: Program) -> None:
    said = created(program)
    example = CREATE["responses"]["201"]["content"]["application/json"]["example"]
    events, of_example = said.pop("payment_events"), example["payment_events"]
    assert [event.keys() for event in events[-1:]] == [event.keys() for event in of_example]
    assert shape(said) == shape({name: example[name] for name in said})
    assert said.keys() | {"payment_events"} == example.keys()
    seen = {"version", "total", "payment_status", "buyer", "items", "deliveries", "buyer_text"}
    assert {name: said[name] for name in seen} == {name: example[name] for name in seen}


@pytest.mark.parametrize(
    "path", [path for path in PATHS if "post" in PATHS[path] and path != "/orders"]
)
def test_what_is_asked_of_it(program: Program, path: str) -> None:
    created(program)
    where = f"/api/v1{path}".format(order_no=ORDER_NO)
    answer = program.post(where, sent(PATHS[path]["post"]), again="example-2")
    if path.endswith("refund-difference"):  # no more was captured than the total
        problem(answer, 422, "not_possible")
        return
    example = PATHS[path]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert (answer.status_code, answer.get_json().keys()) == (200, example.keys()), answer.text


def test_what_is_read(program: Program) -> None:
    created(program)
    for path in ("/orders", f"/orders/{ORDER_NO}", "/events"):
        assert program.get(f"/api/v1{path}").status_code == 200


def test_a_webhook_tells_what_the_list_of_events_tells(program: Program) -> None:
    created(program)
    example = document()["webhooks"]["orderEvent"]["post"]["requestBody"]["content"]
    told = program.get("/api/v1/events").get_json()["events"]
    assert told[-1].keys() == example["application/json"]["example"]["data"].keys()
