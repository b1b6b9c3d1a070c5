"""The screen 予約 (`/preorders`), and a preorder on 詳細注文情報 (R110-R113)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Operation, Order, Role
from tests.factories import make_order
from tests.forms import hidden_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.services.order_search.test_preorders_list import ordered
from tests.services.payments.test_preorders import declining, preorder
from tests.signing_in import signed_in
from tests.web.pages import flat

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False, "QUIET_PERIOD": 0.0}


@pytest.fixture
def operator(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    """To be shipped in two days, without a date, and overdue."""
    with app.app_context():
        return [ordered(2, total=500), ordered(None, total=60), ordered(-3, total=7)]


def shown(page: str) -> list[str]:
    return re.findall(r'<tr id="row-[^"]+" data-order-no="([^"]+)"', page)


def test_by_shipping_day_with_days_left(operator: FlaskClient, orders: list[Order]) -> None:
    soon, nobody_knows, late = orders
    page = flat(operator.get("/preorders"))
    assert shown(page) == [late.order_no, soon.order_no, nobody_knows.order_no]
    assert "あと2日" in page
    assert "3日超過・未決済" in page
    assert "未定" in page
    assert "最も早い配送希望日" in page  # what 出荷予定日 is
    assert 'data-payment-status="authorized" data-amount="500"' in page
    assert shown(flat(operator.get("/preorders?tab=overdue"))) == [late.order_no]
    assert "売上失敗の予約はありません" in flat(operator.get("/preorders?tab=failed"))


def test_odd_addresses_show_the_first_page(operator: FlaskClient, orders: list[Order]) -> None:
    assert len(shown(flat(operator.get("/preorders?tab=nonsense")))) == 3
    page = operator.get("/preorders?cursor=zzz")
    assert page.status_code == 200
    assert "ページの指定が正しくない" in page.text


def test_ticked_ones_go_on_to_bulk_processing(
    operator: FlaskClient, orders: list[Order]
) -> None:  # R40
    conditions = hidden_of(operator.get("/preorders"))["conditions"]
    answer = operator.post(
        "/orders/bulk/selection",
        data={
            "conditions": conditions,
            "do": "sgp_capture",
            "order_no": [orders[0].order_no, orders[1].order_no],
        },
    )
    listing = flat(answer)
    assert answer.status_code == 200
    assert sorted(shown(listing)) == sorted(order.order_no for order in orders)
    assert listing.count('autocomplete="off" checked') == 2
    assert "SGPカード決済" in listing[listing.index('id="bulk-bar"') :]


def test_a_viewer_reads(app: Flask, orders: list[Order]) -> None:
    page = signed_in(app, Role.VIEWER).get("/preorders").text
    assert orders[0].order_no in page
    assert 'name="order_no"' not in page
    assert "一括処理へ" not in page


def test_the_tile_is_there_only_when_one_is_overdue(
    app: Flask, operator: FlaskClient, world: World
) -> None:  # R155
    with app.app_context():
        make_order()
        ordered(5)
    assert "予約:出荷予定日超過</a>" not in operator.get("/").text
    with app.app_context():
        ordered(-1, total=777)
    page = flat(operator.get("/"))
    assert 'href="/preorders?tab=overdue"' in page
    assert "¥777" in page
    assert 'href="/preorders"' in page  # the menu


def test_on_the_order(app: Flask, operator: FlaskClient, world: World) -> None:  # R69, R111, R112
    with app.app_context():
        order = preorder(world)
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert "予約(有効性確認のみ)" in page
    assert "変更内容をSMBC-GPに送信</button>" not in page
    asked = flat(operator.get(f"/orders/{order.order_no}/capture"))
    assert "登録されたカードに、現在の合計金額 <b>¥3,000</b> を今すぐ請求します" in asked
    assert "断られることがあります" in asked


def test_after_a_decline_and_a_new_try(app: Flask, operator: FlaskClient, world: World) -> None:
    with app.app_context():
        order = declining(world)
    page = flat(operator.get(f"/orders/{order.order_no}"))
    error = page[page.index('id="payment-error"') :]
    assert "別のカードまたは別のお支払い方法" in error  # R112
    assert "42G550000" in error
    with app.app_context():
        press(order, Operation.CAPTURE)
    page = flat(operator.get(f"/orders/{order.order_no}"))
    found = re.findall(r'data-gateway-order-id="([^"]+)"', page)
    assert found == [order.order_no, f"{order.order_no}-1", f"{order.order_no}-2"]
    assert "予約(有効性確認のみ)" not in page


def test_with_nothing_ticked_the_list_stays_and_says_so(
    operator: FlaskClient, orders: list[Order]
) -> None:
    hidden = hidden_of(operator.get("/preorders"))
    answer = operator.post("/orders/bulk/selection", data={**hidden, "do": "sgp_capture"})
    assert answer.headers["Location"] == "/preorders?tab=open"
    assert "注文が選択されていません" in operator.get("/preorders?tab=open").text
