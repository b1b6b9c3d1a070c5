"""差額を返金: more was taken than the order says, and the rest goes back, once."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_acts import Act, button
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Job, TradeAccess
from sgpshop.models import Alert, Operation, Order, utc_now
from sgpshop.services import settings
from sgpshop.services.orders import alerts
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import acts, transaction_lookup
from sgpshop.services.payments.acts import OperationRequest, RefundNotConfirmed
from tests.factories import authorized_order, fresh
from tests.faults.judging import settle
from tests.gateway_world import Killed, World
from tests.seeds import each_once
from tests.services.acting import TANAKA, correct, effects, last_attempt, run_act, seen

pytestmark = pytest.mark.long

S = PaymentStatus
REFUND = OperationRequest(Operation.REFUND_DIFFERENCE, is_sum_confirmed=True)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


def sold_elsewhere(shop: World, total: int = 2000) -> Order:
    """An order corrected from 3,000 to `total`; before that was sent, the console sold the 3,000."""
    order = correct(authorized_order(shop, told=True), total)
    shop.gateway.capture(access(shop, order), 3000)
    return looked_up(order)


def access(shop: World, order: Order) -> TradeAccess:
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    return trade.access


def looked_up(order: Order) -> Order:
    """After 照合."""
    assert order.transaction is not None
    transaction_lookup.look_soon(order.id)
    transaction_lookup.look_up(order.transaction.id)
    return fresh(order)


def refund(order: Order, wish: OperationRequest = REFUND) -> Order:
    """Press 差額を返金 and confirm it."""
    run_act(acts.open_attempt(order.id, wish, seen(order), TANAKA))
    return fresh(order)


def is_offered(order: Order) -> bool:
    return button(Act.REFUND_DIFFERENCE, fresh(order), settings.load(), utc_now()).is_enabled


def kinds(order: Order) -> set[AlertKind]:
    """What is still to be acknowledged."""
    return {alert.kind for alert in alerts.open_of(order.id)}


def explained(order: Order) -> list[str]:
    return [problem.what for problem in Verification([order.id]).problems()]


@pytest.mark.postgresql
def test_what_was_taken_too_much_goes_back(shop: World) -> None:  # protocol.md §3.4, §3.5
    order = sold_elsewhere(shop)
    assert order.payment_status is S.CAPTURED
    assert AlertKind.AMOUNT_DIFFERS in kinds(order)
    assert is_offered(order)
    order = refund(order)
    assert order.payment_status is S.CAPTURED
    assert order.transaction is not None
    assert order.transaction.captured_amount == order.transaction.gateway_amount == 2000
    trade = shop.trade(order.order_no)
    assert (trade["status"], trade["amount"]) == ("CAPTURE", 2000)
    assert AlertKind.AMOUNT_DIFFERS not in kinds(order)
    closed = db.session.scalars(
        sa.select(Alert).where(Alert.order_id == order.id, Alert.kind == AlertKind.AMOUNT_DIFFERS)
    ).one()
    assert closed.acknowledged_by == "田中"
    assert not is_offered(order)
    assert explained(order) == []


@pytest.mark.parametrize("total", [3000, 4000])
def test_it_is_no_part_refund_of_the_right_amount(shop: World, total: int) -> None:  # R100
    order = sold_elsewhere(shop, total)
    assert order.payment_status is S.CAPTURED
    assert not is_offered(order)
    with pytest.raises(NotPossible):
        refund(order)
    assert shop.requests(order.order_no, "ChangeTran") == []


def test_it_is_confirmed_a_second_time(shop: World) -> None:  # S21
    order = sold_elsewhere(shop)
    with pytest.raises(RefundNotConfirmed):
        refund(order, OperationRequest(Operation.REFUND_DIFFERENCE))
    assert fresh(order).open_attempt is None


@pytest.mark.parametrize(
    ("api", "fault"),
    each_once(
        ["SearchTrade", "ChangeTran"],
        [
            "drop_before",
            "drop_after",
            "garbage",
            "error:E92000001",
            "error_after:E91019999",
            "killed",
        ],
        always=["ChangeTran"],
    ),
)
def test_whatever_gets_lost_it_goes_back_once(shop: World, api: str, fault: str) -> None:  # P1
    order = sold_elsewhere(shop)
    if fault == "killed":
        shop.wire.die_at(api)
    else:
        shop.fault(fault, api)
    with contextlib.suppress(Killed):
        refund(order)
    shop.behave()
    settle(order.id)
    if is_offered(order):  # proved not carried out: press again
        refund(order)
        settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert effects(shop, order) == [("SALES", 3000), ("CHANGE", 2000)]
    assert explained(order) == []


def test_a_decline_leaves_the_sale_as_it_is(shop: World) -> None:  # protocol.md §3.5
    order = sold_elsewhere(shop)
    shop.fault("error:42G550000", "ChangeTran")
    order = refund(order)
    assert order.payment_status is S.CAPTURED
    assert last_attempt(order).error_codes == "42G550000"
    assert shop.trade(order.order_no)["amount"] == 3000
    assert is_offered(order)
    assert AlertKind.AMOUNT_DIFFERS in kinds(order)


@pytest.mark.postgresql
@pytest.mark.parametrize(("there", "calls"), [(2000, 1), (2500, 1)])
def test_changed_in_the_console_meanwhile_nothing_is_sent(
    shop: World, there: int, calls: int
) -> None:  # P20
    order = sold_elsewhere(shop)
    shop.gateway.change_amount(access(shop, order), there, job=Job.CAPTURE)
    order = refund(order)
    assert order.payment_status is S.CAPTURED
    assert order.transaction is not None
    assert order.transaction.captured_amount == there
    assert len(shop.requests(order.order_no, "ChangeTran")) == calls
    assert is_offered(order) is (there > 2000)
    assert explained(order) == []


@pytest.mark.postgresql
def test_cancelled_in_the_console_meanwhile_it_is_cancelled(shop: World) -> None:  # P18
    order = sold_elsewhere(shop)
    shop.gateway.cancel(access(shop, order), Cancellation.VOID)
    assert refund(order).payment_status is S.CANCELLED
    assert shop.requests(order.order_no, "ChangeTran") == []
