"""A buyer left the cart's own payment of a subscription: no monthly file brought it, whatever its number is like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import MonthlyResults, Order
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.acting import cancel
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.subscribing import Travel, jst


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.mark.parametrize("number", ["P171323551145213731", "20261112-001"])
def test_such_an_order_is_cancelled(shop: World, travel: Travel, number: str) -> None:
    open_shop()
    shop.gateway.enter(number, Job.AUTH, 2_500)
    take_in(row(注文番号=number, 定期購入ID="T-1", 定期回数="1", 決済方法ステータス=""))
    order = db.session.scalars(sa.select(Order)).one()
    settle(order.id)
    travel(jst(2026, 11, 13, 12))
    assert cancel(order).payment_status is PaymentStatus.CANCELLED
    assert not db.session.scalars(sa.select(MonthlyResults)).all()  # nor waits anybody for results
