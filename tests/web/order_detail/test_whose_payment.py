"""「この注文の決済です」「別の注文の決済です」 on 詳細注文情報 (R141)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Operation, Order, OrderKind, Role, UnknownNumber, utc_now
from sgpshop.services.orders import alerts
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.database import writing
from tests.factories import fresh, make_order, order_number
from tests.gateway_world import World
from tests.services.acting import press
from tests.services.payments.test_earlier_transactions import make_due, transaction_of
from tests.signing_in import signed_in
from tests.web.pages import flat


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"WTF_CSRF_ENABLED": False, "ANSWER_WAIT": 10.0}


@pytest.fixture
def order(app: Flask, world: World) -> Order:
    """要確認: nothing is paid under its number, and 3,000 yen are held under the one with -1."""
    with app.app_context():
        number = order_number()
        access = world.enter(number, 3000)
        order = make_order(order_no=number, access=access, status=PaymentStatus.NEEDS_REVIEW)
        world.authorize(f"{number}-1", 3000)
        make_due(number)
        transaction_lookup.look_up(transaction_of(number).id)
        return fresh(order)


READ = {"read": "AUTH 3000"}
SURE = {"is_sure": "1"} | READ


def address(app: Flask, order: Order, answer: str) -> str:
    with app.app_context():
        question = db.session.query(UnknownNumber.id).scalar()
        return f"/orders/{order.order_no}/numbers/{question}/{answer}"


def test_the_order_asks_and_this_orders_payment_is_taken(app: Flask, order: Order) -> None:
    operator = signed_in(app, Role.OPERATOR)
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert f"「{order.order_no}-1 仮売上 3,000円」" in page
    assert "この注文の決済です" in page
    assert "別の注文の決済です" in page
    assert "確認済みにする" not in page
    where = address(app, order, "ours")
    refused = operator.post(where)  # it cannot be taken back, so a click is not enough
    assert "確認欄にチェックを入れてください" in flat(refused)
    assert f"{order.order_no}-1 が別の注文のものでないと確認した" in flat(refused)
    answer = operator.post(where, data=SURE)
    assert answer.status_code == 303
    with app.app_context():
        transaction_lookup.look_up(transaction_of(f"{order.order_no}-1").id)
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED
    assert "この注文の決済としました" in flat(operator.get(answer.location))


def test_anothers_payment_is_not_asked_about_again(app: Flask, order: Order) -> None:
    operator = signed_in(app, Role.OPERATOR)
    where = address(app, order, "others")
    page = operator.post(where, data=READ, headers={"HX-Request": "true"}).text
    assert "data-alert" not in page
    assert "別の注文の決済としました" in page
    assert operator.post(where).status_code == 303  # a second click
    assert operator.get(where).status_code == 303  # a reload


def test_an_answer_is_about_what_was_read(app: Flask, world: World, order: Order) -> None:
    """P20: the hold that stood on the page is taken meanwhile; nothing is said of that unread."""
    operator = signed_in(app, Role.OPERATOR)
    page = operator.get(f"/orders/{order.order_no}")
    assert f'name="read" value="{READ["read"]}"' in page.text
    with app.app_context():
        access = world.gateway.search_trade(f"{order.order_no}-1")
        assert access is not None
        world.gateway.capture(access.access, 3000)
        make_due(order.order_no)
        transaction_lookup.look_up(transaction_of(order.order_no).id)
    for answer, data in (("others", READ), ("ours", SURE)):
        refused = operator.post(address(app, order, answer), data=data)
        assert refused.status_code == 409
        assert "まだ何も変更していません" in flat(refused)
        assert f"{order.order_no}-1 実売上 3,000円" in flat(refused)
    seen = {"read": "SALES 3000"}
    assert operator.post(address(app, order, "others"), data=seen).status_code == 303


def test_an_answer_given_by_mistake_is_taken_back(app: Flask, world: World, order: Order) -> None:
    """The question stands there again, in the words of before, and nothing is captured beside it."""
    operator = signed_in(app, Role.OPERATOR)
    operator.post(address(app, order, "others"), data=READ)
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert f"{order.order_no}-1は、別の注文の決済としてあります。" in page
    assert operator.post(address(app, order, "again")).status_code == 303
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert "この注文の決済です</button>" in page
    assert "答えを取り消す" not in page
    assert "別の注文の決済とした答えを取り消しました" in page
    assert operator.post(address(app, order, "again")).status_code == 303  # a second click
    assert operator.post(address(app, order, "ours"), data=SURE).status_code == 303
    with app.app_context():
        transaction_lookup.look_up(transaction_of(f"{order.order_no}-1").id)
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED


def test_this_orders_payment_is_taken_back(app: Flask, order: Order) -> None:
    """Until an act was built on it: then there is no button, and who kept the page is told why."""
    operator = signed_in(app, Role.OPERATOR)
    number = f"{order.order_no}-1"
    ours, again = address(app, order, "ours"), address(app, order, "again")

    def say_so() -> None:
        operator.post(ours, data=SURE)
        with app.app_context():
            transaction_lookup.look_up(transaction_of(number).id)

    say_so()
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert f"{number}は、この注文の決済としてあります。" in page
    assert operator.post(again).status_code == 303
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert "この注文の決済とした答えを取り消しました" in page
    assert "この注文の決済です</button>" in page
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.NEEDS_REVIEW
    say_so()
    with app.app_context():
        press(fresh(order), Operation.CAPTURE)
    assert "答えを取り消す" not in flat(operator.get(f"/orders/{order.order_no}"))
    assert "処理(実売上処理、注文キャンセルなど)をしたため" in flat(operator.post(again))
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_of_what_a_subscriptions_buyer_left_unpaid_that_can_be_said(
    app: Flask, order: Order
) -> None:
    with app.app_context(), writing() as session:
        session.execute(sa.update(Order).values(kind=OrderKind.SUBSCRIPTION))
        since = utc_now() - timedelta(hours=1)
        session.execute(
            sa.update(UnknownNumber).values(gateway_state="UNPROCESSED", found_at=since)
        )
    operator = signed_in(app, Role.OPERATOR)
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert "この注文の決済です</button>" not in page
    assert "購入者が支払わなかった取引です</button>" in page
    assert "月次ファイルで登録した取引なら、選ばずにお待ちください" in page
    where = address(app, order, "left")
    unpaid = {"read": "UNPROCESSED 3000"}
    page = operator.post(address(app, order, "ours"), data=SURE | unpaid).text
    assert "この取引の状態では選べない答えです" in page
    page = operator.post(where, data=unpaid, headers={"HX-Request": "true"}).text
    assert "data-alert" not in page
    assert "購入者が支払わなかったものとしました" in page
    assert operator.post(where).status_code == 303  # a second click
    assert operator.get(where).status_code == 303  # a reload


def test_a_viewer_sees_it_and_may_not_answer(app: Flask, order: Order) -> None:
    viewer: FlaskClient = signed_in(app, Role.VIEWER)
    page = flat(viewer.get(f"/orders/{order.order_no}"))
    assert f"{order.order_no}-1" in page
    assert "この注文の決済です</button>" not in page
    assert viewer.post(address(app, order, "ours")).status_code == 403


def test_it_is_answered_not_acknowledged(app: Flask, order: Order) -> None:
    operator = signed_in(app, Role.OPERATOR)
    with app.app_context():
        [alert] = [one.id for one in alerts.open_of(order.id)]
    answer = operator.post(f"/orders/{order.order_no}/alerts/{alert}/acknowledge")
    assert answer.status_code >= 400
    assert "どの注文の決済かを選んでください" in answer.text
