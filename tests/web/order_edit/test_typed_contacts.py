"""A phone number that is none is not saved; an odd mail address is, and told (B20)."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.models import Order, Role
from tests.factories import authorized_order, fresh
from tests.forms import form_of
from tests.gateway_world import World
from tests.signing_in import signed_in


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world)


def save(operator: FlaskClient, order: Order, **typed: str) -> TestResponse:
    address = f"/orders/{order.order_no}/edit"
    form = dict(form_of(operator.get(address), address).fields)
    return operator.post(address, data=form | typed, follow_redirects=True)


@pytest.mark.parametrize("typed", ["abc", "電話なし", "12345", "03-0000-000x@"])
def test_what_is_no_phone_number_is_kept_in_the_field_and_not_saved(
    app: Flask, operator: FlaskClient, order: Order, typed: str
) -> None:
    page = save(operator, order, buyer_tel=typed)
    assert page.status_code == 422
    assert "市外局番から" in page.text
    assert f'value="{typed}"' in page.text
    with app.app_context():
        assert fresh(order).buyer_tel != typed


@pytest.mark.parametrize(
    "typed", ["03-1234-5678", "０９０１２３４５６７８", "+81 90 1234 5678", "03-1234-5678 内線12"]
)
def test_numbers_as_people_write_them_are_taken(
    operator: FlaskClient, order: Order, typed: str
) -> None:
    assert "注文内容の変更を保存しました。" in save(operator, order, buyer_tel=typed).text


def test_an_odd_mail_address_is_saved_and_told(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    page = save(operator, order, buyer_email="hanako.example.jp")
    assert "メールアドレスの形ではないようです" in page.text
    with app.app_context():
        assert fresh(order).buyer_email == "hanako.example.jp"
