"""/healthz and /readyz tell machines how we are (T3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    ActorKind,
    Attempt,
    AttemptState,
    Operation,
    Role,
    WorkerBeat,
    utc_now,
)
from sgpshop.services.installation.health import due_work
from tests.factories import make_order
from tests.signing_in import signed_in


@pytest.fixture
def beat(app: Flask) -> None:
    with app.app_context():
        db.session.add(WorkerBeat(worker="w1", at=utc_now() - timedelta(seconds=5)))
        db.session.add(WorkerBeat(worker="gone", at=utc_now() - timedelta(hours=5)))
        db.session.commit()


def ready(client: FlaskClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json or {}


def test_being_alive_needs_nothing(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    assert "Set-Cookie" not in answer.headers


@pytest.mark.usefixtures("beat")
def test_ready_with_a_worker_and_a_writable_database(client: FlaskClient) -> None:
    status, figures = ready(client)
    assert status == 200
    assert 5 <= figures.pop("worker_beat_age") < 60
    assert figures == {
        "status": "ready",
        "is_database_writable": True,
        "uncertain": 0,
        "oldest_uncertain_age": None,
        "queued": 0,
        "set_aside": 0,
        "clock_ahead": 0,
        "is_queue_away": False,
    }


def test_not_ready_without_a_worker(client: FlaskClient) -> None:
    status, figures = ready(client)
    assert status == 503
    assert figures["status"] == "not_ready"
    assert figures["worker_beat_age"] is None


@pytest.mark.usefixtures("beat")
def test_not_ready_with_a_silent_worker(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(sa.update(WorkerBeat).values(at=utc_now() - timedelta(minutes=5)))
        db.session.commit()
    assert ready(client)[0] == 503


@pytest.mark.usefixtures("beat")
def test_not_ready_while_nothing_can_be_written(app: Flask, client: FlaskClient) -> None:  # P32
    with app.app_context(), db.engine.connect() as other:
        other.execution_options(sqlite_begin="IMMEDIATE").exec_driver_sql("SELECT 1")
        status, figures = ready(client)
        other.rollback()
    assert status == 503
    assert figures["is_database_writable"] is False
    assert figures["uncertain"] == 0  # what can be read is still told
    assert ready(client)[0] == 200


def test_asking_often_writes_seldom(app: Flask, client: FlaskClient) -> None:  # S23
    """Anybody may ask; a durable write for each question would keep the shop's own waiting."""
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        written.extend([statement] * statement.startswith(("UPDATE", "INSERT")))

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", note)
    for _ in range(20):
        ready(client)
    assert 1 <= len(written) < 10


def test_not_ready_without_tables(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(sa.text("DROP TABLE worker_beats"))
        db.session.commit()
    status, figures = ready(client)
    assert status == 503
    assert figures["is_database_writable"] is False


@pytest.mark.usefixtures("beat")
def test_what_is_uncertain_and_what_waits_is_counted(
    app: Flask, client: FlaskClient
) -> None:  # P15
    now = utc_now()
    states: list[tuple[AttemptState, datetime | None, datetime]] = [
        (AttemptState.UNKNOWN, now - timedelta(hours=30), now),
        (AttemptState.UNKNOWN, now - timedelta(minutes=5), now),
        (AttemptState.SENDING, None, now - timedelta(minutes=1)),  # its worker is gone (P3)
        (AttemptState.SENDING, None, now + timedelta(minutes=1)),  # under way
        (AttemptState.QUEUED, None, now),
        (AttemptState.DONE, now - timedelta(days=9), now),
    ]
    with app.app_context():
        for state, uncertain_since, due_at in states:
            order = make_order()
            attempt = Attempt(
                order_id=order.id,
                transaction_id=order.transaction.id,
                operation=Operation.CAPTURE,
                state=state,
                amount=order.total,
                gateway_order_id=order.order_no,
                actor_kind=ActorKind.PERSON,
                actor="田中",
                uncertain_since=uncertain_since,
                due_at=due_at,
            )
            db.session.add(attempt)
            db.session.commit()
    _, figures = ready(client)
    assert figures["uncertain"] == 3
    assert figures["queued"] == 1
    assert 30 * 3600 <= figures["oldest_uncertain_age"] < 31 * 3600
    assert "田中" not in str(figures)


class TestNoWorkerEver:
    """Who waits for a worker is told at once that there is none."""

    def test_an_order_to_be_looked_up(self, app: Flask) -> None:
        with app.app_context():
            order = make_order(status=PaymentStatus.NEEDS_REVIEW, gateway_state=None)
            assert order.transaction is not None
            order.transaction.next_look_at = utc_now() - timedelta(seconds=5)
            order.transaction.looks = 0
            db.session.commit()
            order_no = order.order_no
        client = signed_in(app, Role.VIEWER)
        page = client.get(f"/orders/{order_no}").text
        assert "SMBC-GPの取引を確認しています" in page
        assert "自動処理が止まっているため、進んでいません" in page
        assert "自動処理が止まって" in client.get("/orders").text  # and on every page
        with app.app_context():
            due_work.beat("w-1")
        app.extensions.pop("sgpshop.warnings")  # a few seconds later
        assert "自動処理が止まって" not in client.get(f"/orders/{order_no}").text
