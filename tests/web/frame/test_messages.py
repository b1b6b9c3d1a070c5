"""What was just done is said in one place: beside a swapped piece as on a page loaded whole."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Order, Role, utc_now
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat

TODAY = jst_day(utc_now()).isoformat()
HTMX = {"HX-Request": "true"}
ACTS: list[tuple[str, dict[str, str], str]] = [
    ("deliver", {"delivery_number": "0"}, "配送完了にしました。"),
    (
        "return",
        {"delivery_number": "0", "returned_on": TODAY, "reason": "受取拒否"},
        "返送処理をしました。",
    ),
    (
        "statuses",
        {"delivery_number": "0", "delivery_status": "preparing"},
        "ステータスを変更しました。",
    ),
    ("reconcile", {}, "状態(仮売上)と金額(3,000円)は一致しています。"),
    ("edit/total", {"total": "2500"}, "合計金額を修正しました。"),
    ("edit/total", {"total": "3000"}, "変更はありませんでした。修正として"),
]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False, "ANSWER_WAIT": 10.0}


@pytest.fixture
def operator(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    with app.app_context():
        return authorized_order(world, total=3000)


def messages(page: str) -> str:
    """The place where messages stand, or nothing if the answer leaves it alone."""
    found = re.search(r'<div id="messages".*?</div>', page)
    return found[0] if found else ""


def press(
    operator: FlaskClient, order: Order, act: str, typed: dict[str, str], headers: dict[str, str]
) -> str:
    seen = {"version": 1, "amount": 3000, "request_token": secrets.token_hex(16)}
    answer = operator.post(
        f"/orders/{order.order_no}/{act}",
        data=seen | typed,
        headers=headers,
        follow_redirects=True,
    )
    assert answer.status_code == 200, answer.text
    return flat(answer)


@pytest.mark.parametrize(("act", "typed", "words"), ACTS, ids=[f"{a}-{w}" for a, _, w in ACTS])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["whole page", "piece"])
def test_the_same_words_at_the_same_place(
    operator: FlaskClient,
    order: Order,
    act: str,
    typed: dict[str, str],
    words: str,
    headers: dict[str, str],
) -> None:
    page = press(operator, order, act, typed, headers)
    said = messages(page)
    assert words in said
    assert page.count(words) == 1
    assert 'data-say data-land tabindex="-1" autofocus' in said
    assert ("hx-swap-oob" in said) is bool(headers)  # the piece itself is swapped elsewhere


def test_a_piece_that_renews_itself_leaves_the_words_and_the_next_act_takes_them_away(
    operator: FlaskClient, order: Order
) -> None:
    press(operator, order, "deliver", {"delivery_number": "0"}, HTMX)
    renewed = operator.get(f"/orders/{order.order_no}", headers=HTMX)
    assert messages(flat(renewed)) == ""
    late = operator.post(
        f"/orders/{order.order_no}/return",
        data={"version": 1, "amount": 3000, "request_token": "f" * 32}
        | {"delivery_number": "0", "returned_on": TODAY},
        headers=HTMX,
    )
    assert late.status_code == 409
    assert "配送完了にしました" not in messages(flat(late))
    assert "hx-swap-oob" in messages(flat(late))
