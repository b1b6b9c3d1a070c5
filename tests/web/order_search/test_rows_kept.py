"""A row of the list that was shown is shown again only while all it says is still so (web/frame/order_row.py)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.handling import Handling
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, OrderLine, Role, utc_now
from sgpshop.storage.database import writing
from sgpshop.web.frame import formatters
from tests.factories import make_order
from tests.forms import token_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.order_search.test_order_search import row

ALL = "/orders?from=&to="


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        access = world.authorize("P000000000000777777", 3000)
        made = make_order(total=3000, access=access, authorized_at=utc_now() - timedelta(days=10))
        make_order(order_no="P000000000000888888")
        return made


def shown(client: FlaskClient, order: Order) -> str:
    return row(client.get(ALL).text, order)


def payment(order: Order, **values: Any) -> None:
    for name, value in values.items():
        setattr(order.transaction, name, value)


CHANGES: list[tuple[Callable[[Order], object], str]] = [
    (lambda o: setattr(o, "buyer_name", "鈴木 <b>一郎</b>"), "鈴木 &lt;b&gt;一郎&lt;/b&gt;"),
    (lambda o: setattr(o, "total", 2500), "¥2,500"),
    (lambda o: setattr(o.lines[0], "name", "玉露"), "玉露"),
    (
        lambda o: o.lines.append(OrderLine(position=2, name="茶筒", unit_price=1, quantity=1)),
        "他1点",
    ),
    (lambda o: setattr(o.deliveries[0], "slip_no", "123456789012"), "123456789012"),
    (lambda o: setattr(o.deliveries[0], "name", "贈り先"), "贈り先 様へ"),
    (lambda o: setattr(o, "handling", Handling.ON_HOLD.value), "保留"),
    (lambda o: payment(o, auth_expires_at=utc_now() + timedelta(days=3)), "あと3日"),
    (lambda o: payment(o, gateway_amount=2000), "¥2,000"),
    (lambda o: setattr(o, "payment_status", PaymentStatus.CANCELLED), "chip is-cancelled"),
]


def test_what_changed_is_shown_at_once(app: Flask, operator: FlaskClient, order: Order) -> None:
    for change, words in CHANGES:
        assert words not in shown(operator, order)
        with app.app_context(), writing() as session:
            change(session.get_one(Order, order.id))
        assert words in shown(operator, order)


def test_the_day_on_which_a_hold_comes_near_passes_and_the_year(
    monkeypatch: pytest.MonkeyPatch, operator: FlaskClient, order: Order
) -> None:
    before = shown(operator, order)
    assert "あと" not in before
    for days, words in ((47, "あと"), (51, "期限切れ")):
        later = utc_now() + timedelta(days=days)
        monkeypatch.setattr(formatters, "utc_now", lambda later=later: later)
        assert words in shown(operator, order)
    later = utc_now() + timedelta(days=800)
    monkeypatch.setattr(formatters, "utc_now", lambda: later)
    assert f"{order.ordered_at.year}/" in shown(operator, order)


def test_hours_of_an_order_in_review_are_counted_each_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch, operator: FlaskClient, order: Order
) -> None:
    with app.app_context(), writing() as session:
        session.get_one(Order, order.id).payment_status = PaymentStatus.NEEDS_REVIEW
    for hours in (3, 9):
        later = order.ordered_at + timedelta(hours=hours, minutes=1)
        monkeypatch.setattr(formatters, "utc_now", lambda later=later: later)
        assert f"{hours}時間経過" in shown(operator, order)


def test_ticks_rights_and_the_moment_shown_are_of_each_page(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    assert "売上日時" not in shown(operator, order)
    page = operator.get(f"{ALL}&choose_all=1").text
    assert " checked" in row(page, order)
    assert " checked" not in shown(operator, order)
    posted = {"csrf_token": token_of(operator.get(ALL)), "conditions": "from=&to=", "do": "count"}
    posted["order_no"] = order.order_no
    ticked = operator.post("/orders/bulk/selection", data=posted).text
    assert " checked" in row(ticked, order)
    assert "checkbox" not in shown(signed_in(app, Role.VIEWER), order)
    assert "checkbox" in shown(operator, order)
    with app.app_context(), writing() as session:
        payment(session.get_one(Order, order.id), captured_at=utc_now())
    assert "注文日時" in shown(operator, order)
    by_capture = operator.get("/orders?date_field=captured_at&from=&to=").text
    assert "売上日時" in row(by_capture, order)


def test_another_order_of_the_same_number_is_shown_as_it_is(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    assert "佐藤 花子" in shown(operator, order)
    with app.app_context(), writing() as session:
        session.get_one(Order, order.id).order_no = "P000000000000666666"
    with app.app_context():
        other = make_order(order_no=order.order_no, buyer="高橋 次郎", method="銀行振込")
    found = shown(operator, other)
    assert "高橋 次郎" in found
    assert "佐藤" not in found
