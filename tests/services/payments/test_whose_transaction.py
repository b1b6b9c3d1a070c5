"""A file's 取引ID is a claim: no order is acted on by the access data of another one (P3, P14)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_rules import capture_refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import TradeAccess
from sgpshop.models import (
    Alert,
    Attempt,
    AttemptState,
    CardTransaction,
    ImportRun,
    Operation,
    Order,
)
from sgpshop.services.order_files import mending
from sgpshop.services.orders.facts import load_facts
from sgpshop.services.payments import acts, runner, transaction_lookup
from sgpshop.storage.database import writing
from tests.factories import fresh, make_order, order_number
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, press, seen
from tests.services.importing import counts, messages, take_in
from tests.services.order_csv import row

pytestmark = pytest.mark.long

S = PaymentStatus
TOTAL = 2500


def take_in_with(order_no: str, access: TradeAccess) -> ImportRun:
    """A file says of this order that it is 仮売上 by that transaction."""
    return take_in(_row(order_no, access))


def _row(order_no: str, access: TradeAccess) -> dict[str, str]:
    return row(
        注文番号=order_no,
        決済方法ステータス="仮売上",
        取引ID=access.access_id,
        取引パスワード=access.access_pass,
        オーソリ金額=str(TOTAL),
        承認日時=f"{datetime.now(UTC):%Y/%m/%d %H:%M}",
    )


def the_order(order_no: str) -> Order:
    db.session.rollback()
    return db.session.scalars(sa.select(Order).where(Order.order_no == order_no)).one()


def look_up(order_no: str) -> Order:
    """The look-up that the worker makes."""
    transaction = the_order(order_no).transaction
    assert transaction is not None
    transaction_lookup.look_soon_at([transaction.id])
    transaction_lookup.look_up(transaction.id)
    return fresh(the_order(order_no))


def open_alerts(order: Order) -> list[AlertKind]:
    wanted = sa.select(Alert.kind).where(
        Alert.order_id == order.id, Alert.acknowledged_at.is_(None)
    )
    return list(db.session.scalars(wanted))


def change(order: Order, **values: object) -> None:
    """A row as an earlier version, or a file with a mistake, left it."""
    with writing() as session:
        session.execute(
            sa.update(CardTransaction).where(CardTransaction.order_id == order.id).values(**values)
        )


def claim(shop: World, order_no: str, of: TradeAccess) -> Order:
    """An order whose file names the transaction of an order that we do not have."""
    assert counts(take_in_with(order_no, of)) == {"added": 1}
    return the_order(order_no)


@pytest.mark.postgresql
def test_an_order_of_a_file_is_captured_once_the_look_up_showed_its_transaction(
    shop: World,
) -> None:
    number = order_number()
    take_in_with(number, shop.authorize(number, TOTAL))
    with pytest.raises(NotPossible, match="まだ受け取っていません"):
        press(the_order(number), Operation.CAPTURE)
    assert press(look_up(number), Operation.CAPTURE).payment_status is S.CAPTURED
    assert shop.sales(number) == 1


def test_one_transaction_for_two_orders_of_a_file_is_refused_and_named(shop: World) -> None:
    first, second = order_number(), order_number()
    access = shop.authorize(first, TOTAL)
    run = take_in(_row(first, access), _row(second, access))
    assert counts(run) == {"added": 1, "left_out": 1}
    [message] = messages(run)
    assert first in message
    assert press(look_up(first), Operation.CAPTURE).payment_status is S.CAPTURED
    again = take_in_with(second, access)
    assert counts(again) == {"left_out": 1}
    assert first in messages(again)[0]


@pytest.mark.parametrize("has_its_own", [True, False])
def test_access_to_another_payment_never_captures_it(shop: World, has_its_own: bool) -> None:
    number, other = order_number(), order_number()
    access = shop.authorize(other, TOTAL)
    if has_its_own:
        shop.authorize(number, TOTAL)
    order = claim(shop, number, access)
    for _ in range(2):
        with pytest.raises(NotPossible):
            press(order, Operation.CAPTURE)
        assert capture_refusal(load_facts([order.id])[order.id])  # nor in a bulk run
        order = look_up(number)
    assert shop.sales(other) == 0
    wanted = AlertKind.OTHER_TRANSACTION if has_its_own else AlertKind.HOLD_MISSING
    assert open_alerts(order) == [wanted]


def test_nothing_is_done_to_a_payment_whose_access_does_not_match(shop: World) -> None:
    number, other = order_number(), order_number()
    shop.authorize(number, TOTAL)
    claim(shop, number, shop.authorize(other, TOTAL))
    order = look_up(number)
    shop.fault("drop_before", "SearchTrade")
    order = look_up(number)  # not answered: that takes nothing back
    for operation in (Operation.CAPTURE, Operation.CHANGE_AMOUNT, Operation.EXTEND):
        with pytest.raises(NotPossible):
            press(order, operation)
    with pytest.raises(NotPossible, match="取引IDは、SMBC-GPにあるこのオーダーIDの取引のもの"):
        cancel(order)
    assert not db.session.query(Attempt).filter_by(order_id=order.id).all()


def test_a_later_file_puts_the_access_data_right(shop: World) -> None:
    number, other = order_number(), order_number()
    right = shop.authorize(number, TOTAL)
    order = claim(shop, number, shop.authorize(other, TOTAL))
    assert open_alerts(look_up(number)) == [AlertKind.OTHER_TRANSACTION]
    assert counts(take_in_with(number, right)) == {"updated": 1}
    order = look_up(number)
    assert open_alerts(order) == []
    assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
    assert (shop.sales(number), shop.sales(other)) == (1, 0)


def test_a_later_file_takes_no_transaction_away_that_was_seen(shop: World) -> None:
    number, other = order_number(), order_number()
    take_in_with(number, shop.authorize(number, TOTAL))
    order = look_up(number)
    take_in_with(number, shop.authorize(other, TOTAL))
    assert press(order, Operation.CAPTURE).payment_status is S.CAPTURED
    assert (shop.sales(number), shop.sales(other)) == (1, 0)


@pytest.mark.postgresql
def test_a_capture_accepted_by_an_earlier_version_looks_first(shop: World) -> None:
    number, other = order_number(), order_number()
    shop.authorize(number, TOTAL)
    order = claim(shop, number, shop.authorize(other, TOTAL))
    change(order, gateway_state="AUTH")  # so that it is accepted, as it was once
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    change(order, gateway_state=None)
    runner.run_operation(attempt_id)
    db.session.expire_all()
    assert db.session.get_one(Attempt, attempt_id).state is AttemptState.REJECTED
    assert (shop.sales(number), shop.sales(other)) == (0, 0)


@pytest.mark.postgresql
def test_orders_that_earlier_versions_captured_by_one_transaction_are_told(shop: World) -> None:
    number, other = order_number(), order_number()
    shop.authorize(number, TOTAL)
    access = shop.authorize(other, TOTAL)
    order = claim(shop, number, access)
    make_order(access=access, total=TOTAL)
    with writing() as session:
        session.get_one(Order, order.id).payment_status = S.CAPTURED
    change(order, gateway_state="SALES", captured_amount=TOTAL, next_look_at=None)
    mending.mend()  # at the first start of the worker
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_up(transaction.id)
    assert open_alerts(order) == [AlertKind.OTHER_TRANSACTION]
    with pytest.raises(NotPossible):
        cancel(fresh(order))
