"""予約 and 定期購入 that never failed here, and are charged past us besides: the night finds it (P1, P26)."""

# ruff: noqa: F401, F811 - fixtures of the other files are used by their names
from __future__ import annotations

import pytest

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.shop_terms import BillingDriver
from sgpshop.models import Operation
from tests.factories import fresh
from tests.faults.judging import settle
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import press
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.subscribing import Travel
from tests.services.subscriptions.test_billing_faults import delivered, explained
from tests.services.subscriptions.test_charged_all_the_same import booked, pay, told
from tests.services.subscriptions.test_lines_of_lost_books import (
    nights,
    overrides,
    sold,
    travel,
)

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.mark.postgresql
def test_of_a_preorder(shop: World, travel: Travel) -> None:
    open_shop()
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    order = looked_up("7001")
    press(order, Operation.CAPTURE)
    settle(order.id)
    pay(shop, "7001-2")
    nights(travel, order, (2026, 11, 13))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    assert told(order) == [AlertKind.EARLIER_IS_LIVE]
    assert booked() == 5000
    assert explained() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("driver", list(BillingDriver))
def test_of_a_subscription(shop: World, travel: Travel, driver: BillingDriver) -> None:
    open_shop(billing_driver=driver.value)
    order = delivered(shop)
    nights(travel, order, (2026, 12, 10), (2026, 12, 18))
    assert sold(shop, order) == [(f"{order.order_no}-1", 2500)]
    pay(shop, f"{order.order_no}-2")
    nights(travel, order, (2026, 12, 19))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    assert fresh(order).payment_status is S.BILLING_REPORTED
