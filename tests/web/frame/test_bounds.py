"""Numbers and days at the ends of what there is: a sentence, never a fault of ours (S14, S22)."""

from __future__ import annotations

import base64
import itertools
import json
from datetime import timedelta

import pytest
from flask import Flask

from sgpshop.domain.order_acts import REVIEW_LOCK
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Role, utc_now
from tests.factories import make_order
from tests.forms import token_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.api_calls import ORDERS, Program

HUGE = ["2147483648", "9223372036854775808", "9" * 400, "9" * 1900]


def test_an_id_in_an_address_that_no_row_can_have_is_not_found(app: Flask) -> None:
    owner = signed_in(app, Role.OWNER)
    rules = [rule for rule in app.url_map.iter_rules() if "<int" in rule.rule]
    assert len(rules) >= 4
    for rule, number in itertools.product(rules, HUGE):
        path = rule.rule.replace("<order_no>", "P1")
        path = "".join([path.partition("<")[0], number, path.rpartition(">")[2]])
        for method in rule.methods & {"GET", "POST"}:
            assert owner.open(path, method=method).status_code in (404, 405), (method, path)


@pytest.mark.parametrize("act", ["capture", "cancel", "send-changes"])
def test_a_number_of_an_act_form_that_cannot_be_is_refused_with_words(
    app: Flask, world: World, act: str
) -> None:
    operator = signed_in(app, Role.OPERATOR)
    with app.app_context():
        order = make_order()
    token = token_of(operator.get(f"/orders/{order.order_no}"))
    form = {"csrf_token": token, "version": "1", "amount": "2500", "request_token": "a" * 32}
    numbers = [*HUGE, "-1", "1.5", "1e3", "nan", "٣", ""]
    for field, number in itertools.product(["version", "amount"], numbers):
        answer = operator.post(f"/orders/{order.order_no}/{act}", data=form | {field: number})
        assert answer.status_code in (409, 422), (field, number)
        assert "画面を開き直して" in answer.text, (field, number)


@pytest.mark.parametrize("act", ["capture", "cancel"])
def test_a_number_in_json_that_cannot_be_is_a_problem_document(
    app: Flask, world: World, act: str
) -> None:
    with app.app_context():
        order = make_order()
    program = Program(app)
    numbers = [2**31, 2**63, 10**14, 10**40]
    for at, (field, number) in enumerate(itertools.product(["version", "amount"], numbers)):
        body = {"version": 1, "amount": 2500, field: number}
        answer = program.post(f"{ORDERS}/{order.order_no}/{act}", body, again=f"x{at}")
        assert answer.status_code in (400, 422), (field, number)
        assert answer.mimetype == "application/problem+json"


def _cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize("year", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("offset", ["+09:00", "-09:00", "+00:00", ""])
def test_a_cursor_at_the_end_of_time_leads_to_the_first_page(
    app: Flask, world: World, year: str, offset: str
) -> None:
    operator = signed_in(app, Role.OPERATOR)
    moment = f"{year}T{'00:00:00' if year < '2' else '23:59:59'}{offset}"
    mine = _cursor("ordered_at", True, moment, 1, False)
    assert operator.get(f"/orders?cursor={mine}").status_code in (200, 422)
    assert operator.get(f"/preorders?cursor={_cursor(year, 1, False)}").status_code in (200, 422)
    assert operator.get(f"/subscriptions?cursor={_cursor(moment, 1, False)}").status_code in (
        200,
        422,
    )
    answer = Program(app).get(f"{ORDERS}?cursor={mine}")
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2100-01-01"])
def test_a_key_cannot_be_good_until_the_end_of_time(app: Flask, day: str) -> None:
    owner = signed_in(app, Role.OWNER)
    form = {
        "csrf_token": token_of(owner.get("/settings/api-keys")),
        "name": "カート",
        "scopes": "read",
        "last_day": day,
        "request_token": "b" * 32,
    }
    answer = owner.post("/settings/api-keys", data=form)
    assert answer.status_code == 422


def test_an_order_dated_in_the_far_future_can_be_cancelled_today(app: Flask, world: World) -> None:
    operator = signed_in(app, Role.OPERATOR)
    with app.app_context():
        soon = make_order(ordered_at=utc_now(), status=PaymentStatus.NEEDS_REVIEW)
        order = make_order(
            ordered_at=utc_now() + timedelta(days=26_000), status=PaymentStatus.NEEDS_REVIEW
        )
    assert timedelta(0) < REVIEW_LOCK
    assert "購入者が手続き中" in operator.get(f"/orders/{soon.order_no}").text
    assert "購入者が手続き中" not in operator.get(f"/orders/{order.order_no}").text
