"""A wrong clock is told, and over an hour no money moves until somebody has set it (P28, P30)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from sgpshop.domain import other_clock
from sgpshop.domain.other_clock import OtherClock
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, AttemptState, Operation, Role, WorkerBeat, utc_now
from sgpshop.services.installation.health import due_work, readiness
from sgpshop.services.payments import acts, clocks, runner
from sgpshop.services.payments.clocks import ClockWrong
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.services.acting import TANAKA, press, seen
from tests.signing_in import signed_in

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

TWO_DAYS_AHEAD, A_YEAR_BEHIND = timedelta(days=2), timedelta(days=-365)


def set_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """This machine's clock is wrong `by` so much."""
    monkeypatch.setattr(other_clock, "machine_now", lambda: datetime.now(UTC) + by)


def orders_page(app: Flask) -> str:
    client = signed_in(app, Role.VIEWER)
    db.session.remove()
    return client.get("/orders").text


@pytest.mark.parametrize(
    "wrong", [TWO_DAYS_AHEAD, A_YEAR_BEHIND], ids=["two days ahead", "a year behind"]
)
def test_nothing_is_captured_under_a_wrong_clock_and_all_of_it_once_it_is_set(
    app: Flask, shop: World, wrong: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, later = authorized_order(shop), authorized_order(shop)
    shop.wire.tells_time = True
    attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
    set_clock(monkeypatch, wrong)
    with pytest.raises(ClockWrong, match=r"時計が.*約"):
        runner.run_operation(attempt_id)
    with pytest.raises(ClockWrong):  # known by now: nothing new is accepted either
        acts.open_capture(later.id, seen(later), TANAKA)
    assert shop.sales(order.order_no) == 0
    attempt = db.session.get_one(Attempt, attempt_id, populate_existing=True)
    assert attempt.state is AttemptState.QUEUED  # neither lost nor failed
    set_clock(monkeypatch, timedelta(0))
    runner.run_operation(attempt_id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert shop.sales(order.order_no) == 1


def test_a_capture_after_a_few_minutes_of_difference_goes_on_and_the_page_tells(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.wire.tells_time = True
    set_clock(monkeypatch, timedelta(minutes=-7))
    assert press(authorized_order(shop), Operation.CAPTURE).payment_status is PaymentStatus.CAPTURED
    page = orders_page(app)
    assert "の時刻より約7分遅れています" in page
    assert "決済の操作を停止しています" not in page


def test_every_page_and_readiness_say_that_money_is_stopped(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_work.beat("w-1")
    shop.wire.tells_time = True
    set_clock(monkeypatch, TWO_DAYS_AHEAD)
    with pytest.raises(ClockWrong):
        clocks.usable_gateway(ask=True)
    page = orders_page(app)
    assert "の時刻より約2日進んでいます" in page
    assert "決済の操作を停止しています" in page
    found = readiness.check()
    assert abs(found.clock_ahead - 2 * 86400) < 10
    assert not found.is_ready


def test_a_gateway_that_tells_no_time_stops_nothing(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, timedelta(0))
    assert press(authorized_order(shop), Operation.CAPTURE).payment_status is PaymentStatus.CAPTURED


def test_the_clock_of_the_database_server_counts_without_any_gateway(
    app: Flask, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_kind != "postgresql":
        return  # SQLite has no clock of its own
    set_clock(monkeypatch, A_YEAR_BEHIND)
    app.extensions[clocks.DATABASE] = OtherClock()
    with app.app_context():
        found = clocks.watch()
        db.session.remove()
    assert found is not None
    assert found.whose == "データベース"
    assert found.stops_money


class TestWorkerBeats:
    def test_one_from_the_future_is_no_sign_of_life(self, app: Flask, shop: World) -> None:
        with db.session.begin():
            db.session.add(WorkerBeat(worker="other-1", at=utc_now() + TWO_DAYS_AHEAD))
        assert readiness.check().worker_beat_age is None
        assert not readiness.check().is_ready
        page = orders_page(app)
        assert "自動処理とこのサーバーの時計が合っていません" in page

    def test_a_worker_sweeps_away_its_machine_s_own_from_before_the_clock_was_set_back(
        self, app: Flask, shop: World
    ) -> None:
        worker = Worker(app)
        host = worker.name.rpartition("-")[0]
        with db.session.begin():
            db.session.add(WorkerBeat(worker=f"{host}-1", at=utc_now() + TWO_DAYS_AHEAD))
        worker.run(until_idle=True)
        assert [beat.worker for beat in db.session.query(WorkerBeat)] == [worker.name]
        assert readiness.check().worker_beat_age is not None
