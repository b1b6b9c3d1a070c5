"""CSVダウンロード: chosen orders as a file that goes in again without change (R51, §14.2, S18)."""

from __future__ import annotations

import csv
import io

import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import ImportRun, Order
from sgpshop.services import order_export, order_import
from sgpshop.services.demo import SAMPLE
from sgpshop.services.order_file import Limits
from tests.factories import authorized_order, make_order
from tests.gateway_world import World


def take_in(content: bytes) -> ImportRun:
    stream = io.BytesIO(content)
    run, survey = order_import.begin(order_import.new_run_id(), "test", stream, Limits())
    assert survey is not None
    order_import.carry_out(run.id, stream, Limits(), survey)
    done = order_import.find(run.id)
    assert done is not None
    return done


def ids() -> list[int]:
    return list(db.session.scalars(sa.select(Order.id)))


def test_the_whole_sample_goes_out_and_in_again_without_change(app: Flask) -> None:
    with app.app_context():
        take_in(SAMPLE.read_bytes())
        text = order_export.as_csv(ids())
        again = take_in(text.encode("utf-8-sig"))
        assert (again.orders, again.left_out, again.added) == (300, 0, 0)
        assert again.updated == 0
        assert again.unchanged == 300


def test_neither_secrets_nor_formulas_go_out(shop: World) -> None:
    order = authorized_order(shop, buyer="=HYPERLINK(1)")
    assert order.transaction is not None
    [row] = csv.DictReader(io.StringIO(order_export.as_csv([order.id])))
    assert "取引パスワード" not in row  # S10
    assert row["取引ID"] == order.transaction.access_id
    assert row["注文者"] == "'=HYPERLINK(1)"  # S18
    assert (row["合計金額"], row["決済方法ステータス"]) == ("3000", "仮売上")


def test_orders_of_other_methods_and_nothing_at_all(shop: World) -> None:
    order = make_order(method="代金引換", status=PaymentStatus.AUTHORIZED)
    [row] = csv.DictReader(io.StringIO(order_export.as_csv([order.id])))
    assert (row["決済方法"], row["決済方法ステータス"], row["取引ID"]) == ("代金引換", "", "")
    assert len(order_export.as_csv([]).splitlines()) == 1
