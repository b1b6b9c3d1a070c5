"""Orders `1001` and `1001-1`: numbers with hyphens are the shop's own, and no order takes another's (P1)."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Operation, Order
from sgpshop.services.orders import alerts
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.reconciliation import ledgers
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import cancel, press
from tests.services.arriving import open_shop
from tests.services.order_csv import row
from tests.services.order_files.test_order_import import take_in
from tests.services.payments.test_earlier_transactions import make_due, told, transaction_of

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture(autouse=True)
def _open(shop: World) -> None:
    open_shop()


def order_of(number: str) -> Order:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(sa.select(Order).where(Order.order_no == number)).one()


def looked_up(number: str) -> Order:
    make_due(number)
    transaction_lookup.look_up(transaction_of(number).id)
    return order_of(number)


def amounts() -> dict[str, int | None]:
    rows = db.session.execute(
        sa.select(CardTransaction.gateway_order_id, CardTransaction.gateway_amount)
    )
    return {row.gateway_order_id: row.gateway_amount for row in rows}


@pytest.mark.postgresql
def test_both_in_the_books_each_has_its_own_payment(shop: World) -> None:
    shop.authorize("1001", 2500)
    shop.authorize("1001-1", 2500)
    take_in(row(注文番号="1001"), row(注文番号="1001-1"))
    for number in ("1001", "1001-1"):
        assert looked_up(number).payment_status is S.AUTHORIZED
    assert amounts() == {"1001": 2500, "1001-1": 2500}
    assert told(order_of("1001")) == []
    assert {found.verdict for found in ledgers.compare()} == {ledgers.Verdict.AGREES}


def test_not_paid_yet_beside_another_that_is(shop: World) -> None:
    shop.enter("1001", 2500)
    shop.authorize("1001-1", 2500)
    take_in(row(注文番号="1001"), row(注文番号="1001-1"))
    assert looked_up("1001").payment_status is S.NEEDS_REVIEW
    assert looked_up("1001-1").payment_status is S.AUTHORIZED
    [found] = ledgers.compare(["1001"])
    assert found.left == ()


def test_a_subscription_beside_another_waits_for_its_billing(shop: World) -> None:
    shop.gateway.check_card("1001", GOOD_CARD)
    shop.authorize("1001-1", 2500)
    take_in(
        row(注文番号="1001", 定期購入ID="T-7", 定期回数="1", 決済方法ステータス="決済待ち"),
        row(注文番号="1001-1"),
    )
    assert looked_up("1001").payment_status is S.AWAITING_BILLING
    assert looked_up("1001-1").payment_status is S.AUTHORIZED
    assert told(order_of("1001")) == []


class TestANumberOurBooksDoNotKnow:
    """It may be an order that no file brought yet."""

    @pytest.fixture
    def order(self, shop: World) -> Order:
        shop.authorize("5001", 2500)
        shop.authorize("5001-1", 9000)
        take_in(row(注文番号="5001"))
        return looked_up("5001")

    def test_is_told_and_the_own_payment_stays(self, order: Order) -> None:
        assert order.payment_status is S.AUTHORIZED
        assert amounts() == {"5001": 2500}
        [alert] = alerts.open_of(order.id)
        assert alert.kind is AlertKind.EARLIER_IS_LIVE
        assert "5001-1 仮売上 9,000円" in alert.facts
        assert "5001 仮売上" not in alert.facts

    def test_cancelling_voids_the_own_payment_only(self, shop: World, order: Order) -> None:
        assert cancel(order).payment_status is S.CANCELLED
        assert shop.trade("5001")["status"] == "VOID"
        assert shop.trade("5001-1")["status"] == "AUTH"

    def test_capturing_takes_the_own_payment_only(self, shop: World, order: Order) -> None:
        assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
        assert shop.trade("5001")["status"] == "SALES"
        assert shop.trade("5001-1")["status"] == "AUTH"

    def test_its_order_may_come_with_the_next_file(self, order: Order) -> None:
        take_in(row(注文番号="5001-1", 合計金額="9000", 単価="4250"))
        assert looked_up("5001-1").payment_status is S.AUTHORIZED
        assert amounts() == {"5001": 2500, "5001-1": 9000}
