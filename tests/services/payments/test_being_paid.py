"""An order that is still being paid is left out of selections, named; its refusal always works (P2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_rules import DeliveryRefusal
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.errors import NotPossible, OrderNotFound
from sgpshop.domain.handling import Handling
from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    CHECKOUTS,
    Alert,
    BulkItem,
    HistoryEntry,
    Notification,
    NotificationLook,
    NotificationState,
    Operation,
    Order,
    SlipRow,
)
from sgpshop.models.base import Base
from sgpshop.services import intake
from sgpshop.services.bulk import actions, runs
from sgpshop.services.bulk.selection import weigh
from sgpshop.services.deliveries import slips
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.orders import alerts, notes, parcels
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.parcels import ParcelSlips
from sgpshop.services.payments import acts, notifications, transaction_lookup
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.storage.database import writing
from tests.gateway_world import World
from tests.notifying import received, tell
from tests.services.acting import TANAKA, seen
from tests.services.arriving import (
    GOOD,
    SHOP_FRONT,
    SHORT_OF_MONEY,
    new_order,
    open_shop,
    orders,
)
from tests.services.running import prepare
from tests.services.slip_files import prepare as hand_in
from tests.services.slip_files import slip, slip_file, start, tanaka
from tests.waiting import watched_background

pytestmark = pytest.mark.long


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture(autouse=True)
def _open(app: Flask, shop: World) -> Iterator[None]:
    open_shop()
    with watched_background(app):
        yield


@pytest.fixture
def while_paying(shop: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let something be done with the order while its card is being asked for."""

    def arrange(act: Callable[[Order], None]) -> None:
        execute = shop.gateway.execute

        def slowly(*args: Any, **more: Any) -> Any:
            [order] = orders()
            act(order)
            db.session.rollback()
            return execute(*args, **more)

        monkeypatch.setattr(shop.gateway, "execute", slowly)

    return arrange


def tick(order: Order, action: str) -> str:
    return prepare([order], tanaka(), action)


def left_out(run_id: str) -> list[Any]:
    return runs.preview(run_id, tanaka().id).left_out


@pytest.mark.postgresql
def test_what_waited_until_it_was_refused_finds_no_order(
    shop: World, while_paying: Callable[..., None]
) -> None:
    """Pressed, or sent by a program, between the card company's question and its no."""
    waiting: list[tuple[int, Seen]] = []
    while_paying(lambda order: waiting.append((order.id, seen(order))))
    with pytest.raises(intake.Declined):
        intake.place(new_order(shop, card=SHORT_OF_MONEY), SHOP_FRONT)
    [(order_id, what)] = waiting
    with pytest.raises(OrderNotFound):
        acts.open_attempt(order_id, OperationRequest(Operation.CAPTURE), what, TANAKA)
    with pytest.raises(OrderNotFound):
        parcels.deliver(order_id, what, TANAKA, [0])


@pytest.mark.postgresql
def test_it_is_left_out_and_named(shop: World, while_paying: Callable[..., None]) -> None:
    said: list[Any] = []

    def choose(order: Order) -> None:
        said.append(weigh([order.id], actions.find("sgp_capture")).left_out)
        said.append(left_out(tick(order, "sgp_capture")))
        said.append(left_out(tick(order, "deliver")))
        run_id = hand_in(slip_file(slip(order)))
        said.append(slips.preview(slips.get(run_id)).to_do)
        said.append([(row.result.value, row.message[:6]) for row in slip_rows(run_id)])

    while_paying(choose)
    intake.place(new_order(shop), SHOP_FRONT)
    assert said == [
        ((Refusal.BEING_PAID, 1),),
        [(Refusal.BEING_PAID, 1)],
        [(DeliveryRefusal.BEING_PAID, 1)],
        0,
        [("failed", "購入手続き中")],
    ]
    [order] = orders()
    assert order.payment_status is PaymentStatus.AUTHORIZED


def slip_rows(run_id: str) -> list[SlipRow]:
    db.session.rollback()
    return db.session.query(SlipRow).filter_by(run_id=run_id).populate_existing().all()


def test_a_refusal_works_whatever_refers_to_the_order(
    shop: World, while_paying: Callable[..., None]
) -> None:
    files: list[str] = []
    prepared: list[str] = []

    def refer(order: Order) -> None:
        prepared.extend((tick(order, "sgp_capture"), tick(order, "deliver")))
        files.append(hand_in(slip_file(slip(order))))
        transaction_lookup.look_soon_at_orders([order.id])
        assert tell(order.order_no) is NotificationState.WAITING
        assert order.transaction is not None
        with writing() as session:
            session.add(Alert(order_id=order.id, kind=AlertKind.UNCOLLECTED, facts="…"))
            session.add(NotificationLook(transaction_id=order.transaction.id))

    while_paying(refer)
    new = new_order(shop, card=SHORT_OF_MONEY)
    with pytest.raises(intake.Declined):  # at once, and with the bank's reason
        intake.place(new, SHOP_FRONT)
    assert orders() == []
    assert db.session.query(BulkItem).count() == db.session.query(Alert).count() == 0
    [row] = slip_rows(files[0])
    assert row.order_no == new.order_no
    assert "受け付けられませんでした" in row.message
    [notice] = db.session.query(Notification).populate_existing()
    assert notice.state is NotificationState.UNMATCHED
    assert notifications.ask_for_looks() == 0
    assert [runs.preview(one, tanaka().id).nothing_to_do for one in prepared] == [True, True]


def _memo(order: Order) -> None:
    notes.save(order.id, seen(order), TANAKA, Handling.ON_HOLD, "急ぎ")


def _slip_number(order: Order) -> None:
    given = ParcelSlips(order.deliveries[0].number, "", ["1234567890"])
    parcels.register_slips(order.id, seen(order), TANAKA, given, delivers=False)


def _status(order: Order) -> None:
    wanted = {order.deliveries[0].number: DeliveryStatus.INSTRUCTED}
    parcels.change_statuses(order.id, seen(order), TANAKA, wanted)


def _acknowledge(order: Order) -> None:
    with writing() as session:
        alerts.raise_once(session, order, AlertKind.UNCOLLECTED, found="…")
    [alert] = db.session.query(Alert)
    alerts.acknowledge(order.order_no, alert.id, TANAKA, "")


@pytest.mark.parametrize("act", [_memo, _slip_number, _status, _acknowledge])
def test_nothing_is_written_down_of_it_until_the_answer_is_here(
    shop: World, while_paying: Callable[..., None], act: Callable[[Order], None]
) -> None:
    """Its refusal would find a history, and the shop front be told that the order is here."""
    told: list[str] = []

    def press(order: Order) -> None:
        with pytest.raises(NotPossible) as refused:
            act(order)
        told.append(refused.value.reason)

    while_paying(press)
    with pytest.raises(intake.Declined):
        intake.place(new_order(shop, card=SHORT_OF_MONEY), SHOP_FRONT)
    assert orders() == []
    intake.place(new_order(shop), SHOP_FRONT)
    assert told == [Refusal.BEING_PAID.value] * 2
    [order] = orders()
    first = db.session.scalars(sa.select(HistoryEntry.event).order_by(HistoryEntry.id)).first()
    assert first == "received"
    act(order)  # paid: now it may be


def test_the_number_can_be_handed_in_again(shop: World, while_paying: Callable[..., None]) -> None:
    def refer(order: Order) -> None:
        if not db.session.query(SlipRow).count():
            hand_in(slip_file(slip(order)))
            tell(order.order_no)

    while_paying(refer)
    new = new_order(shop, card=SHORT_OF_MONEY)
    with pytest.raises(intake.Declined):
        intake.place(new, SHOP_FRONT)
    again = replace(new, payment=CardSource(token=shop.token(GOOD)))
    assert intake.place(again, SHOP_FRONT).is_new
    [notice] = received()  # belongs to it now
    assert notice.state is NotificationState.WAITING


def test_a_file_prepared_before_the_refusal_has_nothing_left_to_start(
    shop: World, while_paying: Callable[..., None]
) -> None:
    files: list[str] = []
    while_paying(lambda order: files.append(hand_in(slip_file(slip(order)))))
    with pytest.raises(intake.Declined):
        intake.place(new_order(shop, card=SHORT_OF_MONEY), SHOP_FRONT)
    with pytest.raises(Exception, match="処理できる行がありません"):
        start(files[0])


def test_every_operation_of_a_buyer_counts_as_being_paid() -> None:
    from sgpshop.domain.order_rules import _CHECKOUTS

    assert {Operation(word) for word in _CHECKOUTS} == CHECKOUTS


def test_nothing_new_refers_to_orders_unless_a_refusal_lets_go_of_it() -> None:
    """A table with a new reference must be thought of in checkouts.refuse, or cascade."""
    kept = {
        (table.name, key.column.table.name)
        for table in Base.metadata.sorted_tables
        for key in (
            fk for constraint in table.foreign_key_constraints for fk in constraint.elements
        )
        if key.column.table.name in ("orders", "attempts", "card_transactions") and not key.ondelete
    }
    assert kept == {
        ("attempts", "orders"),  # taken back with the order
        ("attempts", "card_transactions"),
        ("late_answers", "attempts"),
        ("bulk_items", "orders"),  # let go of
        ("bulk_items", "attempts"),
        ("slip_rows", "orders"),
        ("slip_rows", "attempts"),
        ("history", "orders"),  # what has a history is not taken back
        ("history", "attempts"),
        ("billings", "orders"),  # what was billed was paid before
        ("billings", "attempts"),
        ("money_movements", "orders"),  # so was what money moved for
        ("money_movements", "card_transactions"),
        ("approvals", "attempts"),  # nothing is asked for of an order that is being paid
    }
