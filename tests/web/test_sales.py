"""売上集計 (`/sales`): the month on the screen, its links and its files."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.row_files import Limits
from sgpshop.models import Operation, Role, utc_now
from sgpshop.services.files import books
from tests.factories import authorized_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import signed_in
from tests.web.pages import flat

PAGE = "/sales"


@pytest.fixture
def captured(app: Flask, world: World) -> str:
    with app.app_context():
        return press(authorized_order(world, told=True), Operation.CAPTURE).order_no


@pytest.fixture
def today(app: Flask) -> date:
    return jst_day(utc_now())


def test_the_month_and_the_orders_behind_its_figures(
    app: Flask, captured: str, today: date
) -> None:
    viewer = signed_in(app, Role.VIEWER)
    page = viewer.get(PAGE)
    assert f'data-month="{today:%Y-%m}" data-sold="3000" data-given-back="0"' in page.text
    assert f'data-day="{today}" data-total="3000"' in page.text
    assert "オーナーまたは担当者が利用できます" in flat(page)
    listed = viewer.get(f"/orders?date_field=captured_at&from={today}&to={today}")
    assert f'data-order-no="{captured}"' in listed.text
    assert f"/orders?date_field=captured_at&amp;from={today}&amp;to={today}" in page.text
    assert "売上日時" in listed.text
    for field, words in (("cancelled_at", "取消日時"), ("refunded_on", "返金日")):
        empty = viewer.get(f"/orders?date_field={field}&from={today}&to={today}")
        assert captured not in empty.text
        assert words in flat(empty)


def test_its_files(app: Flask, captured: str, today: date, tmp_path: Path) -> None:
    operator = signed_in(app, Role.OPERATOR)
    page = operator.get(PAGE)
    form = form_of(page.text, PAGE)
    answer = operator.post(PAGE, data=form.hidden | {"kind": "csv"})
    assert f"sales-{today:%Y%m}.csv" in answer.headers["Content-Disposition"]
    heading, *days, total = csv.reader(io.StringIO(answer.data.decode("utf-8-sig")))
    assert heading[:3] == ["日付", "実売上件数", "実売上"]
    of_today = ["1", "3000", "0", "0", "3000", "3000", "0", "0", "0", "0"]
    assert days[today.day - 1] == [f"{today:%Y/%m/%d}", *of_today]
    assert total == ["合計", *of_today]
    answer = operator.post(PAGE, data=form.hidden | {"kind": "xlsx"})
    saved = tmp_path / "sales.xlsx"
    saved.write_bytes(answer.data)
    with saved.open("rb") as file:
        book = list(books.read_book(file, Limits()))
    assert book[today.day].cells[1:3] == ["1", "3000"]
    sent = form_of(page.text, "/journals").hidden | {"layout": "yayoi"}
    assert f"注文 {captured}" in operator.post("/journals", data=sent).data.decode("cp932")


@pytest.mark.parametrize("typed", ["2026-13", "x", "1999-12", "２０２６"])
def test_a_month_that_is_none(app: Flask, world: World, typed: str) -> None:
    operator = signed_in(app, Role.OPERATOR)
    answer = operator.get(PAGE, query_string={"month": typed})
    assert answer.status_code == 422
    assert "月は 2026-11 のように入力してください" in flat(answer)
    sent = form_of(answer.text, PAGE).hidden | {"month": typed}
    assert "月は 2026-11 のように" in flat(operator.post(PAGE, data=sent))


def test_the_ends_of_all_time(app: Flask, world: World) -> None:
    viewer = signed_in(app, Role.VIEWER)
    for month in ("2000-01", "2099-12"):
        assert viewer.get(f"{PAGE}?month={month}").status_code == 200
