"""What is kept of orders that wait for their money follows whoever changes these, their parcels or transactions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_rules import LIVE_STATES
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import StoredCard
from sgpshop.models import CardTransaction, Delivery, Order, OrderKind, OrderWait, utc_now
from sgpshop.services.order_search import waits
from sgpshop.services.payments import stored_cards, transaction_lookup
from sgpshop.storage.database import writing
from tests.factories import make_order
from tests.waiting import is_anybody_locked_out, wait_until

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("shop")]
S, P = PaymentStatus, ProcessingClass
NOON = datetime.fromisoformat("2026-12-24T12:00:00+09:00")
DAY = date(2026, 12, 24)


@pytest.fixture
def shop(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        db.session.remove()


def waiting(kind: OrderKind = OrderKind.SUBSCRIPTION) -> Order:
    status = S.AWAITING_BILLING if kind is OrderKind.SUBSCRIPTION else S.AUTHORIZED
    return make_order(kind=kind, status=status)


def kept() -> list[OrderWait]:
    """All rows, having looked whether they are right, in plain words."""
    db.session.rollback()
    db.session.expire_all()
    rows = {row.order_id: row for row in db.session.scalars(sa.select(OrderWait))}
    for order in db.session.scalars(sa.select(Order)):
        row = rows.get(order.id)
        assert (row is not None) == waits_for_money(order)
        if row is not None:
            assert {name: getattr(row, name) for name in vars_of(order)} == vars_of(order)
    assert waits.compare() == 0
    return list(rows.values())


def waits_for_money(order: Order) -> bool:
    if order.kind is OrderKind.SUBSCRIPTION:
        return order.payment_status is S.AWAITING_BILLING
    return order.kind is OrderKind.PREORDER and order.payment_status in CAPTURABLE


def vars_of(order: Order) -> dict[str, Any]:
    transactions = db.session.scalars(
        sa.select(CardTransaction).where(CardTransaction.order_id == order.id)
    ).all()
    parcels, done = order.deliveries, (DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED)
    is_back_for_good = order.processing_class is P.RETURNED and bool(order.cancel_waived_at)
    return {
        "kind": order.kind,
        "status": order.payment_status,
        "total": order.total,
        "is_through": order.processing_class is P.DELIVERED or is_back_for_good,
        "ships_on": min((one.wish_date for one in parcels if one.wish_date), default=waits.NEVER),
        "left_at": max((one.delivered_at for one in parcels if one.delivered_at), default=None),
        "seems_gone": order.processing_class is P.UNPROCESSED
        and any(one.slip_no or one.status in done for one in parcels),
        "is_suspect": any(
            one.gateway_state in LIVE_STATES
            or (
                one.looks > 0
                and one.card_seq is None
                and not one.member_id
                and one.gateway_state != "CHECK"
            )
            for one in transactions
        ),
    }


def change(model: type[Order | CardTransaction | Delivery], **values: object) -> list[OrderWait]:
    with writing() as session:
        session.execute(sa.update(model).values(**values))
    return kept()


def test_an_order_has_a_row_for_as_long_as_it_waits() -> None:
    make_order()
    assert kept() == []
    waiting(), waiting(OrderKind.PREORDER)
    assert len(kept()) == 2
    assert len(change(Order, payment_status=S.AWAITING_BILLING)) == 1
    assert len(change(Order, kind=OrderKind.SUBSCRIPTION)) == 3  # all
    assert change(Order, kind=OrderKind.NORMAL) == []
    assert len(change(Order, kind=OrderKind.PREORDER, payment_status=S.CAPTURE_FAILED)) == 3
    assert [row.total for row in change(Order, total=7)] == [7, 7, 7]
    with writing() as session:
        session.delete(session.scalars(sa.select(Order).limit(1)).one())
    assert len(kept()) == 2
    assert change(Order, payment_status=S.CAPTURED) == []


def test_it_follows_the_parcels() -> None:
    order = waiting()
    [row] = change(Delivery, wish_date=DAY)
    assert (row.ships_on, row.left_at, row.seems_gone, row.is_through) == (DAY, None, False, False)
    assert change(Delivery, slip_no="123")[0].seems_gone
    assert not change(Delivery, slip_no="")[0].seems_gone
    with writing() as session:  # another, as a row alone
        session.execute(
            sa.insert(Delivery).values(
                order_id=order.id, number=2, wish_date=date(2026, 12, 20), status="delivered"
            )
        )
    [row] = kept()
    assert (row.ships_on, row.seems_gone) == (date(2026, 12, 20), True)
    with writing() as session:
        session.execute(sa.delete(Delivery).where(Delivery.number == 2))
    assert kept()[0].ships_on == DAY
    assert change(Delivery, delivered_at=NOON, status=DeliveryStatus.DELIVERED)[0].left_at == NOON
    [row] = change(Order, processing_class=P.DELIVERED)
    assert (row.is_through, row.seems_gone) == (True, False)
    assert not change(Order, processing_class=P.RETURNED)[0].is_through
    assert change(Order, cancel_waived_at=NOON)[0].is_through
    assert change(Delivery, delivered_at=None)[0].left_at is None


def test_it_follows_parcels_that_come_and_go_together() -> None:
    orders = waiting(), waiting(OrderKind.PREORDER), make_order(), waiting()
    *some, _ = sorted(order.id for order in orders)
    with writing() as session:
        session.execute(
            sa.insert(Delivery),
            [{"order_id": its, "number": n, "wish_date": DAY} for its in some for n in (2, 3)],
        )
    assert sorted(row.ships_on for row in kept()) == [DAY, DAY, waits.NEVER]
    with writing() as session:
        session.execute(sa.delete(Delivery).where(Delivery.order_id.in_(some)))
    assert [row.ships_on for row in kept()] == [waits.NEVER] * 3


def test_it_follows_the_transactions() -> None:
    order = waiting()
    for is_suspect, values in (
        (False, {"gateway_state": None, "looks": 0}),
        (True, {"looks": 1}),  # and nothing shows a card
        (False, {"gateway_state": "CHECK"}),
        (True, {"gateway_state": "AUTH"}),
        (True, {"gateway_state": "VOID"}),
        (False, {"member_id": "M1"}),
        (True, {"member_id": ""}),
        (False, {"card_seq": 0}),
        (True, {"gateway_state": "SALES"}),
        (False, {"gateway_state": "CHECK"}),
    ):
        assert change(CardTransaction, **values)[0].is_suspect is is_suspect
    with writing() as session:  # the next of its transactions, as a row alone
        session.execute(
            sa.insert(CardTransaction).values(
                order_id=order.id,
                sequence=1,
                is_current=False,
                gateway_order_id="x-1",
                gateway_state="CAPTURE",
            )
        )
    assert kept()[0].is_suspect
    with writing() as session:
        session.execute(sa.delete(CardTransaction).where(CardTransaction.sequence == 1))
    assert not kept()[0].is_suspect


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Delivery, {"slip_no": "123", "delivered_at": NOON}),
        (Order, {"processing_class": P.DELIVERED}),
        (Order, {"payment_status": S.CANCELLED}),
    ],
)
def test_a_look_up_that_begins_meanwhile_takes_nothing_back(
    app: Flask, model: type[Order | Delivery], values: dict[str, object]
) -> None:
    """It does not lock the order, and waits for who changes it where it says that it looks."""
    waiting()
    change(CardTransaction, looks=0, next_look_at=utc_now())
    transaction_id = db.session.scalars(sa.select(CardTransaction.id)).one()
    db.session.commit()

    def look() -> None:
        with app.app_context():
            transaction_lookup._claim(transaction_id)
            db.session.remove()

    looks = threading.Thread(target=look)
    with db.engine.begin() as another:
        another.execute(sa.update(model).values(**values))
        looks.start()
        wait_until(is_anybody_locked_out)
    looks.join()
    kept()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_who_keeps_a_card_waits_for_the_order_in_no_circle(app: Flask) -> None:
    order = waiting()
    order_id, number, card = order.id, order.order_no, StoredCard("M1", 0, "*1111")
    with writing() as session:
        further = {"sequence": 1, "is_current": False, "gateway_order_id": "x-1"}
        session.execute(sa.insert(CardTransaction).values(order_id=order_id, **further))
    kept_cards = []

    def keep() -> None:
        with app.app_context():
            kept_cards.append(stored_cards._remember(order_id, card, number, "1111"))
            db.session.remove()

    keeps = threading.Thread(target=keep)
    with db.engine.begin() as another:
        another.execute(sa.select(Order.id).where(Order.id == order_id).with_for_update())
        keeps.start()
        wait_until(is_anybody_locked_out)
        another.execute(sa.update(Delivery).values(slip_no="123"))
    keeps.join()
    assert len(kept_cards) == 1
    assert kept()[0].seems_gone


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_look_up_that_is_not_the_first_waits_for_nobody(database_kind: str) -> None:
    """Whoever changes the order at that moment comes to its transaction later, as a file does."""
    waiting()
    change(CardTransaction, looks=1, next_look_at=utc_now())
    transaction_id = db.session.scalars(sa.select(CardTransaction.id)).one()
    db.session.commit()
    with db.engine.begin() as another:
        another.execute(sa.update(Order).values(total=7))
        assert transaction_lookup._claim(transaction_id) is not None
        another.execute(sa.update(CardTransaction).values(next_look_at=utc_now()))
    kept()


def break_off() -> None:
    with writing() as session:
        session.execute(sa.update(Order).values(payment_status=S.CANCELLED))
        session.execute(sa.update(Delivery).values(wish_date=DAY))
        assert db.session.scalar(sa.select(OrderWait.order_id)) is None
        raise KeyboardInterrupt


def test_what_is_taken_back_or_killed_leaves_it_true() -> None:
    waiting()
    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [row.ships_on for row in kept()] == [waits.NEVER]


def test_drift_is_found_logged_and_mended(capsys: pytest.CaptureFixture[str]) -> None:
    other, gone, left = waiting(), waiting(OrderKind.PREORDER), waiting()
    ended = make_order(kind=OrderKind.SUBSCRIPTION, status=S.CAPTURED)
    kept()
    ids = {order.id for order in (other, gone, left)}
    with writing() as session:  # one is another, one is lacking, one is too many
        session.execute(
            sa.update(OrderWait).where(OrderWait.order_id == other.id).values(left_at=NOON)
        )
        session.execute(sa.delete(OrderWait).where(OrderWait.order_id == gone.id))
        names = [column.name for column in waits.kept.c]
        of_left = sa.select(sa.literal(ended.id), *list(waits.kept.c)[1:])
        session.execute(
            sa.insert(OrderWait).from_select(names, of_left.where(OrderWait.order_id == left.id))
        )
    assert waits.compare() == 3
    [told] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "mended" in line]
    assert told["orders"] == 3
    assert {row.order_id for row in kept()} == ids
