"""What a look-up decides on is what SMBC-GP has now, not what our books or a number meant before (P17, P18)."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import CardTransaction, Operation, Order
from sgpshop.services.payments import transaction_lookup, transaction_numbers
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import press
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_earlier_transactions import make_due, told, transaction_of
from tests.services.payments.test_numbers_of_others import looked_up

pytestmark = pytest.mark.long

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1}


@pytest.fixture
def order(shop: World) -> Order:
    """予約, 仮売上: its card was found valid."""
    open_shop()
    shop.gateway.check_card("7001", GOOD_CARD)
    take_in(row(注文番号="7001", 予約フラグ="1"))
    return looked_up("7001")


def paid_at(shop: World, number: str) -> None:
    """What a call of ours entered, and the card company refused, is paid in the console after all."""
    trade = shop.gateway.search_trade(number)
    assert trade is not None
    shop.gateway.execute(trade.access, GOOD_CARD, job=Job.CAPTURE)


def test_of_two_payments_of_which_smbc_gp_told_neither_is_forgotten(
    shop: World, order: Order
) -> None:
    """The first counts, as the second was unpaid when it was seen last; that look is made all the same."""
    for _ in range(2):
        shop.fault("error:42G120000", "ExecTran", times=1)
        press(fresh(order), Operation.CAPTURE)
        settle(order.id)
    shop.behave()
    make_due("7001-2")
    transaction_lookup.look_up(transaction_of("7001-2").id)
    assert transaction_of("7001-2").gateway_state == "UNPROCESSED"
    for number in ("7001-1", "7001-2"):
        paid_at(shop, number)
        make_due(number)
    transaction_lookup.look_up(transaction_of("7001-1").id)
    for _ in range(2):
        work_off(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert {transaction_of(one).gateway_state for one in ("7001-1", "7001-2")} == {"CAPTURE"}
    assert AlertKind.EARLIER_IS_LIVE in told(order)


def meant_and_taken(shop: World, order: Order) -> None:
    """`7001-1` is the number a capture of this order meant to use; another's payment stands there."""
    shop.wire.cut_off("EntryTran")
    press(order, Operation.CAPTURE)
    settle(order.id)
    shop.wire.cut_off()
    shop.authorize("7001-1", 9000)


def test_a_look_up_of_a_number_that_was_given_to_another_order_says_nothing(
    shop: World, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file brings the order `7001-1`, of which number this one was looked up just then."""
    meant_and_taken(shop, order)
    make_due("7001-1")
    ask = shop.gateway.search_trade

    def slow(number: str) -> Any:
        seen = ask(number)
        monkeypatch.setattr(shop.gateway, "search_trade", ask)
        take_in(row(注文番号="7001-1", 合計金額="9000"))
        return seen

    monkeypatch.setattr(shop.gateway, "search_trade", slow)
    transaction_lookup.look_up(transaction_of("7001-1").id)
    transaction = fresh(order).transaction
    assert transaction is not None
    assert transaction.gateway_order_id == "7001-2"
    assert told(order) == []
    assert looked_up("7001-1").payment_status is S.AUTHORIZED


def test_a_look_up_that_begins_while_the_number_is_given_away_counts_for_itself(
    shop: World, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts without the order's lock, after this order's number was read: neither count is lost."""
    meant_and_taken(shop, order)
    before, next_sequence = transaction_of("7001-1").looks, transaction_numbers._next_sequence

    def slow(of: Order) -> int:
        sequence = next_sequence(of)
        begins = sa.update(CardTransaction).where(CardTransaction.gateway_order_id == "7001-1")
        db.session.connection().execute(begins.values(looks=CardTransaction.looks + 1))
        return sequence

    monkeypatch.setattr(transaction_numbers, "_next_sequence", slow)
    take_in(row(注文番号="7001-1", 合計金額="9000"))
    assert transaction_of("7001-2").looks == before + 2
