"""The worker: finds what is due, backs off, and ends in order (P13, P22, P33)."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.jobs.worker import Pace, Worker
from sgpshop.models import Attempt, AttemptState, WorkerBeat, utc_now
from sgpshop.services import attempts, due_work, settings
from sgpshop.services.attempts import Seen
from sgpshop.services.database import writing
from sgpshop.services.history import Actor
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.waiting import wait_until, working

TANAKA = Actor.person("田中")


def test_pace_halves_on_congestion_and_recovers() -> None:
    pace = Pace(16)
    pace.congested()
    pace.congested()  # of the same moment: counts once
    assert pace.allowed == 8
    for _ in range(200):
        pace.went_well()
    assert pace.allowed == 16


def test_a_click_whose_web_process_died_is_taken_over(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = attempts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
    assert due_work.due_work(10).captures == []  # the web process has its time
    with writing() as session:
        session.get_one(Attempt, attempt_id).due_at = utc_now()
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


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
            attempt_id = attempts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
            with writing() as session:
                session.get_one(Attempt, attempt_id).due_at = utc_now()
            wait_until(lambda: fresh(order).payment_status is ends)
        assert shop.sales(order.order_no) == (ends is PaymentStatus.CAPTURED)


def test_without_a_contract_work_waits_and_is_not_lost(app: Flask) -> None:
    with app.app_context():
        order = authorized_order(World(app.config["INSTANCE_PATH"]))
        attempt_id = attempts.open_capture(order.id, Seen(1, order.total, "t"), TANAKA)
        with writing() as session:
            session.get_one(Attempt, attempt_id).due_at = utc_now()
        assert not settings.load().has_contract
        with working(app):
            time.sleep(0.5)
        state = db.session.execute(
            sa.select(Attempt.state).where(Attempt.id == attempt_id)
        ).scalar_one()
        assert state is AttemptState.QUEUED
        db.session.remove()


def test_it_shows_that_it_is_alive(app: Flask, shop: World) -> None:
    Worker(app).run(until_idle=True)
    db.session.rollback()
    assert db.session.query(WorkerBeat).count() == 1  # T3
