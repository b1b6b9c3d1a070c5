"""The worker: finds what is due, backs off, and ends in order (P13, P22, P33)."""

from __future__ import annotations

import pickle
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    AttemptState,
    CardTransaction,
    Job,
    JobKind,
    Order,
    WorkerBeat,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.installation.health import due_work, readiness
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, attempt_lookup, gateway_access, runner
from sgpshop.services.payments.error_content import error_content
from sgpshop.services.reconciliation import daily
from sgpshop.storage import jobs, queue
from sgpshop.storage.database import writing
from sgpshop.storage.queue import Task, encode, messages
from sgpshop.storage.stopping import stop_soon
from sgpshop.storage.write_together import _carry_out, _PendingWrite
from sgpshop.worker import engine, house
from sgpshop.worker.engine import Worker
from sgpshop.worker.pace import Throttle
from sgpshop.worker.tasks import JOBS
from tests import own_worker
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.waiting import wait_until, working

TANAKA = Actor.person("田中")


def test_pace_halves_on_congestion_and_recovers() -> None:
    pace = Throttle(16)
    pace.congested()
    pace.congested()  # of the same moment: counts once
    assert pace.allowed == 8
    for _ in range(200):
        pace.went_well()
    assert pace.allowed == 16


def test_a_click_whose_web_process_died_is_taken_over(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
    assert due_work.due_work(10).captures == []  # the web process has its time
    with writing() as session:
        session.get_one(Attempt, attempt_id).due_at = utc_now()
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


@pytest.mark.parametrize("hours", [1, 9])
def test_a_clock_that_is_set_back_does_not_stop_the_queue(
    app: Flask, shop: World, hours: int
) -> None:
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
    with writing() as session:  # when it was queued the clock said so
        session.get_one(Attempt, attempt_id).due_at = utc_now() + timedelta(hours=hours)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert shop.sales(order.order_no) == 1


class TestUncertain:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.2, "RESOLVE_SCHEDULE": (0.0, 0.3, 0.6)}

    @pytest.mark.parametrize(
        ("fault", "ends"),
        [
            ("drop_after", PaymentStatus.CAPTURED),
            ("drop_before", PaymentStatus.CAPTURE_FAILED),
        ],
    )
    def test_the_worker_finds_out_by_itself(
        self, app: Flask, shop: World, fault: str, ends: PaymentStatus
    ) -> None:
        order = authorized_order(shop)
        shop.fault(fault)
        with working(app):
            attempt_id = acts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
            with writing() as session:
                session.get_one(Attempt, attempt_id).due_at = utc_now()
            wait_until(lambda: fresh(order).payment_status is ends)
        assert shop.sales(order.order_no) == (ends is PaymentStatus.CAPTURED)


@pytest.mark.alike
def test_without_a_contract_work_waits_and_is_not_lost(app: Flask) -> None:
    with app.app_context():
        world = World()
        gateway_access.init_app(app, world.gateway)
        order = authorized_order(world)
        attempt_id = acts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
        with writing() as session:
            session.get_one(Attempt, attempt_id).due_at = utc_now()
        gateway_access.init_app(app, None)
        assert not settings.load().has_contract
        with working(app):
            time.sleep(0.5)
        state = db.session.execute(
            sa.select(Attempt.state).where(Attempt.id == attempt_id)
        ).scalar_one()
        assert state is AttemptState.QUEUED
        db.session.remove()


@pytest.mark.alike
def test_it_shows_that_it_is_alive(app: Flask, shop: World) -> None:
    Worker(app).run(until_idle=True)
    db.session.rollback()
    assert db.session.query(WorkerBeat).count() == 1  # T3


def due_capture(order: Order, token: str = "t") -> int:
    """A capture that was accepted and waits for the worker."""
    order = fresh(order)
    attempt_id = acts.open_capture(order.id, Seen(order.version, order.total, token), TANAKA)
    with writing() as session:
        session.get_one(Attempt, attempt_id).due_at = utc_now()
    return attempt_id


def test_the_daily_backup_does_not_wait_behind_files_that_people_asked_for(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    is_taken = threading.Event()

    def make(claim: jobs.Claim) -> dict[str, object]:
        begun.append(claim.job_id)
        return {"came_first": is_taken.wait(30)}

    def is_due() -> bool:
        return len(begun) >= engine._LONG_AT_ONCE and not is_taken.is_set()

    monkeypatch.setitem(JOBS, JobKind.EXPORT, make)
    monkeypatch.setattr(daily, "is_backup_due", is_due)
    monkeypatch.setattr(daily, "back_up", is_taken.set)
    monkeypatch.setattr(house, "_BACKUP_EVERY", 0.1)
    with own_worker.working_by(app, "off"):
        for number in range(engine._LONG_AT_ONCE + 1):
            with writing() as session:
                jobs.add(session, JobKind.EXPORT, f"{number:032}")
        Worker(app).run(until_idle=True)
    done = db.session.scalars(sa.select(Job.result)).all()
    assert done == [{"came_first": True}] * (engine._LONG_AT_ONCE + 1)


def test_a_failed_sign_of_life_does_not_stop_the_work(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: str) -> None:
        raise sa.exc.OperationalError("beat", None, Exception("database is locked"))

    monkeypatch.setattr(due_work, "beat", locked)
    order = authorized_order(shop)
    due_capture(order)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED  # P32


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_write_that_waited_in_a_circle_holds_up_nobody_elses(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = authorized_order(shop), authorized_order(shop)
    victim = due_capture(first)
    run, tries = runner.run_operation, []

    def run_operation(attempt_id: int) -> object:
        tries.append(attempt_id)
        if tries.count(victim) == 1 and attempt_id == victim:
            db.session.execute(sa.text("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"))
        return run(attempt_id)

    monkeypatch.setattr(runner, "run_operation", run_operation)
    monkeypatch.setattr(engine, "_FAULT_PAUSE", 600.0)
    with working(app):
        wait_until(lambda: victim in tries)
        due_capture(second, "t2")
        wait_until(lambda: fresh(second).payment_status is PaymentStatus.CAPTURED)
        wait_until(lambda: fresh(first).payment_status is PaymentStatus.CAPTURED)
    assert tries.count(victim) == 2


@pytest.mark.alike
def test_an_order_whose_secret_is_unreadable_fails_alone(app: Flask, shop: World) -> None:
    broken, good = authorized_order(shop), authorized_order(shop)
    attempt_id = due_capture(broken)
    with writing() as session:
        transaction = session.query(CardTransaction).filter_by(order_id=broken.id).one()
        transaction.access_pass_sealed = "v1.AAAA"
    due_capture(good, "t2")
    Worker(app).run(until_idle=True)
    assert fresh(good).payment_status is PaymentStatus.CAPTURED  # P22
    assert fresh(broken).payment_status is PaymentStatus.CAPTURE_FAILED
    assert shop.requests(broken.order_no) == []  # P3: provably nothing was sent
    content = error_content(db.session.get_one(Attempt, attempt_id, populate_existing=True))
    assert content is not None
    assert "暗号鍵" in content.next_step


def test_a_start_looks_up_what_is_uncertain(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    attempt_id = due_capture(order)
    runner.run_operation(attempt_id)
    with writing() as session:
        session.get_one(Attempt, attempt_id).due_at = utc_now() + timedelta(hours=20)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED  # P13


class TestStopping:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    def test_a_process_that_ends_begins_no_second_call(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        shop.fault("drop_before")
        first = due_capture(order)
        runner.run_operation(first)
        attempt_lookup.look_up(first)
        again = due_capture(order, "t2")
        sent = len(shop.requests(order.order_no))
        stop_soon(app)
        runner.run_operation(again)  # looks first, and leaves it at that (P33)
        assert len(shop.requests(order.order_no)) == sent
        attempt = db.session.get_one(Attempt, again, populate_existing=True)
        assert attempt.state is AttemptState.QUEUED


def test_one_write_that_fails_spoils_nobody_elses(shop: World) -> None:
    order = authorized_order(shop)

    def raise_version(session: Session) -> None:
        session.execute(
            sa.update(Order).where(Order.id == order.id).values(version=Order.version + 1)
        )

    def spoil(session: Session) -> None:
        raise_version(session)
        raise ValueError("spoiled")

    wishes = [_PendingWrite(raise_version), _PendingWrite(spoil), _PendingWrite(raise_version)]
    _carry_out(wishes)
    assert [type(wish.error) for wish in wishes] == [type(None), ValueError, type(None)]
    assert fresh(order).version == 3


def test_what_was_told_twice_is_done_once(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = due_capture(order)
    for _ in range(5):
        queue.tell_now(Task.OPERATION, attempt_id)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert shop.sales(order.order_no) == 1


@pytest.mark.alike
def test_who_writes_into_the_queue_moves_nothing(app: Flask, shop: World) -> None:
    """What is to be done stands in the rows: a message can only have one looked at sooner (P17)."""
    order, other = authorized_order(shop), authorized_order(shop)
    done = due_capture(order)
    Worker(app).run(until_idle=True)
    before = shop.ledger()
    for task in Task:
        for row_id in (0, 1, done, other.id, 10**12):
            queue.tell_now(task, row_id)
    messages().send([(b"no message", 0), (pickle.dumps(print), 0), (b'["capture", 1]', 0)])
    Worker(app).run(until_idle=True)
    assert shop.ledger() == before
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert fresh(other).payment_status is PaymentStatus.AUTHORIZED
    assert db.session.scalars(sa.select(Attempt.id)).all() == [done]


def test_what_nobody_was_told_about_is_found(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    due_capture(order)
    while messages().size():  # as if the queue had lost them
        messages().take()
    with working(app):
        wait_until(lambda: fresh(order).payment_status is PaymentStatus.CAPTURED)


def test_work_goes_on_without_the_queue(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    due_capture(order)
    messages().store.close()
    messages().store = Away()  # type: ignore[assignment]
    with working(app):
        wait_until(lambda: fresh(order).payment_status is PaymentStatus.CAPTURED)
        assert readiness.check().is_queue_away
        assert readiness.warnings().is_queue_away


class Away:
    """A queue that is not there."""

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        raise ConnectionRefusedError(name)


@pytest.mark.alike
def test_a_task_of_another_version_is_kept_for_a_worker_that_knows_it(
    app: Flask, shop: World
) -> None:
    store = messages().store
    store.enqueue_all([(encode("brew_tea", 1), 0), (b"no message", 0)])
    Worker(app).run(until_idle=True)
    assert store.queue_size() == 0
    [key] = store.result_items()
    assert key.startswith("unknown.brew_tea.")
    order = authorized_order(shop)
    store.put_data("unknown.operation.1", encode("operation", due_capture(order)))
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert list(store.result_items()) == [key]


@pytest.mark.alike
def test_no_more_of_them_are_kept_than_there_is_room_for(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "_MOST_UNKNOWN", 2)
    store = messages().store
    store.put_data("unknown.brew_tea.1", encode("brew_tea", 1))  # since 1970
    store.enqueue_all([(encode("brew_tea", n), 0) for n in range(1, 5)])
    Worker(app).run(until_idle=True)
    assert len(store.result_items()) == 2
    assert "unknown.brew_tea.1" not in store.result_items()
    told = [record.getMessage() for record in caplog.records]
    assert len([line for line in told if "unknown_task" in line]) == 5  # four, and the one let go
