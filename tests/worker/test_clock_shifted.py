"""A worker whose machine's clock is minutes off keeps time by the database's (P17, P30)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from sgpshop.domain import other_clock
from sgpshop.domain.other_clock import OtherClock
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Job, JobKind, Queue, Setback, WorkerBeat
from sgpshop.models.base import set_clock_ahead
from sgpshop.services.installation.health import due_work, readiness
from sgpshop.storage import jobs, setbacks, shared_clock
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests import own_worker
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.worker.test_engine import due_capture

pytestmark = pytest.mark.postgresql


@pytest.fixture
def database_kind() -> str:
    """SQLite has no clock but the machine's."""
    return "postgresql"


@pytest.fixture(params=[-300, 300], ids=["behind", "ahead"])
def clock(
    app: Flask, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bool], None]]:
    """Let us be a machine whose clock is five minutes off, or one whose clock is right."""

    app.extensions[shared_clock.KEY] = OtherClock()  # other tests are spared the question

    def be_shifted(is_shifted: bool) -> None:
        off = request.param if is_shifted else 0
        set_clock_ahead(off)
        shift = timedelta(seconds=off)
        monkeypatch.setattr(other_clock, "machine_now", lambda: datetime.now(UTC) + shift)

    yield be_shifted
    set_clock_ahead(0)


def test_its_captures_are_sent_once_and_its_sign_of_life_counts(
    app: Flask, shop: World, clock: Callable[[bool], None]
) -> None:
    order = authorized_order(shop)
    shared_clock.read()
    due_capture(order)
    clock(True)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert shop.sales(order.order_no) == 1
    clock(False)
    assert db.session.query(WorkerBeat).count() == 1
    found = readiness.warnings()
    assert not found.is_worker_gone
    assert not found.is_worker_ahead
    assert readiness.check().worker_beat_age is not None
    clock(True)
    due_work.forget_beats("another-1")
    assert db.session.query(WorkerBeat).count() == 1


def test_what_broke_off_there_rests_as_long_as_elsewhere(
    shop: World, clock: Callable[[bool], None]
) -> None:
    clock(True)
    shared_clock.read()
    setbacks.note(Queue.LOOK_UP, [1], ValueError("x"))
    clock(False)
    assert setbacks.is_resting(Queue.LOOK_UP, 1)
    with writing() as session:  # as if its pause of a minute were over
        session.query(Setback).one().next_try_at -= timedelta(seconds=90)
    assert not setbacks.is_resting(Queue.LOOK_UP, 1)
    clock(True)
    assert not setbacks.is_resting(Queue.LOOK_UP, 1)


def test_it_takes_no_file_from_who_is_at_it(
    app: Flask, shop: World, clock: Callable[[bool], None]
) -> None:
    shared_clock.read()
    with own_worker.working_by(app, "off"), writing() as session:
        jobs.add(session, JobKind.EXPORT, "a" * 32)
    [job_id] = jobs.due(9)
    seen: list[list[int]] = []

    def look(_claim: jobs.Claim) -> dict[str, object]:
        clock(True)
        seen.append(jobs.due(9))
        with writing() as session:
            session.query(Job).one().due_at -= timedelta(seconds=90)
        seen.append(jobs.due(9))
        clock(False)
        seen.append(jobs.due(9))
        return {}

    jobs.work(job_id, {JobKind.EXPORT: look})
    assert seen == [[], [job_id], [job_id]]
