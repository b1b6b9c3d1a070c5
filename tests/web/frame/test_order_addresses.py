"""An order's number is no address of a screen, and no screen hides an order (R142)."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from sgpshop.domain.order_number import RESERVED
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Role
from tests.factories import fresh, make_order
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.api_calls import ORDERS, Program, new_order, problem
from tests.web.order_detail.test_one_token import form_on


def test_every_screen_under_orders_is_reserved(app: Flask) -> None:
    words = {
        rule.rule.split("/")[2] for rule in app.url_map.iter_rules() if rule.rule[:8] == "/orders/"
    }
    assert {word for word in words if re.fullmatch("[A-Za-z0-9]{1,24}", word)} == RESERVED


@pytest.mark.parametrize("number", sorted(RESERVED))
def test_a_program_cannot_hand_in_an_order_of_that_number(
    app: Flask, world: World, number: str
) -> None:
    program = Program(app)
    said = problem(program.post(ORDERS, new_order(world, order_no=number)), 422, "invalid")
    assert said["errors"] == [
        {
            "pointer": "/order_no",
            "detail": "この語は注文番号に使えません(画面のアドレスと重なります)。",
        }
    ]
    assert world.requests(number) == []


def test_the_api_document_says_so(app: Flask) -> None:
    schemas = app.test_client().get("/api/v1/openapi.json").get_json()["components"]["schemas"]
    assert schemas["NewOrderBody"]["properties"]["order_no"]["not"] == {"enum": sorted(RESERVED)}


@pytest.mark.parametrize("number", sorted(RESERVED))
def test_one_taken_in_before_is_found_opened_and_captured(
    app: Flask, world: World, number: str
) -> None:
    operator = signed_in(app, Role.OPERATOR)
    with app.app_context():
        order = make_order(order_no=number, access=world.authorize(number, 3000))
    url = f"/orders/-{number}"
    assert f'href="{url}"' in operator.get(f"/orders?order_no={number}").text
    assert f'data-order-no="{number}"' in operator.get(url).text
    form = form_on(operator.get(f"{url}/capture").text, f"{url}/capture")
    answer = operator.post(f"{url}/capture", data=form)
    assert (answer.status_code, answer.location) == (303, url)
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_other_orders_keep_their_addresses(app: Flask, world: World) -> None:
    operator = signed_in(app, Role.OPERATOR)
    with app.app_context():
        order = make_order(order_no="P1")
    assert 'href="/orders/P1"' in operator.get("/orders?order_no=P1").text
    assert f'data-order-no="{order.order_no}"' in operator.get("/orders/P1").text
