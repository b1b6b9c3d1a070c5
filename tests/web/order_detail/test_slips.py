"""伝票番号 on 詳細注文情報: one parcel, paid or not, alone or with 配送完了 and the capture (R30, R82)."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, Role
from tests.factories import authorized_order, fresh
from tests.forms import forms_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat

S, D = PaymentStatus, DeliveryStatus


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world, total=3000)


def register(
    operator: FlaskClient, order: Order, slips: str, then: str = "", carrier: str = "002"
) -> TestResponse:
    """Type into the fields of the only parcel and press one of its buttons."""
    page = operator.get(f"/orders/{order.order_no}")
    [form] = [one for one in forms_of(page) if "slips" in one.fields]
    typed = dict(form.fields) | {"slips": slips, "carrier_code": carrier, "then": then}
    return operator.post(f"/orders/{order.order_no}/slips", data=typed, follow_redirects=True)


def confirm(operator: FlaskClient, page: TestResponse, then: str) -> TestResponse:
    forms = [dict(one.fields) for one in forms_of(page)]
    [form] = [one for one in forms if one.get("then") == then and "confirmed" in one]
    return operator.post(page.request.path, data=form, follow_redirects=True)


def test_slips_of_an_unpaid_parcel_are_registered_in_one_press(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    page = register(operator, order, "1234-5678 1234-5679、1234-5680")
    assert "伝票番号を登録しました。" in page.text
    assert "クロネコヤマト 1234-5678・1234-5679・1234-5680" in page.text  # in the history
    with app.app_context():
        [parcel] = fresh(order).deliveries
        assert (parcel.carrier_code, parcel.slip_no) == ("002", "1234-5678")
        assert parcel.more_slips == "1234-5679 1234-5680"
        assert fresh(order).payment_status is S.AUTHORIZED
        assert parcel.status is D.UNPROCESSED


def test_registered_and_delivered_without_a_capture_is_asked_for_first(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    asked = register(operator, order, "1234", "deliver")
    assert "未売上のまま配送完了にする" in flat(asked)
    with app.app_context():
        assert fresh(order).deliveries[0].slip_no == ""
    confirm(operator, asked, "deliver")
    with app.app_context():
        [parcel] = fresh(order).deliveries
        assert (parcel.slip_no, parcel.status) == ("1234", D.DELIVERED)
        assert fresh(order).payment_status is S.AUTHORIZED


def test_registered_delivered_and_captured_in_one_go(
    app: Flask, operator: FlaskClient, order: Order, world: World
) -> None:
    asked = register(operator, order, "1234", "capture")
    assert "¥3,000 を売上処理して配送完了" in flat(asked)
    assert world.sales(order.order_no) == 0
    confirm(operator, asked, "capture")
    with app.app_context():
        [parcel] = fresh(order).deliveries
        assert (parcel.slip_no, parcel.status) == ("1234", D.DELIVERED)
        assert fresh(order).payment_status is S.CAPTURED
    assert world.sales(order.order_no) == 1


def test_the_same_confirmation_sent_twice_captures_once(
    operator: FlaskClient, order: Order, world: World
) -> None:
    asked = register(operator, order, "1234", "capture")
    confirm(operator, asked, "capture")
    confirm(operator, asked, "capture")
    assert world.sales(order.order_no) == 1


def test_a_number_that_is_none_is_kept_in_the_field_with_what_is_wrong(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    page = register(operator, order, "12_34")
    assert page.status_code == 422
    assert 'value="12_34"' in page.text
    assert "半角の英数字とハイフン" in page.text
    with app.app_context():
        assert fresh(order).deliveries[0].slip_no == ""


def test_the_last_company_is_chosen_for_the_next_order(
    app: Flask, operator: FlaskClient, order: Order, world: World
) -> None:
    register(operator, order, "1234", carrier="003")
    with app.app_context():
        another = authorized_order(world)
    assert '<option value="003" selected>' in operator.get(f"/orders/{another.order_no}").text
