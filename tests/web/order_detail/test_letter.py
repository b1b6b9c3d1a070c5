"""A declined card: the buyer is asked first, with a text that is ready, and then the order is 連絡済み."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import for_buyer
from sgpshop.models import Operation, Order, Role, utc_now
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


def left_unpaid(app: Flask, world: World, hours: int) -> Order:
    """An order whose buyer entered it and never paid."""
    with app.app_context():
        return authorized_order(
            world,
            status=PaymentStatus.NEEDS_REVIEW,
            ordered_at=utc_now() - timedelta(hours=hours),
            buyer_email="taro@example.jp",
        )


def test_a_buyer_who_never_finished_paying_is_written_to(
    app: Flask, world: World, operator: FlaskClient
) -> None:
    order = left_unpaid(app, world, hours=120)
    page = operator.get(f"/orders/{order.order_no}")
    assert primary(page) == ["購入者にメールを書く"]
    assert "次にすること:「照合」で" in page.text
    assert f"オーダーID {order.order_no} で検索" in page.text
    letter = re.findall(r"<textarea[^>]*>([^<]+)<", page.text)[0]
    assert "お手続きの完了を確認できておりません" in letter
    assert "請求されていません" not in letter  # that is not known yet


def test_a_buyer_who_may_still_be_paying_is_left_alone(
    app: Flask, world: World, operator: FlaskClient
) -> None:
    page = operator.get(f"/orders/{left_unpaid(app, world, hours=0).order_no}")
    assert "mailto:" not in page.text
    assert "次にすること:" not in page.text
