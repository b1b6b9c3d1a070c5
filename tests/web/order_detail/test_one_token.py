"""A form's one-time token is good for one act on one order, and for nothing else (P19)."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Attempt, Order, Role, utc_now
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.forms import forms_of
from tests.gateway_world import World
from tests.services.acting import effects
from tests.signing_in import signed_in

USED = "すでに別の操作に使われています"


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world, told=True)


def form_on(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form on `page` that is sent to `action`."""
    found = [form.hidden for form in forms_of(page) if form.action == action]
    [hidden] = [one for one in found if "request_token" in one]
    return hidden


def capture_form(client: FlaskClient, order: Order) -> dict[str, str]:
    """What the confirmation of 実売上処理 carries."""
    url = f"/orders/{order.order_no}/capture"
    return form_on(client.get(url).text, url)


def now_seen(app: Flask, order: Order) -> dict[str, str]:
    """Version and total as an attentive person would see them now."""
    with app.app_context():
        now = fresh(order)
    return {"version": str(now.version), "amount": str(now.total)}


@pytest.mark.parametrize(
    ("act", "more"),
    [
        ("cancel", {"refund_confirmed": "1"}),
        ("capture", {"then_deliver": "1"}),
        ("deliver", {"delivery_number": "0"}),
        ("return", {"delivery_number": "0", "returned_on": "{today}"}),
        ("statuses", {"delivery_status-0": "instructed"}),
        ("edit/total", {"total": "2000"}),
        ("extend", {}),
        ("send-changes", {}),
        ("edit/send", {}),
    ],
)
def test_another_act_with_a_captures_token_is_refused_with_words(
    app: Flask, operator: FlaskClient, world: World, order: Order, act: str, more: dict[str, str]
) -> None:
    form = capture_form(operator, order)
    operator.post(f"/orders/{order.order_no}/capture", data=form)
    other = {name: text.format(today=f"{utc_now():%Y-%m-%d}") for name, text in more.items()}
    answer = operator.post(
        f"/orders/{order.order_no}/{act}", data=form | now_seen(app, order) | other
    )
    assert answer.status_code in (403, 409), act
    if answer.status_code == 409:
        assert USED in answer.text
    with app.app_context():
        now = fresh(order)
        assert now.payment_status is PaymentStatus.CAPTURED
        assert (now.processing_class, now.total) == (order.processing_class, order.total)
        assert effects(world, order) == [("SALES", 3000)]


def test_a_parcels_token_captures_and_cancels_nothing(
    app: Flask, operator: FlaskClient, world: World, order: Order
) -> None:
    url = f"/orders/{order.order_no}/deliver"
    form = form_on(operator.get(url).text, url)
    assert operator.post(url, data=form | {"delivery_number": "0"}).status_code == 303
    for act in ("capture", "cancel"):
        answer = operator.post(f"/orders/{order.order_no}/{act}", data=form | now_seen(app, order))
        assert (answer.status_code, USED in answer.text) == (409, True), act
    with app.app_context():
        assert effects(world, order) == []


def test_the_same_form_filled_in_otherwise_is_another_act(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    """Back, another total, 確定: never 「修正しました」 for what was not done."""
    url = f"/orders/{order.order_no}/edit"
    form = form_on(operator.get(f"{url}/total").text, f"{url}/total")
    assert operator.post(f"{url}/total", data=form | {"total": "2000"}).status_code == 303
    again = operator.post(f"{url}/total", data=form | {"total": "2000"}, follow_redirects=True)
    assert again.status_code == 200
    other = operator.post(f"{url}/total", data=form | {"total": "2500"})
    assert (other.status_code, USED in other.text) == (409, True)
    assert "合計金額を修正しました。" not in other.text
    with app.app_context():
        assert fresh(order).total == 2000


def test_a_token_is_good_for_one_order(
    app: Flask, operator: FlaskClient, world: World, order: Order
) -> None:
    with app.app_context():
        other = authorized_order(world)
    form = capture_form(operator, order)
    operator.post(f"/orders/{order.order_no}/capture", data=form)
    answer = operator.post(f"/orders/{other.order_no}/capture", data=form | now_seen(app, other))
    assert (answer.status_code, USED in answer.text) == (409, True)
    with app.app_context():
        assert effects(world, other) == []


def test_every_form_on_a_page_has_a_token_of_its_own(
    app: Flask, operator: FlaskClient, order: Order
) -> None:
    for page in ("", "/deliver", "/capture", "/edit"):
        tokens = re.findall(
            r'name="request_token" value="(\w+)"',
            operator.get(f"/orders/{order.order_no}{page}").text,
        )
        assert len(tokens) == len(set(tokens)), page


def test_two_acts_soon_after_each_other_from_different_pages_are_one_request_each(
    app: Flask, operator: FlaskClient, world: World, order: Order
) -> None:
    """Two pages open: the second act is told of the first; opened anew, it is carried out, once."""
    capture, url = capture_form(operator, order), f"/orders/{order.order_no}/cancel"
    cancel = form_on(operator.get(url).text, url) | {"refund_confirmed": "1"}
    assert operator.post(f"/orders/{order.order_no}/capture", data=capture).status_code == 303
    stale = operator.post(url, data=cancel)
    assert (stale.status_code, "開いている間に更新されました" in stale.text) == (409, True)
    anew = form_on(operator.get(url).text, url) | {"refund_confirmed": "1"}
    for _ in range(2):  # double click
        assert operator.post(url, data=anew).status_code == 303
    for form, act in ((capture, "capture"), (anew, "cancel")):  # both pages once more
        assert operator.post(f"/orders/{order.order_no}/{act}", data=form).status_code == 303
    with app.app_context():
        assert effects(world, order) == [("SALES", 3000), ("VOID", 3000)]
        assert fresh(order).payment_status is PaymentStatus.CANCELLED


def test_a_token_from_before_an_upgrade_still_shows_the_first_result(
    app: Flask, operator: FlaskClient, world: World, order: Order
) -> None:
    form = capture_form(operator, order)
    operator.post(f"/orders/{order.order_no}/capture", data=form)
    with app.app_context(), writing() as session:
        session.execute(sa.update(Attempt).values(request_act=None))
    assert operator.post(f"/orders/{order.order_no}/capture", data=form).status_code == 303
    with app.app_context():
        assert effects(world, order) == [("SALES", 3000)]
