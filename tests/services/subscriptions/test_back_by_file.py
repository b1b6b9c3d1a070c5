"""Goods that come back by file after 返金済み: it is 要返金 again, and what went back stays booked (R104)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.order_acts import is_refund_open
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import CardTransaction, ItemResult, Order, OrderKind, utc_now
from sgpshop.services import journals
from sgpshop.services.orders import parcels
from sgpshop.services.orders.parcels import ParcelReturn
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.acting import TANAKA, seen
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.payments.test_begun_payments import of_two_parcels
from tests.services.slip_files import carry_out, only_result, slip, slip_file

S = PaymentStatus


@pytest.mark.parametrize("by", ["order file", "slip file"])
def test_a_further_return_asks_for_the_rest(app: Flask, shop: World, by: str) -> None:
    open_shop()
    order, rows = of_two_parcels(shop, OrderKind.SUBSCRIPTION)
    take_in(*rows("配送完了", "配送完了"))
    with writing() as session:
        session.execute(sa.update(Order).values(payment_status=S.BILLING_REPORTED))
        sold = {"gateway_state": "CAPTURE", "captured_amount": 2500, "gateway_amount": 2500}
        session.execute(sa.update(CardTransaction).values(**sold))
    day = jst_day(utc_now())
    parcels.take_back(order.id, seen(fresh(order)), TANAKA, ParcelReturn([1], day))
    parcels.settle_refund(order.id, seen(fresh(order)), TANAKA, day, 1000, "銀行振込")
    assert not is_refund_open(fresh(order))
    if by == "order file":
        take_in(*rows("返送", "返送"))
    else:
        run = carry_out(app, slip_file(slip(order, 配送先番号="2", 配送ステータス="返送")))
        assert only_result(run) is ItemResult.SUCCEEDED
    order = fresh(order)
    assert is_refund_open(order)
    assert [one.amount for one in journals.movements(day, day)] == [-1000]
    with pytest.raises(parcels.InputRefused, match="1円から1,500円"):
        parcels.settle_refund(order.id, seen(order), TANAKA, day, 1501, "銀行振込")
    parcels.settle_refund(order.id, seen(order), TANAKA, day, 1500, "銀行振込")
    assert [one.amount for one in journals.movements(day, day)] == [-1000, -1500]
