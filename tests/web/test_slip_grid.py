"""発送: type or scan slip numbers beside the parcels that wait, look, press 処理を実行 — plain forms (R78, R81)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, utc_now
from sgpshop.services.deliveries import waiting
from sgpshop.services.deliveries.waiting import WaitingFilter
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh, make_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.slip_files import parcel, parcels, slip, slip_file
from tests.web.pages import flat
from tests.web.test_once_a_page import asked
from tests.web.test_slips import Browser, address

Values = dict[str, list[str]]


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    return Browser(app)


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    with app.app_context():
        return [authorized_order(world, total=1000 * n) for n in (1, 2, 3)]


def grid(operator: Browser, path: str = "/slips") -> Values:
    """What the form of the grid holds."""
    return form_of(operator.get(path), "/slips/grid").every


def typed(values: Values, *numbers: str, carrier: str = "002") -> dict[str, Any]:
    """The form with these numbers in its rows, from the first on."""
    slips = [*numbers, *[""] * (len(values["parcel"]) - len(numbers))]
    return values | {"slips": slips, "carrier_code": [carrier] * len(slips)}


def check(operator: Browser, values: dict[str, Any]) -> TestResponse:
    """Press 内容を確認する."""
    return operator.post("/slips/grid/check", **values)


def carry_out(app: Flask, operator: Browser, run: str) -> None:
    assert address(operator.begin(run)) == run
    Worker(app).run(until_idle=True)
    db.session.rollback()


def test_typed_numbers_are_looked_at_and_then_captured(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:
    values = typed(grid(operator), "111122223333", "", "4444-5555") | {"capture_on_slip": "1"}
    run = address(check(operator, values))
    page = flat(operator.get(run))
    assert 'data-to-do="2"' in page
    assert 'data-capture-yen="4000"' in page
    with app.app_context():
        assert [parcel(order).slip_no for order in orders] == ["", "", ""]  # only looked at
        carry_out(app, operator, run)
        assert [parcel(order).slip_no for order in orders] == ["111122223333", "", "4444-5555"]
        assert [fresh(order).payment_status for order in orders] == [
            PaymentStatus.CAPTURED,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.CAPTURED,
        ]
    assert [world.sales(order.order_no) for order in orders] == [1, 0, 1]
    left = grid(operator)
    assert left["parcel"] == [f"0 {orders[1].order_no}"]
    assert left["carrier_code"] == ["002"]  # remembered


def test_several_numbers_of_one_parcel_and_a_number_that_is_none(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:  # 複数個口
    run = address(check(operator, typed(grid(operator), "1111 2222、3333", "12 34あ")))
    page = flat(operator.get(run))
    assert "ほか 2222、3333" in page
    assert "伝票番号の形式" in page
    assert "末尾の数字が合いません" in page
    back = grid(operator, f"/slips?run={run.rpartition('/')[2]}")  # 入力に戻って直す
    assert back["slips"] == ["1111 2222、3333", "12 34あ", ""]
    with app.app_context():
        carry_out(app, operator, run)
        assert (parcel(orders[0]).slip_no, parcel(orders[0]).more_slips) == ("1111", "2222 3333")
        assert parcel(orders[0]).status is DeliveryStatus.DELIVERED
        assert parcel(orders[1]).slip_no == ""
    again = address(operator.post(f"{run}/retry"))
    assert again != run
    assert "12 34あ" in operator.get(again).text


def test_each_parcel_of_an_order_is_a_row_and_the_last_one_captures(
    app: Flask, operator: Browser, world: World
) -> None:  # R82
    with app.app_context():
        order = db.session.get_one(Order, authorized_order(world).id)
        order.deliveries[0].number = 1
        order.deliveries.append(Delivery(number=2, name="佐藤"))
        db.session.commit()
    values = grid(operator)
    assert values["parcel"] == [f"1 {order.order_no}", f"2 {order.order_no}"]
    on = {"capture_on_slip": "1"}
    run = address(check(operator, typed(values, "1111") | on))
    assert 'data-captures="0"' in operator.get(run).text
    with app.app_context():
        carry_out(app, operator, run)
        run = address(check(operator, typed(grid(operator), "2222") | on))
        assert 'data-captures="1"' in operator.get(run).text
        carry_out(app, operator, run)
        assert [one.slip_no for one in parcels(order)] == ["1111", "2222"]
    assert world.sales(order.order_no) == 1


def test_what_is_typed_twice_is_registered_once(
    app: Flask, operator: Browser, orders: list[Order], world: World
) -> None:  # a click on the button too much, or the grid open in two windows
    values = typed(grid(operator), "1111") | {"capture_on_slip": "1"}
    first, second = (address(check(operator, values)) for _ in range(2))
    assert first != second
    for run in (first, second):
        operator.begin(run)
    Worker(app).run(until_idle=True)
    third = address(check(operator, values))
    assert 'data-to-do="0"' in operator.get(third).text
    assert world.sales(orders[0].order_no) == 1


def test_the_number_of_before_can_be_typed_again_after_a_correction(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    values = typed(grid(operator), "1111")
    with app.app_context():
        carry_out(app, operator, address(check(operator, values)))
        db.session.get_one(Delivery, parcel(orders[0]).id).slip_no = "2222"
        db.session.commit()
        carry_out(app, operator, address(check(operator, values)))
        assert parcel(orders[0]).slip_no == "1111"


def test_enter_without_javascript_leads_to_the_next_row_and_loses_nothing(
    operator: Browser, orders: list[Order]
) -> None:
    page = operator.post("/slips/grid", **typed(grid(operator), "1111"))
    assert form_of(page, "/slips/grid").every["slips"] == ["1111", "", ""]
    second = page.text.index(f'value="0 {orders[1].order_no}"')
    assert page.text.index("autofocus") > second
    assert "1</b>件を入力済み" in flat(page)


def test_other_pages_and_filters_keep_what_was_typed(
    operator: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgpshop.services.deliveries.waiting.PAGE_SIZE", 2)
    values = typed(grid(operator), "1111", "2222")
    page = operator.get("/slips")
    cursor = page.text.partition('name="cursor" value="')[2].partition('name="cursor" value="')[2]
    second = operator.post(
        "/slips/grid",
        **values | {"cursor": ["", cursor.partition('"')[0]], "order_no": orders[0].order_no},
    )
    there = form_of(second, "/slips/grid").every
    assert there["order_no"] == [orders[0].order_no]  # ticked on the first page
    assert there["parcel"][0] == f"0 {orders[2].order_no}"
    assert sorted(there["slips"]) == ["", "1111", "2222"]
    filtered = operator.post("/slips/grid", **there | {"q": orders[1].order_no, "filter": "1"})
    row = form_of(filtered, "/slips/grid").every
    assert row["parcel"][0] == f"0 {orders[1].order_no}"
    assert row["slips"][0] == "2222"
    run = address(check(operator, row))
    assert 'data-to-do="2"' in operator.get(run).text


@pytest.mark.postgresql
def test_a_page_has_only_so_many_rows_and_whole_orders(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_ROWS", 3)
    with app.app_context():
        made = [make_order(ordered_at=utc_now() - timedelta(days=5 - n)) for n in range(4)]
        numbers = [order.order_no for order in made]
        with writing() as session:
            for order, more in zip(made, (1, 1, 0, 4), strict=True):
                session.add_all(
                    Delivery(order_id=order.id, number=n, name="二") for n in range(1, more + 1)
                )
        pages, cursor = [], ""
        while True:
            page = waiting.page(WaitingFilter(), cursor)
            pages.append([row.order.order_no for row in page.rows])
            if not page.next_cursor:
                break
            cursor = page.next_cursor
        a, b, c, d = numbers
        assert pages == [[a] * 2, [b] * 2 + [c], [d] * 5]
        back = waiting.page(WaitingFilter(), page.previous_cursor)
        assert [row.order.order_no for row in back.rows] == [b] * 2 + [c]
        first = waiting.page(WaitingFilter(), back.previous_cursor)
        assert [row.order.order_no for row in first.rows] == [a] * 2
        assert not first.previous_cursor


def test_only_what_was_typed_by_the_same_person_comes_back_from_a_preview(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    of_file = address(operator.hand_in(slip_file(slip(orders[0], "1111")))).rpartition("/")[2]
    assert grid(operator, f"/slips?run={of_file}")["slips"] == ["", "", ""]
    run = address(check(operator, typed(grid(operator), "1111"))).rpartition("/")[2]
    assert operator.get("/slips?run=nothing").status_code == 404
    assert Browser(app, name="鈴木").get(f"/slips?run={run}").status_code == 404


def test_what_is_no_form_of_ours_is_refused_in_words(
    operator: Browser, orders: list[Order]
) -> None:
    values = typed(grid(operator), "1111")
    for wrong, words in (
        ({"parcel": ["0 P1"]}, "もう一度入力してください"),
        ({"on_capture_failure": "maybe"}, "実売り失敗時の動作"),
    ):
        answer = check(operator, values | wrong)
        assert answer.status_code == 422
        assert words in flat(answer)
    for odd in ({"parcel": ["x", "", "9999 P?"]}, {"cursor": "x" * 500}, {"until": "0001-01-01"}):
        assert check(operator, values | odd).status_code == 303
        assert operator.post("/slips/grid", **values | odd).status_code == 200


def test_nothing_typed_is_said(operator: Browser, orders: list[Order]) -> None:
    page = check(operator, grid(operator))
    assert page.status_code == 422
    assert "伝票番号がまだ入力されていません" in page.text
    assert (
        operator.post("/slips/grid/check", parcel="0 P1", on_capture_failure="skip").status_code
        == 422
    )


def test_who_waits_and_who_does_not(app: Flask, operator: Browser, orders: list[Order]) -> None:
    with app.app_context():
        make_order(order_no="PCANCELLED", status=PaymentStatus.CANCELLED)
        make_order(order_no="PREVIEW", status=PaymentStatus.NEEDS_REVIEW)
        make_order(order_no="PBANK", method="銀行振込", status=None)
        db.session.get_one(Delivery, parcel(orders[0]).id).slip_no = "1"
        db.session.commit()
    found = {key.partition(" ")[2] for key in grid(operator)["parcel"]}
    assert found == {orders[1].order_no, orders[2].order_no, "PBANK"}


def test_a_tick_is_wanted_for_labels_and_what_was_typed_stays(
    operator: Browser, orders: list[Order]
) -> None:  # B16
    values = typed(grid(operator), "1111") | {"layout": "b2cloud"}
    for path in ("/orders/bulk/labels", "/orders/bulk/print"):
        answer = operator.post(path, **values)
        assert (answer.status_code, answer.location) == (307, "/slips/grid")
    page = operator.post("/slips/grid", **values)
    assert "1111" in form_of(page, "/slips/grid").every["slips"]
    assert "を選択" in page.text
    ticked = operator.post("/orders/bulk/labels", **values | {"order_no": orders[0].order_no})
    assert ticked.status_code in (200, 422)
    assert "選択した1件の注文の送り状" in ticked.text


def test_the_grid_costs_the_same_for_one_row_and_for_many(
    app: Flask, operator: Browser, orders: list[Order]
) -> None:
    with asked(app, "order") as few:
        operator.get("/slips")
    with app.app_context():
        for n in range(30):
            make_order(order_no=f"PMORE{n}")
    with asked(app, "order") as many:
        operator.get("/slips")
    assert len(few) == len(many) <= 8


def test_history_tells_typed_from_files(app: Flask, operator: Browser, orders: list[Order]) -> None:
    with app.app_context():
        carry_out(app, operator, address(check(operator, typed(grid(operator), "1111"))))
    with asked(app, "slip_") as one:
        page = flat(operator.get("/slips/history"))
    assert "入力・スキャン</td>" in page
    assert "1行中 1行を登録" in page
    with app.app_context():
        carry_out(app, operator, address(check(operator, typed(grid(operator), "2222"))))
    with asked(app, "slip_") as two:
        operator.get("/slips/history")
    assert (len(one), len(two)) == (2, 2)


def test_a_number_whose_last_digit_is_wrong_is_told_beside_the_button(
    operator: Browser, orders: list[Order]
) -> None:
    told = "末尾の数字が合わない行が1行あります"
    wrong = flat(operator.get(address(check(operator, typed(grid(operator), "123412341235")))))
    assert told in wrong
    assert wrong.index(told) < wrong.index("処理を実行</button>")
    assert f"{orders[0].deliveries[0].name} 様" in wrong
    right = flat(operator.get(address(check(operator, typed(grid(operator), "123412341231")))))
    assert "末尾の数字" not in right
