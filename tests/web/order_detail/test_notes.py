"""社内メモ and 対応状況: on the order, in its history, and as a condition of the list."""

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


def note(operator: FlaskClient, order: Order, handling: str, memo: str) -> TestResponse:
    address = f"/orders/{order.order_no}"
    form = dict(form_of(operator.get(address), f"{address}/notes").fields)
    typed = form | {"handling": handling, "memo": memo}
    return operator.post(f"{address}/notes", data=typed, follow_redirects=True)


def test_what_was_noted_stands_on_the_order_and_in_its_history(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    page = note(operator, order, "contacted", "電話した。\r\n明日かけ直す")
    assert "記録しました。" in page.text
    assert (
        "田中さんが記録しました(対応状況 未対応 → 連絡済み、社内メモ 電話した。 明日かけ直す)"
        in page.text
    )
    with app.app_context():
        assert fresh(order).memo == "電話した。\n明日かけ直す"


def test_signs_that_nobody_sees_are_refused(
    app: Flask, operator: FlaskClient, order: Order
) -> None:  # S25
    page = note(operator, order, "contacted", "電話\x07した")
    assert page.status_code == 422
    assert "社内メモ:使用できない文字が含まれています。" in page.text
    with app.app_context():
        assert fresh(order).memo == ""


def test_the_list_finds_what_is_on_hold_and_says_so(
    app: Flask, operator: FlaskClient, order: Order, world: World
) -> None:
    with app.app_context():
        other = authorized_order(world)
    note(operator, order, "on_hold", "")
    found = operator.get("/orders?handling=on_hold").text
    assert order.order_no in found
    assert other.order_no not in found
    assert '<span class="badge">保留</span>' in found
    assert "対応状況:" in found


def test_a_word_that_is_none_and_a_long_memo_are_refused_with_what_was_typed(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    assert note(operator, order, "closed", "x").status_code == 422
    page = note(operator, order, "open", "長" * 1001)
    assert page.status_code == 422
    assert "長" * 1001 in page.text
    with app.app_context():
        assert fresh(order).memo == ""


def test_viewers_read_and_do_not_write(app: Flask, operator: FlaskClient, order: Order) -> None:
    note(operator, order, "contacted", "見えるメモ")
    viewer = signed_in(app, Role.VIEWER, "閲覧")
    page = viewer.get(f"/orders/{order.order_no}").text
    assert "見えるメモ" in page
    assert f"/orders/{order.order_no}/notes" not in page
