"""送り状ファイル of the bulk actions and of one order (`/orders/bulk/labels`)."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.models import Order
from sgpshop.services import settings
from tests.factories import make_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.deliveries.test_labels import SENDER, to
from tests.web.order_search.test_bulk_runs import Browser
from tests.web.pages import flat

PREPARE, FILE = "/orders/bulk/labels", "/orders/bulk/labels/file"


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    with app.app_context():
        settings.save("山田", **SENDER)
    return Browser(app)


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    with app.app_context():
        made = [make_order(), make_order()]
        for order in made:
            to(
                order, postal_code="100-0001", prefecture="東京都", address="千代田区千代田１－１",
                tel="03-0000-0001",
            )  # fmt: skip
        return made


def test_the_problems_come_first_then_the_file(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    with app.app_context():
        to(orders[1], address="千代田区" + "千" * 60)
    page = operator.post(PREPARE, order_no=[one.order_no for one in orders], layout="b2cloud")
    assert 'data-labels="1" data-refused="1"' in flat(page)
    assert "お届け先の住所が長すぎます" in flat(page)
    sent = form_of(page, FILE).fields
    answer = operator.post(FILE, **{k: v for k, v in sent.items() if k != "csrf_token"})
    assert answer.status_code == 200
    assert "labels-b2cloud-" in answer.headers["Content-Disposition"]
    text = answer.data.decode("cp932")
    assert orders[0].order_no in text
    assert orders[1].order_no not in text


def test_what_the_settings_lack_is_told_with_the_way_there(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    with app.app_context():
        settings.save("山田", label_b2_customer_code="")
    page = operator.post(PREPARE, order_no=orders[0].order_no, layout="b2cloud")
    assert page.status_code == 422
    assert "ヤマト運輸の請求先顧客コード" in flat(page)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"layout": "fedex"}, "送り状のソフトを選んでください"),
        ({"layout": "b2cloud", "ship_date": "2020-01-01"}, "今日以降"),
        ({"layout": "b2cloud", "ship_date": "x"}, "出荷日を入力してください"),
        ({"layout": "b2cloud", "cool": "warm"}, "クール便の区分"),
        ({"layout": "b2cloud", "order_no": []}, "注文が選択されていません"),
    ],
)
def test_wrong_choices(
    operator: Browser, orders: list[Order], more: dict[str, object], words: str
) -> None:
    answer = operator.post(PREPARE, **{"order_no": orders[0].order_no} | more)
    assert answer.status_code == 422
    assert words in flat(answer)


def test_one_order_from_its_own_screen(operator: Browser, orders: list[Order]) -> None:
    page = operator.get(f"/orders/{orders[0].order_no}")
    sent = form_of(page, PREPARE).fields | {"layout": "ehiden3"}
    answer = operator.post(PREPARE, **{k: v for k, v in sent.items() if k != "csrf_token"})
    assert 'data-labels="1" data-refused="0"' in flat(answer)
