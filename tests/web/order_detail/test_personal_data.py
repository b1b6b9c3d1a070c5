"""この購入者の情報 on 詳細注文情報: written out or erased when the person asks for it (S12a)."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.personal_data import ERASED
from sgpshop.models import Order, Role
from tests.factories import fresh, make_order
from tests.forms import token_of
from tests.signing_in import PASSWORD, signed_in
from tests.web.pages import flat
from tests.web.settings.test_people_screen import let_time_pass


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


@pytest.fixture
def orders(app: Flask) -> list[Order]:
    """One that is over and one still to be captured, of the same member."""
    more = {"told": True, "member_id": "M7", "buyer": "高梨 葵"}
    with app.app_context():
        return [
            make_order(
                order_no="P1",
                status=PaymentStatus.CAPTURED,
                processing_class=ProcessingClass.DELIVERED,
                **more,
            ),
            make_order(order_no="P2", **more),
        ]


URL = "/orders/P1/personal-data"


def post(owner: FlaskClient, act: str, *numbers: str, **fields: str) -> TestResponse:
    data = {"csrf_token": token_of(owner.get(URL)), "order": list(numbers)} | fields
    return owner.post(f"{URL}/{act}", data=data)


def names(app: Flask, orders: list[Order]) -> list[str]:
    with app.app_context():
        return [fresh(order).buyer_name for order in orders]


def test_what_is_over_goes_and_what_is_not_says_why_it_stays(
    app: Flask, owner: FlaskClient, orders: list[Order]
) -> None:
    assert "この購入者の情報を書き出す・消す" in owner.get("/orders/P1").text
    page = flat(owner.get(URL))
    assert "同じところ" in page
    assert "決済が「仮売上」です" in page
    answer = post(owner, "erase", "P1", "P2", confirmed="1")
    assert (answer.status_code, answer.location) == (303, URL)
    page = flat(owner.get(URL))
    assert "注文1件から購入者の情報を消しました" in page
    assert "注文 P2 の情報は残しました。決済が「仮売上」です" in page
    assert "消去済み" in page
    assert names(app, orders) == [ERASED, "高梨 葵"]
    assert "店長さんが、購入者の情報を消去しました" in flat(owner.get("/orders/P1"))


def test_only_orders_of_the_same_name_are_ticked_at_first(
    app: Flask, owner: FlaskClient, orders: list[Order]
) -> None:
    with app.app_context():
        make_order(order_no="P3", told=True, member_id="M7", buyer="高梨 司")  # the family's
    ticked = re.findall(r'value="(P\d)" (checked)?', owner.get(URL).text)
    assert sorted(ticked) == [("P1", "checked"), ("P2", "checked"), ("P3", "")]


def test_nothing_goes_without_a_choice_a_confirmation_and_the_password(
    app: Flask, owner: FlaskClient, orders: list[Order]
) -> None:
    make_other(app)
    for numbers, fields, why in (
        ((), {"confirmed": "1"}, "注文を1件以上選んでください"),
        (("P9",), {"confirmed": "1"}, "注文を1件以上選んでください"),  # of somebody else
        (("P1",), {}, "元に戻せないことの確認"),
    ):
        answer = post(owner, "erase", *numbers, **fields)
        assert answer.status_code == 422
        assert why in flat(answer)
    let_time_pass(app)
    assert post(owner, "erase", "P1", confirmed="1").status_code == 422  # S5
    assert names(app, orders) == ["高梨 葵", "高梨 葵"]
    sent = {"confirmed": "1", "current_password": PASSWORD}
    assert post(owner, "erase", "P1", **sent).status_code == 303
    assert names(app, orders) == [ERASED, "高梨 葵"]


def make_other(app: Flask) -> None:
    with app.app_context():
        make_order(
            order_no="P9",
            status=PaymentStatus.CANCELLED,
            told=True,
            buyer="鈴木",
            processing_class=ProcessingClass.CANCELLED,
        )


@pytest.mark.usefixtures("orders")
def test_it_is_written_out(owner: FlaskClient) -> None:
    answer = post(owner, "export", "P1", "P2")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="personal-data-P1.csv"'
    text = answer.data.decode("utf-8-sig")
    assert "P1,注文者,高梨 葵" in text
    assert "P2,会員ID,M7" in text
    assert post(owner, "export").status_code == 422


@pytest.mark.usefixtures("orders")
def test_it_is_the_owners(app: Flask) -> None:
    operator = signed_in(app, Role.OPERATOR)
    assert "書き出す・消す" not in operator.get("/orders/P1").text
    assert operator.get(URL).status_code == 403
    assert signed_in(app, Role.OWNER).get("/orders/P404/personal-data").status_code == 404
