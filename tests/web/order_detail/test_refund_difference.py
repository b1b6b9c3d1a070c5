"""差額を返金 on the screen: beside the alert that says why, confirmed twice, without JavaScript."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.models import Order, Role
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.acting import effects
from tests.services.payments.test_refund_difference import sold_elsewhere
from tests.signing_in import signed_in
from tests.web.order_detail.test_one_token import form_on
from tests.web.pages import flat


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    """3,000 yen were taken for an order of 2,000."""
    with app.app_context():
        return sold_elsewhere(world)


def test_the_alert_leads_to_it_and_it_is_confirmed(
    app: Flask, world: World, order: Order
) -> None:  # S21, P19
    operator = signed_in(app, Role.OPERATOR)
    url = f"/orders/{order.order_no}"
    page = operator.get(url).text
    assert "売上の金額が異なります" in page
    assert "「差額を返金」で合計金額に合わせられます" in page
    assert f'action="{url}/refund-difference"' in page
    asked = operator.get(f"{url}/refund-difference")
    assert "差額の ¥1,000 を返金しますか?" in flat(asked)
    form = form_on(asked.text, f"{url}/refund-difference")
    refused = operator.post(f"{url}/refund-difference", data=form)
    assert refused.status_code == 422
    assert "確認欄にチェックを入れてください" in refused.text
    assert 'name="sum_confirmed"' in refused.text
    confirmed = form | {"sum_confirmed": "1"}
    for _ in range(2):  # a double click
        assert operator.post(f"{url}/refund-difference", data=confirmed).status_code == 303
    page = operator.get(url).text
    assert "売上の金額が異なります" not in page
    assert "差額の返金が完了しました" in page
    assert f"{url}/refund-difference" not in page
    with app.app_context():
        assert effects(world, fresh(order)) == [("SALES", 3000), ("CHANGE", 2000)]


def test_a_viewer_gives_nothing_back(app: Flask, world: World, order: Order) -> None:  # S4
    viewer: FlaskClient = signed_in(app, Role.VIEWER)
    url = f"/orders/{order.order_no}/refund-difference"
    assert viewer.get(url).status_code == 403
    with app.app_context():
        assert effects(world, fresh(order)) == [("SALES", 3000)]
