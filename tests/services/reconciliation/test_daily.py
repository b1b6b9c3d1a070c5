"""Once a day: every order that can differ is compared with SMBC-GP, and one line says what waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    CardTransaction,
    DailyJob,
    Operation,
    Order,
    OrderKind,
    OrderSum,
    OrderWait,
    Setback,
    utc_now,
)
from sgpshop.services.order_search import holds, sums, waits
from sgpshop.services.orders import alerts
from sgpshop.services.payments import acts, transaction_lookup
from sgpshop.services.reconciliation import daily
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.services.acting import TANAKA, press, seen
from tests.waiting import wait_until, working

pytestmark = pytest.mark.long

S = PaymentStatus
NIGHT = datetime(2026, 11, 27, 3, 0, 5, tzinfo=JST)
SECOND = timedelta(seconds=1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"NIGHTLY_COMPARE_HOUR": 3, "NIGHTLY_PACE": 2.0, "DAILY_DIGEST_HOUR": None}


def at(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=False)


def planned() -> list[int]:
    """Ids of the orders with a look-up planned."""
    db.session.rollback()
    return list(
        db.session.scalars(
            sa.select(CardTransaction.order_id)
            .where(CardTransaction.next_look_at.is_not(None))
            .order_by(CardTransaction.next_look_at)
        )
    )


def job() -> DailyJob | None:
    db.session.rollback()
    return db.session.scalars(
        sa.select(DailyJob)
        .where(DailyJob.name == daily.COMPARE)
        .order_by(DailyJob.day.desc())
        .execution_options(populate_existing=True)
    ).first()


def look_at_due() -> int:
    """What the worker does between the steps: make the look-ups that are due."""
    due = db.session.scalars(
        sa.select(CardTransaction.id).where(CardTransaction.next_look_at <= utc_now())
    ).all()
    db.session.commit()
    for transaction_id in due:
        transaction_lookup.look_up(transaction_id)
    return len(due)


def through_the_night(since: datetime, seconds: int = 600) -> int:
    """Step by step as the worker goes; returns the most look-ups made within 5 seconds."""
    most = 0
    for second in range(0, seconds, 5):
        with at(since + second * SECOND):
            daily.run()
            most = max(most, look_at_due())
            if (now := job()) and now.finished_at and not planned():
                break
    return most


def outdated(shop: World) -> Order:
    """決済完了 here, refunded in the console; the notification was lost."""
    order = press(authorized_order(shop), Operation.CAPTURE)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.cancel(trade.access, "VOID")  # type: ignore[arg-type]
    return order


@pytest.mark.postgresql
def test_with_all_notifications_lost_it_still_reaches_agreement(shop: World) -> None:  # P26
    orders = [authorized_order(shop) for _ in range(3)]
    lost = outdated(shop)
    through_the_night(NIGHT)
    assert fresh(lost).payment_status is S.CANCELLED
    assert [a.kind for a in alerts.open_of(lost.id)] == [AlertKind.CANCELLED_ELSEWHERE]
    assert {fresh(order).payment_status for order in orders} == {S.AUTHORIZED}
    for order in [*orders, lost]:
        assert len(shop.requests(order.order_no, "SearchTrade")) >= 1


def test_it_is_spread_and_never_faster_than_its_pace(shop: World) -> None:
    for _ in range(25):
        authorized_order(shop)
    assert through_the_night(NIGHT) <= 10  # 2 in a second, in steps of 5 seconds
    found = job()
    assert found is not None
    assert found.planned == 25
    assert found.finished_at is not None


def test_once_a_night_and_again_the_next(shop: World) -> None:
    order = authorized_order(shop)
    through_the_night(NIGHT)
    asked = len(shop.requests(order.order_no, "SearchTrade"))
    through_the_night(NIGHT + timedelta(minutes=20))
    with at(NIGHT - timedelta(hours=2)):  # the clock is set back (P30)
        daily.run()
    assert planned() == []
    assert len(shop.requests(order.order_no, "SearchTrade")) == asked
    through_the_night(NIGHT + timedelta(days=1))
    assert len(shop.requests(order.order_no, "SearchTrade")) == asked + 1


def test_a_clock_that_was_years_ahead_silences_nothing(shop: World) -> None:  # P30
    order = authorized_order(shop)
    through_the_night(NIGHT + timedelta(days=3650))
    asked = len(shop.requests(order.order_no, "SearchTrade"))
    through_the_night(NIGHT)
    through_the_night(NIGHT + timedelta(days=1))
    assert len(shop.requests(order.order_no, "SearchTrade")) >= asked + 1


@pytest.mark.postgresql
def test_a_restart_goes_on_where_it_stopped(shop: World) -> None:
    for _ in range(15):
        authorized_order(shop)
    with at(NIGHT):
        daily.run()
    first = planned()
    assert len(first) == 10
    with at(NIGHT + 1 * SECOND):  # another worker, or this one after a crash
        daily.run()
    assert planned() == first
    with at(NIGHT + 6 * SECOND):
        look_at_due()
        daily.run()
    assert len(planned()) == 5
    assert not set(planned()) & set(first)


def test_it_waits_for_look_ups_that_were_not_made(shop: World) -> None:
    """A slow or congested gateway is not asked for more (E92, P23)."""
    for _ in range(30):
        authorized_order(shop)
    for second in (0, 6, 12, 18):
        with at(NIGHT + second * SECOND):
            daily.run()
    assert len(planned()) == 10


def test_congestion_halves_its_pace(shop: World) -> None:
    for _ in range(30):
        authorized_order(shop)
    with at(NIGHT):
        daily.run(share=0.5)
    assert len(planned()) == 5


def test_what_cannot_differ_is_not_asked_about(shop: World) -> None:
    long_ago = NIGHT - timedelta(days=200)
    with at(NIGHT):
        waiting = [
            make_order(status=status) for status in (S.AUTHORIZED, S.CAPTURE_FAILED, S.NEEDS_REVIEW)
        ]
        settled = [make_order(status=status) for status in (S.CAPTURED, S.CANCELLED)]
        waiting.append(authorized_order(shop, status=S.AWAITING_BILLING))  # by the shop front
        make_order(status=S.AWAITING_BILLING)  # no charge to compare (R120)
        make_order(method="代金引換", status=None)
        for status in (S.CAPTURED, S.CANCELLED):
            old = make_order(status=status, ordered_at=long_ago)
            with writing() as session:
                session.execute(
                    sa.update(Order).where(Order.id == old.id).values(updated_at=long_ago)
                )
        make_order(status=S.AUTHORIZED, ordered_at=long_ago)  # a hold may still be there
        busy = authorized_order(shop)
        acts.open_capture(busy.id, seen(busy), TANAKA)  # its own look-ups decide
        daily.run()
    assert set(planned()) == {o.id for o in [*waiting, *settled]} | {busy.id - 1}


@pytest.mark.parametrize("hour", [2, 4, 15])
def test_a_new_installation_waits_for_its_hour(shop: World, hour: int) -> None:
    authorized_order(shop)
    with at(NIGHT.replace(hour=hour)):
        daily.run()
    assert planned() == []


def test_a_night_that_was_missed_is_made_up_for(shop: World) -> None:
    authorized_order(shop)
    through_the_night(NIGHT)
    with at(NIGHT + timedelta(days=1, hours=6)):  # the worker was down at three
        daily.run()
    assert len(planned()) == 1


def test_off_is_off(app: Flask, shop: World) -> None:
    app.config["NIGHTLY_COMPARE_HOUR"] = None
    authorized_order(shop)
    with at(NIGHT):
        daily.run()
    assert planned() == []


def test_an_unanswered_look_up_is_repeated_soon(shop: World) -> None:
    order = authorized_order(shop)
    through_the_night(NIGHT)
    shop.fault("drop_before", "SearchTrade")
    with at(NIGHT + timedelta(days=1)):
        daily.run()
        look_at_due()
        transaction = fresh(order).transaction
        assert transaction is not None
        assert transaction.next_look_at is not None
        assert transaction.next_look_at - utc_now() <= timedelta(minutes=1)  # not a day later
    assert fresh(order).payment_status is S.AUTHORIZED


class TestInTheWorker:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {
            "NIGHTLY_COMPARE_HOUR": datetime.now(JST).hour,
            "NIGHTLY_PACE": 50.0,
            "DAILY_DIGEST_HOUR": datetime.now(JST).hour,
        }

    def test_the_worker_does_it_beside_its_work(
        self, app: Flask, shop: World, capfd: pytest.CaptureFixture[str]
    ) -> None:
        lost, order = outdated(shop), authorized_order(shop)
        with working(app):
            wait_until(lambda: fresh(lost).payment_status is S.CANCELLED)
        assert fresh(order).payment_status is S.AUTHORIZED

    def test_captures_do_not_wait_behind_look_ups(
        self, app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All look-ups hang; a capture goes through at once (P23)."""
        app.config["NIGHTLY_COMPARE_HOUR"] = None
        orders = [authorized_order(shop) for _ in range(12)]
        late = authorized_order(shop)
        transaction_lookup.look_soon_at_orders([order.id for order in orders])
        release = hang(shop, monkeypatch)
        with working(app):
            wait_until(lambda: release.asked)
            attempt = acts.open_capture(late.id, seen(late), TANAKA)
            with writing() as session:
                session.execute(
                    sa.text("UPDATE attempts SET due_at = created_at WHERE id = :id"),
                    {"id": attempt},
                )
            wait_until(lambda: fresh(late).payment_status is S.CAPTURED, 10)
            release()


class _Hanging:
    def __init__(self) -> None:
        import threading

        self._go = threading.Event()
        self.asked = 0

    def __call__(self) -> None:
        self._go.set()

    def wait(self) -> None:
        self.asked += 1
        self._go.wait(60)


def hang(shop: World, monkeypatch: pytest.MonkeyPatch) -> _Hanging:
    """Look-ups hang until the returned thing is called."""
    hanging = _Hanging()
    ask: Callable[[str], Any] = shop.gateway.search_trade

    def slow(order_no: str) -> Any:
        hanging.wait()
        return ask(order_no)

    monkeypatch.setattr(shop.gateway, "search_trade", slow)
    return hanging


class TestDigest:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"NIGHTLY_COMPARE_HOUR": None, "DAILY_DIGEST_HOUR": 7}

    def test_one_line_a_day_says_what_waits(
        self, shop: World, capfd: pytest.CaptureFixture[str]
    ) -> None:  # R130
        morning = NIGHT.replace(hour=7)
        with at(morning):
            authorized_order(shop, total=500, authorized_at=morning - timedelta(days=50))
            authorized_order(shop, total=70, authorized_at=morning - timedelta(days=61))
            make_order(status=S.NEEDS_REVIEW, total=9, ordered_at=morning - timedelta(hours=30))
            capfd.readouterr()
            daily.run()
            daily.run()
        lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        [digest] = [line for line in lines if line["event"] == "daily_digest"]
        assert digest["day"] == "2026-11-27"
        assert digest["deadline_soon"] == {"count": 2, "yen": 570}  # R130, the expired included
        assert digest["deadline_expired"] == {"count": 1, "yen": 70}
        assert digest["review_overdue"] == {"count": 1, "yen": 9}  # R20
        assert digest["shipped_uncaptured"] == {"count": 0, "yen": 0}
        assert digest["alerts_open"] == 0
        with at(morning + timedelta(days=1)):
            daily.run()
        assert "daily_digest" in capfd.readouterr().out


def test_what_breaks_off_at_night_stops_nothing_else(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison goes on step by step: it must not rest with what is done beside it."""

    def breaks_off() -> int:
        raise ArithmeticError

    monkeypatch.setattr(sums, "compare", breaks_off)
    with at(NIGHT - timedelta(days=1)):
        orders = [outdated(shop) for _ in range(3)]
        daily.run()
    through_the_night(NIGHT)
    assert [fresh(order).payment_status for order in orders] == [S.CANCELLED] * 3
    assert [one.error for one in db.session.query(Setback)] == ["ArithmeticError"]


def test_a_worker_without_daily_work_is_idle(app: Flask, shop: World) -> None:
    app.config["NIGHTLY_COMPARE_HOUR"] = None
    Worker(app).run(until_idle=True)
    assert job() is None


def test_what_is_kept_of_the_orders_is_compared_once_a_night(app: Flask) -> None:
    with app.app_context():
        order = make_order(status=S.CAPTURED)
        make_order(kind=OrderKind.SUBSCRIPTION, status=S.AWAITING_BILLING)
        with writing() as session:
            session.add(OrderSum(status="captured", count=1, yen=1))
            its = CardTransaction.order_id == order.id
            session.execute(sa.update(CardTransaction).where(its).values(hold_ends_at=NIGHT))
            session.execute(sa.delete(OrderWait))
    with app.app_context(), at(NIGHT):
        daily.run()
        assert (sums.compare(), holds.compare(), waits.compare()) == (0, 0, 0)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(OrderWait)) == 1
        with writing() as session:
            session.add(OrderSum(status="captured", count=1, yen=1))
        daily.run()
        assert sums.compare() == 1
