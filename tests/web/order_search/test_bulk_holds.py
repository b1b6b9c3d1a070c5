"""一括処理 of authorizations: choose, confirm, watch, read, try again — by HTMX and as plain forms."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import BulkRun, Order, Role
from sgpshop.services import settings
from tests.factories import authorized_order, days_ago, fresh
from tests.gateway_world import World
from tests.services.acting import correct
from tests.web.order_search.test_bulk_runs import BOTH, HTMX, Browser, bar, run_button, words, work
from tests.web.pages import flat

SEND, EXTEND = {"action": "send_changes"}, {"action": "extend"}


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    """An increase and a decrease that were not sent, and an order without a change."""
    with app.app_context():
        settings.save("test", extend_auth_enabled=True, auth_valid_days=60)
        more, less, _ = (authorized_order(world, authorized_at=days_ago(50)) for _ in range(3))
        correct(more, 3500)
        correct(less, 2800)
        return list(db.session.scalars(sa.select(Order).order_by(Order.id)))


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    return Browser(app)


def numbers(orders: list[Order]) -> list[str]:
    return [order.order_no for order in orders]


@BOTH
def test_the_chooser_offers_both_and_weighs_what_they_leave_out(
    operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    select = "/orders/bulk/selection"
    page = flat(operator.post(select, headers, do="choose", order_no=numbers(orders)))
    assert 'id="choose-send-changes"' in page
    assert 'id="choose-extend"' in page
    page = flat(operator.post(select, headers, do="send_changes", order_no=numbers(orders)))
    text = words(bar(page))
    assert "処理内容: 変更内容をSMBC-GPに送信" in text  # R39
    assert "3件を選択 ¥6,300 うち1件は対象外 (送信する変更がない 1件)" in text  # R42
    assert "disabled" not in run_button(page)
    page = flat(operator.post(select, headers, do="extend", order_no=numbers(orders)))
    assert "3件を選択 ¥9,000" in words(bar(page))  # what SMBC-GP holds
    page = flat(operator.post(select, headers, do="cancel", order_no=numbers(orders)))
    assert "処理内容: 注文キャンセル" in words(bar(page))


def test_many_orders_are_cancelled_after_it_was_said_what_that_does(
    operator: Browser, orders: list[Order]
) -> None:
    page = flat(operator.post("/orders/bulk", HTMX, action="cancel", order_no=numbers(orders)))
    assert "3件のカードの利用枠 ¥9,000 を解放し、注文をキャンセルします" in words(page)
    assert "元に戻せません" in page
    assert "修正額が未送信の注文が2件あります" in page


def test_extending_is_not_offered_where_the_shop_does_not_use_it(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    with app.app_context():
        settings.save("test", extend_auth_enabled=False)  # R83
    page = flat(operator.post("/orders/bulk/selection", HTMX, do="choose"))
    assert 'id="choose-send-changes"' in page
    assert 'id="choose-extend"' not in page
    answer = operator.post("/orders/bulk", HTMX, order_no=numbers(orders), **EXTEND)
    assert (answer.status_code, "処理内容が選択されていません" in flat(answer)) == (422, True)


@BOTH
def test_the_confirmation_of_amounts_says_what_becomes_dearer(
    operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    answer = operator.post("/orders/bulk", headers, order_no=numbers(orders), **SEND)
    page = flat(answer) if headers else flat(operator.get(answer.location))
    text = words(page)
    assert (
        "対象 2 件 合計 ¥6,300 SMBC-GP側金額 ¥6,000 → ¥6,300 増額 1 件(+¥500)減額 1 件(−¥200) 対象外 1 件"
        in text
    )  # R47
    assert "増額はカード会社に断られることがあります" in text  # R71
    assert "新しい金額のオーソリを取り直します" in text
    assert "2件、合計¥6,300(増額 1件 +¥500)の金額変更に間違いありません" in text
    assert 'name="sum_confirmed" value="1" required' in page


@BOTH
def test_the_confirmation_of_extensions_says_what_it_costs(
    operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    answer = operator.post("/orders/bulk", headers, order_no=numbers(orders), **EXTEND)
    text = words(flat(answer) if headers else flat(operator.get(answer.location)))
    assert "対象 3 件 合計 ¥9,000" in text
    assert "修正額が未送信 2 件(SMBC-GP側金額のまま延長し、変更は未送信のまま残ります)" in text
    assert "延長後 今日から60日間" in text
    assert "同じ金額のオーソリを新しく取り直します" in text  # R83: a new authorization


@BOTH
def test_an_increase_does_not_start_unless_it_was_confirmed_twice(
    world: World, operator: Browser, orders: list[Order], headers: dict[str, str]
) -> None:
    run_id = operator.prepare(*orders, **SEND)
    answer = operator.begin(run_id, headers)
    assert answer.status_code == 422  # S21
    assert "確認欄にチェックを入れてください" in flat(answer)
    answer = operator.begin(run_id, headers, sum_confirmed="1")
    assert answer.status_code == (200 if headers else 303)


def test_the_result_is_read_line_by_line_and_the_refused_ones_are_chosen_again(
    app: Flask, world: World, operator: Browser, orders: list[Order]
) -> None:
    world.fault("error:42G020000", "ChangeTran", order_id=orders[0].order_no)
    run_id = operator.prepare(*orders, **SEND)
    operator.begin(run_id, sum_confirmed="1")
    work(app)
    page = flat(operator.get(f"/orders/bulk/{run_id}"))
    assert "3件中 1件の金額変更を送信、1件が送信失敗、1件は対象外" in page
    assert "処理内容: 変更内容をSMBC-GPに送信" in words(page)
    assert "実売上処理はまだ行っていません" in page
    rows = re.findall(r'<tr data-order-no="([^"]+)" data-result="(\w+)"', page)
    assert rows == [
        (orders[0].order_no, "failed"),
        (orders[2].order_no, "skipped"),
        (orders[1].order_no, "succeeded"),
    ]
    lines = operator.get(f"/orders/bulk/{run_id}/result.csv").data.decode("utf-8-sig")
    assert f"{orders[0].order_no},3500,失敗,42G020000," in lines
    assert f"{orders[2].order_no},3000,対象外,,対象外:送信する変更がない," in lines
    again = flat(operator.get(f"/orders?failed_of={run_id}"))
    assert "処理内容: 変更内容をSMBC-GPに送信" in words(bar(again))  # R49
    assert re.findall(r'<tr id="row-([^"]+)"', again) == [orders[0].order_no]
    second = operator.prepare(orders[0], **SEND)
    operator.begin(second, sum_confirmed="1")
    work(app)
    with app.app_context():
        transaction = fresh(orders[0]).transaction
        assert transaction is not None
        assert transaction.gateway_amount == 3500


@pytest.mark.parametrize("action", [SEND, EXTEND], ids=["send", "extend"])
def test_who_only_looks_starts_nothing(
    app: Flask, world: World, orders: list[Order], action: dict[str, str]
) -> None:
    viewer = Browser(app, Role.VIEWER)
    assert viewer.post("/orders/bulk", order_no=numbers(orders), **action).status_code == 403
    with app.app_context():
        assert db.session.query(BulkRun).count() == 0  # R150
