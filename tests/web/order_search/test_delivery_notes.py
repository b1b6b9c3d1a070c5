"""納品書 on paper: what a sheet says and what it must not say (R145, R51)."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine, Role
from sgpshop.services import settings
from sgpshop.storage.database import writing
from tests.factories import make_order
from tests.gateway_world import World
from tests.web.order_search.test_bulk_runs import Browser, words
from tests.web.pages import flat

PRINT = "/orders/bulk/print"


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    with app.app_context():
        settings.save(
            "test",
            shop_name="山田茶舗",
            shop_address="京都市中京区1-1",
            shop_tel="075-000-0000",
            invoice_number="T1234567890123",
        )
    return Browser(app)


@pytest.fixture
def two_parcels(app: Flask, world: World) -> Order:
    with app.app_context(), writing() as session:
        order = make_order(total=4180, carriage=500, points_used=100)
        order = session.get_one(Order, order.id)
        order.deliveries[0].number = 1
        order.lines[0].delivery_number = 1
        order.lines[0].unit_price = 1080
        order.deliveries.append(Delivery(number=2, name="鈴木 一郎", prefecture="大阪府"))
        order.lines.append(
            OrderLine(
                position=2, delivery_number=2, name="湯呑", unit_price=1350, quantity=2, tax_rate=10
            )
        )
    return order


def sheets(page: str) -> list[str]:
    return re.findall(r"<article.*?</article>", page, re.DOTALL)


def test_a_sheet_says_everything_an_invoice_needs(
    app: Flask, world: World, operator: Browser
) -> None:
    with app.app_context():
        order = make_order(total=3240, buyer="佐藤 <b>花子</b>")
    [sheet] = sheets(flat(operator.get(f"/orders/{order.order_no}/print")))
    text = words(sheet)
    for said in (
        "納品明細書",
        "佐藤 &lt;b&gt;花子&lt;/b&gt; 様",  # S7
        f"注文番号 {order.order_no}".replace(" ", ""),
        "山田茶舗",
        "京都市中京区1-1",
        "TEL 075-000-0000",
        "登録番号 T1234567890123",
        "煎茶 ※",
        "※は軽減税率(8%)の対象商品です。",
        "8%対象 ¥3,240(内消費税 ¥240)",
        "¥3,240",
    ):
        assert said.replace(" ", "") in text.replace(" ", ""), said


@pytest.mark.parametrize(("includes", "said"), [(True, "単価(税込)"), (False, "単価(税抜)")])
def test_whether_prices_include_tax_is_said_as_it_is_for_the_order(
    app: Flask, world: World, operator: Browser, includes: bool, said: str
) -> None:
    with app.app_context():
        order = make_order(total=3240, prices_include_tax=includes)
        settings.save("test", tax_included=not includes)
    assert said in flat(operator.get(f"/orders/{order.order_no}/print"))
    page = flat(operator.get(f"/orders/{order.order_no}/edit"))
    assert ("(税別価格に加算)" in page) is not includes


def test_the_sheets_of_several_deliveries(operator: Browser, two_parcels: Order) -> None:
    page = flat(operator.get(f"/orders/{two_parcels.order_no}/print"))
    whole, first, second = sheets(page)
    assert "ご注文明細書" in whole
    assert "使用ポイント" in whole
    assert "¥4,180" in whole
    for sheet in (first, second):
        assert "¥" not in sheet  # R145: neither amounts nor points
        assert "ポイント" not in sheet
        assert "消費税" not in sheet
        assert 'data-has-amounts="false"' in sheet
    assert "鈴木 一郎" in second
    assert "湯呑" in second
    assert "煎茶" not in second
    assert "ご注文明細書をお届け先の荷物に入れないでください" in page


def test_many_at_once_and_not_too_many(app: Flask, world: World, operator: Browser) -> None:
    with app.app_context():
        orders = [make_order() for _ in range(2)]
        orders.append(make_order(status=PaymentStatus.CANCELLED))
    numbers = [order.order_no for order in orders]
    page = flat(operator.post("/orders/bulk/selection", do="print", order_no=numbers))
    assert "処理内容: <b>納品書印刷</b>" in page
    assert 'formaction="/orders/bulk/print"' in page
    page = flat(operator.post(PRINT, order_no=numbers, action="print"))
    assert len(sheets(page)) == 2
    assert "注文キャンセル済みの1件は印刷しません" in page
    assert 'class="main-menu"' not in page
    too_many = [f"P{n:018d}" for n in range(201)]
    with app.app_context():
        for number in too_many:
            if number not in numbers:
                db.session.add(
                    Order(
                        order_no=number,
                        ordered_at=orders[0].ordered_at,
                        method="代金引換",
                        total=1,
                    )
                )
        db.session.commit()
    answer = operator.post(PRINT, order_no=too_many, action="print")
    assert answer.status_code == 422
    assert "200件までです(201件が選択されています)" in flat(answer)


def test_what_cannot_be_printed_is_told(operator: Browser) -> None:
    answer = operator.post(PRINT, action="print")
    assert answer.status_code == 422
    assert "注文が選択されていません" in flat(answer)
    assert operator.get("/orders/P0/print").status_code == 404


def test_a_shop_without_name_and_a_cancelled_order_are_pointed_out(
    app: Flask, world: World
) -> None:
    viewer = Browser(app, Role.VIEWER)
    with app.app_context():
        order = make_order(status=PaymentStatus.CANCELLED)
    page = flat(viewer.get(f"/orders/{order.order_no}/print"))
    assert "ショップ名・住所・電話番号が未登録" in page
    assert "この注文はキャンセル済みです" in page
    assert f'href="/orders/{order.order_no}/print"' in flat(viewer.get(f"/orders/{order.order_no}"))
