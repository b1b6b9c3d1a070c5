"""A buyer left the cart's own payment of a subscription: no monthly file brought it, whatever its number is like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import BillingState, MonthlyResults, Order
from sgpshop.services import settings
from sgpshop.services.settings.rules import SettingRefused
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.acting import cancel
from tests.services.answering import say_left
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import (
    THE_10TH,
    THE_18TH,
    delivered,
    go_on,
    the_billing,
)

pytestmark = pytest.mark.long


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


def test_results_that_nobody_waits_for_any_more_hold_up_no_change_of_the_contract(
    shop: World, travel: Travel
) -> None:
    """A shop by API, which has no monthly file: none will ever come."""
    open_shop(billing_driver=BillingDriver.API.value)
    billing.resume()  # the first registration of a new installation is nobody's
    order = delivered(shop)
    travel(jst(2026, 12, 10, 5))
    shop.gateway.enter(f"{order.order_no}-1", Job.CAPTURE, 2_500)
    travel(THE_10TH)
    go_on(order)
    assert the_billing(order).state is BillingState.POSTPONED
    for moment in (THE_18TH, jst(2026, 12, 21, 7)):  # somebody has still to say what it is
        travel(moment)
        go_on(order)
    with pytest.raises(SettingRefused, match=r"結果を待っている.*close-results"):
        settings.save("店長", shop_id="tshop00000002")
    say_left(order.order_no)
    go_on(order)
    assert fresh(order).payment_status is PaymentStatus.BILLING_REPORTED
    travel(jst(2026, 12, 22, 7))
    shop.fault("http:503", "Batch", times=100, job_cd="result")  # which such a shop may not ask for
    go_on(order)
    assert settings.save("店長", shop_id="tshop00000002") == ["shop_id"]
    assert not billing.is_due()
