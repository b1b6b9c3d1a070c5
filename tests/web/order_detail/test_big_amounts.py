"""More than ¥1,000,000 is captured only with a second confirmation, by every way (S21)."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, Role
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.services.acting import correct, effects
from tests.signing_in import signed_in
from tests.web.api_calls import ORDERS, Program, problem
from tests.web.order_detail.test_one_token import form_on

BIG, NOT_BIG = 1_000_001, 1_000_000
MISSING = "確認欄にチェックを入れてください"


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


def big_order(app: Flask, world: World, *, total: int = BIG, corrected: int = 0) -> Order:
    with app.app_context():
        order = authorized_order(world, total=total)
        return correct(order, corrected) if corrected else order


#: the page with the confirmation, where it is sent, and whether the total was corrected before
WAYS = {
    "実売上処理": ("capture", "capture", False),
    "実売上処理して配送完了": ("deliver", "capture", False),
    "送信して実売上処理": ("send-and-capture", "send-and-capture", True),
    "送信して実売上処理, in 注文内容修正": ("edit/send", "edit/send", True),
}


@pytest.mark.parametrize("way", WAYS)
def test_one_big_order_is_captured_only_when_confirmed_twice(
    app: Flask, operator: FlaskClient, world: World, way: str
) -> None:
    page_of, act, is_corrected = WAYS[way]
    order = big_order(
        app, world, total=BIG + 500 if is_corrected else BIG, corrected=BIG * is_corrected
    )
    url = f"/orders/{order.order_no}"
    page = operator.get(f"{url}/{page_of}").text
    assert 'name="sum_confirmed"' in page
    assert "¥1,000,001 の請求に間違いありません" in page
    form = form_on(page, f"{url}/{act}")
    refused = operator.post(f"{url}/{act}", data=form)
    assert (refused.status_code, MISSING in refused.text) == (422, True)
    with app.app_context():
        assert effects(world, order) == []
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED
    assert operator.post(f"{url}/{act}", data=form | {"sum_confirmed": "1"}).status_code == 303
    with app.app_context():
        assert effects(world, order)[-1] == ("SALES", BIG)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_a_million_itself_needs_none(app: Flask, operator: FlaskClient, world: World) -> None:
    order = big_order(app, world, total=NOT_BIG)
    url = f"/orders/{order.order_no}/capture"
    page = operator.get(url).text
    assert "sum_confirmed" not in page
    assert operator.post(url, data=form_on(page, url)).status_code == 303
    with app.app_context():
        assert effects(world, order) == [("SALES", NOT_BIG)]


def test_sending_a_big_change_alone_needs_none(
    app: Flask, operator: FlaskClient, world: World
) -> None:
    order = big_order(app, world, total=BIG + 500, corrected=BIG)
    url = f"/orders/{order.order_no}"
    form = form_on(operator.get(f"{url}/edit").text, f"{url}/edit/send")
    assert operator.post(f"{url}/edit/send", data=form).status_code == 303
    with app.app_context():
        assert effects(world, order) == [("CHANGE", BIG)]


#: the page with the button, where it is sent, and whether it is captured too
INCREASES = {
    "変更内容をSMBC-GPに送信": ("", "/send-changes", False),
    "変更内容をSMBC-GPに送信, in 注文内容修正": ("/edit", "/edit/send", False),
    "送信して実売上処理": ("/send-and-capture", "/send-and-capture", True),
    "送信して実売上処理, in 注文内容修正": ("/edit/send", "/edit/send", True),
}


@pytest.mark.parametrize("way", INCREASES)
def test_an_increase_is_sent_only_when_confirmed_as_in_bulk(
    app: Flask, operator: FlaskClient, world: World, way: str
) -> None:
    page_of, act, captures = INCREASES[way]
    order = big_order(app, world, total=3000, corrected=3500)
    url = f"/orders/{order.order_no}"
    page = operator.get(f"{url}{page_of}").text
    assert "増額(+¥500)" in page
    form = form_on(page, f"{url}{act}")
    refused = operator.post(f"{url}{act}", data=form)
    assert (refused.status_code, MISSING in refused.text) == (422, True)
    with app.app_context():
        assert effects(world, order) == []
    assert operator.post(f"{url}{act}", data=form | {"sum_confirmed": "1"}).status_code == 303
    with app.app_context():
        assert effects(world, order) == [("CHANGE", 3500), *[("SALES", 3500)] * captures]


def test_a_program_says_so_in_a_field_of_its_own(app: Flask, world: World) -> None:
    program = Program(app)
    order = big_order(app, world)
    path = f"{ORDERS}/{order.order_no}/capture"
    body = {"version": order.version, "amount": order.total}
    for refused in (body, body | {"confirm_large_amount": False}):
        problem(program.post(path, refused), 422, "large_amount_not_confirmed")
    with app.app_context():
        assert effects(world, order) == []
    answer = program.post(path, body | {"confirm_large_amount": True})
    assert answer.get_json()["payment_status"] == "captured"
    with app.app_context():
        assert effects(world, order) == [("SALES", BIG)]


def test_the_api_document_tells_of_that_field(app: Flask) -> None:
    document = app.test_client().get("/api/v1/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    field = schemas["CaptureBody"]["properties"]["confirm_large_amount"]
    assert "1,000,000 yen" in field["description"]
    assert "confirm_large_amount" not in schemas["CancelBody"]["properties"]


def test_a_cancel_of_a_big_order_needs_no_such_confirmation(app: Flask, world: World) -> None:
    program = Program(app)
    order = big_order(app, world)
    body = {"version": order.version, "amount": order.total}
    answer = program.post(f"{ORDERS}/{order.order_no}/cancel", body)
    assert answer.get_json()["payment_status"] == "cancelled"
