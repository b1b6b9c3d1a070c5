"""A registration that was put off, and its sale is found made under another number: it is through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import Job
from sgpshop.models import BillingState, CardTransaction, Order, utc_now
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import cancel
from tests.services.arriving import open_shop
from tests.services.payments.test_begun_payments import change
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import (
    THE_10TH,
    delivered,
    go_on,
    not_delivered,
    the_billing,
)

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("says_ours")]

S, B = PaymentStatus, BillingState


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1, "CONGESTION_TRIES": 1}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture
def order(shop: World, travel: Travel) -> Order:
    """Put off under -1 on the 10th, then sold past us under -2."""
    open_shop(billing_driver="api")
    billing.resume()
    order = delivered(shop)
    travel(THE_10TH)
    shop.wire.cut_off("EntryTran")
    go_on(order)
    shop.wire.cut_off()
    row = the_billing(order)
    assert (row.state, row.gateway_order_id) == (B.POSTPONED, f"{order.order_no}-1")
    access = shop.gateway.enter(f"{order.order_no}-2", Job.CAPTURE, 2500)
    shop.gateway.execute(access, GOOD_CARD, job=Job.CAPTURE)
    return order


def is_through(order: Order) -> bool:
    row = the_billing(order)
    assert (row.state, row.gateway_order_id) == (B.PAID, f"{order.order_no}-2")
    assert (row.error_codes, row.retry_at) == ("", None)
    return fresh(order).payment_status is S.BILLING_REPORTED


@pytest.mark.postgresql
def test_by_a_cancel(order: Order) -> None:
    cancel(not_delivered(order))
    assert is_through(order)


def test_by_a_look_up(order: Order) -> None:
    change(CardTransaction, next_look_at=utc_now())
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_up(transaction.id)
    assert is_through(order)


def test_by_its_next_try(order: Order, travel: Travel) -> None:
    travel(jst(2026, 12, 10, 9))
    go_on(order)
    assert is_through(order)
