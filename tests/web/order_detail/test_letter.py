"""A declined card: the buyer is asked first, with a text that is ready, and then the order is 連絡済み."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.gateway import for_buyer
from sgpshop.models import Operation, Order, Role
from tests.factories import authorized_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import signed_in


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


def refused(app: Flask, world: World, error: str) -> Order:
    with app.app_context():
        order = authorized_order(
            world, total=35_000, buyer="山田 太郎", buyer_email="taro@example.jp"
        )
        world.fault(f"error:{error}", order_id=order.order_no)
        press(order, Operation.CAPTURE)
        return order


def primary(page: TestResponse) -> list[str]:
    """The words of the buttons that are pressed first."""
    return re.findall(r"is-primary[^>]*>([^<]+)<", page.text)


def test_a_text_for_the_buyer_is_ready_and_comes_before_another_try(
    app: Flask, world: World, operator: FlaskClient
) -> None:
    order = refused(app, world, "42G550000")
    page = operator.get(f"/orders/{order.order_no}")
    assert primary(page) == ["購入者にメールを書く"]
    [link] = re.findall(r'href="(mailto:[^"]+)"', page.text)
    address = urlsplit(unescape(link))
    sent = {name: text for name, [text] in parse_qs(address.query).items()}
    assert address.path == "taro@example.jp"
    assert order.order_no in sent["subject"]
    assert sent["body"].startswith("山田 太郎 様\r\n")
    assert "合計 35,000円" in sent["body"]
    assert "カード会社の承認を得られなかったため" in sent["body"]
    assert "代金は請求されていません" in sent["body"]
    assert "42G" not in sent["body"]


def test_once_the_buyer_was_asked_it_can_be_tried_again(
    app: Flask, world: World, operator: FlaskClient
) -> None:
    order = refused(app, world, "42G550000")
    address = f"/orders/{order.order_no}"
    form = form_of(operator.get(address), f"{address}/notes").fields
    page = operator.post(f"{address}/notes", data=form, follow_redirects=True)
    assert "連絡済み" in page.text
    assert primary(page) == ["SGPカード実売上処理"]


def test_what_the_buyer_cannot_mend_is_not_written_to_them(
    app: Flask, world: World, operator: FlaskClient
) -> None:
    order = refused(app, world, "E01030002")  # our own password
    page = operator.get(f"/orders/{order.order_no}")
    assert "mailto:" not in page.text
    assert primary(page) == ["SGPカード実売上処理"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("42G020000", "承認を得られなかった"),
        ("42G830000", "ご登録内容"),
        ("E01260010", "ご利用いただけなかった"),
        ("M01060010", "有効期限が過ぎた"),
        ("E92000001", ""),
        ("E11010001", ""),
        ("XX", ""),
    ],
)
def test_why_in_words_for_the_buyer(code: str, why: str) -> None:
    assert (why in for_buyer(code)) is True
    assert bool(why) is bool(for_buyer(code))
