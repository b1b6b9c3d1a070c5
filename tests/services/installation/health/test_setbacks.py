"""A row that breaks off is tried again with growing pauses, then set aside and told, at every queue;
nobody else waits for it (P13, P15, P22)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, current_app

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    CardTransaction,
    Order,
    Queue,
    Setback,
    utc_now,
)
from sgpshop.services.bulk import working
from sgpshop.services.deliveries.slips import writing as slip_writing
from sgpshop.services.installation.health import due_work, readiness
from sgpshop.services.installation.health.due_work import AnyDue
from sgpshop.services.orders.acting import Seen
from sgpshop.services.outgoing import webhooks
from sgpshop.services.payments import acts, notifications, runner, transaction_lookup
from sgpshop.services.payments.transaction_numbers import NumbersUsedUp
from sgpshop.services.subscriptions import billing
from sgpshop.storage import setbacks
from sgpshop.storage.database import writing
from sgpshop.worker import house
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA
from tests.services.running import items, started
from tests.services.slip_files import NO_CAPTURE, prepare, slip, slip_file, start
from tests.signing_in import make_person
from tests.waiting import wait_until

#: What it asks of the database, both answer differently or in another order.
pytestmark = [pytest.mark.long, pytest.mark.postgresql]


class OwnFault(Exception):
    """A fault of ours that nobody thought of."""


#: the queue, and how the worker's work on one order (the first) is made to break off there
Broken = tuple[Queue, Order, Order]


def work(app: Flask) -> None:
    """A worker that was started just now does all that is due."""
    Worker(app).run(until_idle=True)
    db.session.rollback()
    db.session.expire_all()


def breaking(real: Callable[..., Any], is_meant: Callable[..., bool]) -> Callable[..., Any]:
    def broken(*args: Any, **more: Any) -> Any:
        if is_meant(*args):
            raise OwnFault("unexpected")
        return real(*args, **more)

    broken.__name__ = getattr(real, "__name__", "broken")
    return broken


def captures(shop: World, monkeypatch: pytest.MonkeyPatch) -> Broken:
    orders = [authorized_order(shop) for _ in range(2)]
    ids = []
    for order in orders:
        at = acts.open_capture(order.id, Seen(1, order.total, order.order_no), TANAKA)
        ids.append(at)
    with writing() as session:
        session.execute(sa.update(Attempt).values(due_at=utc_now()))
    monkeypatch.setattr(
        runner, "run_operation", breaking(runner.run_operation, lambda one: one == ids[0])
    )
    return Queue.ATTEMPT, orders[0], orders[1]


def look_ups(shop: World, monkeypatch: pytest.MonkeyPatch) -> Broken:
    orders = [authorized_order(shop, status=PaymentStatus.NEEDS_REVIEW) for _ in range(2)]
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(next_look_at=utc_now()))
    first = fresh(orders[0]).transaction
    assert first is not None
    bad = first.id
    monkeypatch.setattr(
        transaction_lookup, "look_up", breaking(transaction_lookup.look_up, lambda one: one == bad)
    )
    return Queue.LOOK_UP, orders[0], orders[1]


def deliveries(_shop: World, monkeypatch: pytest.MonkeyPatch) -> Broken:
    orders = [make_order() for _ in range(2)]
    [bad, _] = items(started(orders, make_person("佐々木"), "deliver"))
    monkeypatch.setattr(
        working, "_work_off", breaking(working._work_off, lambda one: one == bad.id)
    )
    return Queue.DELIVERY, orders[0], orders[1]


def slip_rows(_shop: World, monkeypatch: pytest.MonkeyPatch) -> Broken:
    orders = [make_order() for _ in range(2)]
    start(prepare(slip_file(*map(slip, orders)), NO_CAPTURE))

    def holds_the_first(_session: Any, _run: Any, groups: Any, *_: Any) -> bool:
        return any(order.id == orders[0].id for order, _rows in groups)

    monkeypatch.setattr(slip_writing, "_write", breaking(slip_writing._write, holds_the_first))
    return Queue.SLIP, orders[0], orders[1]


QUEUES = (captures, look_ups, deliveries, slip_rows)


def went_through(order: Order) -> bool:
    now = fresh(order)
    is_paid = now.payment_status is PaymentStatus.CAPTURED
    is_looked_up = bool(now.transaction and now.transaction.looked_up_at)
    return is_paid or is_looked_up or now.processing_class is ProcessingClass.DELIVERED


def setback() -> Setback:
    db.session.rollback()
    return db.session.scalars(sa.select(Setback).execution_options(populate_existing=True)).one()


def pause_ends() -> None:
    with writing() as session:
        session.execute(sa.update(Setback).values(next_try_at=utc_now() - timedelta(seconds=1)))


def warnings() -> int:
    current_app.extensions.pop("sgpshop.warnings", None)
    return readiness.warnings().set_aside


@pytest.mark.parametrize("queue", QUEUES)
def test_one_row_that_breaks_off(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch, queue: Callable[..., Broken]
) -> None:
    with monkeypatch.context() as patched:
        name, bad, good = queue(shop, patched)
        work(app)
        assert went_through(good)
        pauses = []
        for times in range(1, 5):
            one = setback()
            assert (one.queue, one.times, one.error) == (name, times, "OwnFault")
            pauses.append(round((one.next_try_at - one.last_at).total_seconds()))
            assert not due_work.due_work(50)  # it takes nobody's place
            work(app)  # nor is it tried before its time, by whichever worker
            assert setback().times == times
            assert (warnings(), readiness.check().set_aside) == ((1, 1) if times == 4 else (0, 0))
            pause_ends()
            if times < 4:
                work(app)
        assert pauses == sorted(pauses)
        assert len(set(pauses)) == 4
        [told] = setbacks.set_aside()
        assert told.order_no == bad.order_no
        assert not went_through(bad)
    assert setbacks.try_again() == 1  # the fault was mended, and somebody presses the button
    work(app)
    assert went_through(bad)
    assert warnings() == 0
    setbacks.tidy()
    assert setbacks.all_known() == frozenset()


@pytest.mark.parametrize("queue", QUEUES)
def test_what_is_said_of_one_order_holds_up_no_other(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch, queue: Callable[..., Broken]
) -> None:
    """That all its numbers are used up, say: in words for people, as that there is no contract."""
    monkeypatch.setattr(f"{__name__}.OwnFault", lambda _: NumbersUsedUp())
    name, _, good = queue(shop, monkeypatch)
    work(app)
    assert went_through(good)
    assert (setback().queue, setback().error) == (name, "NumbersUsedUp")


def test_the_monthly_registration(app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_id: int = 0) -> None:
        raise OwnFault

    order = authorized_order(shop)
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(next_look_at=utc_now()))
    monkeypatch.setattr(billing, "is_due", lambda: True)
    monkeypatch.setattr(billing, "resume", broken)
    work(app)
    work(app)
    assert (setback().queue, setback().times) == (Queue.BILLING, 1)
    assert went_through(order)


def test_notifications_that_break_off_spoil_no_other_step(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise OwnFault

    asked = []
    monkeypatch.setattr(notifications, "ask_for_looks", broken)
    monkeypatch.setattr(
        due_work, "any_due", lambda: AnyDue(work=True, texts=False, others=False)
    )  # a notification waits
    monkeypatch.setattr(billing, "is_due", lambda: bool(asked.append("billing")))
    work(app)
    assert setback().queue is Queue.HOUSEKEEPING
    assert asked == ["billing"]
    for _ in range(3):
        pause_ends()
        work(app)
    assert warnings() == 1
    [told] = setbacks.set_aside()
    assert "結果通知" in told.queue.label


@pytest.fixture
def telling(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker's house that does nothing but tell others."""
    for pause in ("_WEBHOOKS_EVERY", "_FAULT_PAUSE"):
        monkeypatch.setattr(house, pause, 0.05)
    at_work = house.House(app, "test", 1, Worker(app))
    at_work.initialize()
    at_work.tell_others(True)  # as its sweep would say
    yield
    at_work.stop_flag.set()
    at_work.shutdown()


def set_aside() -> None:
    """It breaks off until it is set aside, and somebody looks at ホーム."""
    for times in range(1, 5):
        wait_until(lambda times=times: setbacks.all_known() and setback().times == times)
        if times < 4:
            pause_ends()
    assert warnings() == 1


@pytest.mark.parametrize("step", ["write_due", "waiting_receivers"])
def test_telling_others(
    shop: World, monkeypatch: pytest.MonkeyPatch, telling: None, step: str
) -> None:
    # Ended by itself, not by putting the real one back: the house may hold the broken one already.
    faults = [step]
    monkeypatch.setattr(webhooks, step, breaking(getattr(webhooks, step), lambda *_: bool(faults)))
    set_aside()
    assert setback().queue is Queue.HOUSEKEEPING
    faults.clear()
    setbacks.try_again()
    wait_until(lambda: not setbacks.all_known())


@pytest.mark.parametrize("is_deleted", [False, True])
def test_telling_one_receiver_holds_up_no_other(
    shop: World, monkeypatch: pytest.MonkeyPatch, telling: None, is_deleted: bool
) -> None:
    for number in range(2):
        webhooks.create(f"https://shop.example.jp/{number}", by="店長")
    bad, good = (receiver.id for receiver in webhooks.all_receivers())
    sent: list[int] = []
    faults = {bad}
    monkeypatch.setattr(
        webhooks,
        "send_due",
        breaking(lambda one, _is_over: sent.append(one), lambda one, _: one in faults),
    )
    make_order(told=True)
    set_aside()
    assert set(sent) == {good}
    if is_deleted:
        webhooks.delete(bad, by="店長")
    faults.clear()
    setbacks.try_again()
    wait_until(lambda: not setbacks.all_known())


def test_what_somebody_ended_otherwise_is_told_no_more(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_ups(shop, monkeypatch)
    work(app)
    with writing() as session:
        session.execute(sa.update(Setback).values(is_set_aside=True))
    assert warnings() == 1
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(next_look_at=None))
    assert warnings() == 0
    setbacks.tidy()
    assert setbacks.all_known() == frozenset()
