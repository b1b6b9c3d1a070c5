"""A page asks the database for the shop's settings once, whoever needs them (P23)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from unittest.mock import patch

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    BillingFile,
    CardTransaction,
    FileState,
    OrderKind,
    Queue,
    Role,
    Setback,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.installation.health import readiness
from sgpshop.storage.database import writing
from tests.factories import authorized_order, make_order
from tests.gateway_world import World
from tests.services.running import started
from tests.signing_in import make_person, signed_in


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER)


_BY_THE_CLOCK = ("SELECT version_num", "SELECT installation.")


@contextmanager
def asked(app: Flask, part: str = "SELECT") -> Iterator[list[str]]:
    """The questions to the database meanwhile that hold `part`; not those that go by the clock.

    Of health, of which version the database is and whose key it has: asked every few seconds.
    """
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if part in statement and not statement.startswith(_BY_THE_CLOCK):
            found.append(statement)

    with app.app_context():
        engine = db.engine
        readiness.warnings()
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        with patch.object(readiness, "_MOMENT", 3600.0):
            yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "page",
    [
        "/",
        "/orders",
        "/orders/P1",
        "/orders/P1/edit",
        "/preorders",
        "/subscriptions",
        "/slips",
        "/slips/file",
        "/slips/history",
        "/settings/sgp",
        "/help",
    ],
)
def test_a_page_reads_the_settings_once(app: Flask, owner: FlaskClient, page: str) -> None:
    with app.app_context():
        settings.save("test", subscription_enabled="True")
        make_order(order_no="P1")
    with time_machine.travel(utc_now(), tick=False):
        owner.get(page)  # searches are counted now and then
        with asked(app, "FROM settings") as statements:
            assert owner.get(page).status_code == 200
    assert len([one for one in statements if "people.role" not in one]) == 1  # who it is, beside


@pytest.mark.parametrize(
    ("page", "most"),
    [
        ("/orders", 7),
        ("/orders?from=&to=&sort=captured_at", 8),
        ("/orders?from=&to=&sort=cancelled_at", 8),
        ("/orders?from=&to=&sort=deadline", 8),
        ("/orders?date_field=captured_at&from=2026-01-01&to=&sort=captured_at", 8),
        ("/orders?word=佐藤", 8),
        ("/orders?word=佐藤&sort=captured_at", 8),
        ("/", 5),
        ("/sales", 8),
        ("/slips", 8),
        ("/help/close-month", 1),
        ("/settings/sgp", 8),
    ],
)
def test_a_page_asks_so_often_beside_who_is_there_and_the_settings(
    app: Flask, owner: FlaskClient, page: str, most: int
) -> None:
    owner.get(page)  # health, asked for now and then
    with app.app_context():
        make_order(told=True)  # the sums are made anew
        make_order(status=PaymentStatus.CAPTURE_FAILED)  # why, is asked too
    with asked(app) as statements:
        assert owner.get(page).status_code == 200
    assert_at_most(most, statements)


def assert_at_most(most: int, statements: list[str]) -> None:
    """Beside who is there and the settings."""
    beside = ("FROM settings", "people.role")
    own = [one for one in statements if not any(words in one for words in beside)]
    assert len(own) <= most, "\n".join(one[:100] for one in own)


@pytest.mark.postgresql
def test_the_first_page_of_a_shop_with_every_trouble_asks_eight_times(
    app: Flask, world: World, owner: FlaskClient
) -> None:
    owner.get("/")
    with app.app_context():
        make_order(status=PaymentStatus.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
        order = authorized_order(world, status=PaymentStatus.CAPTURE_FAILED, told=True)
        started([order], make_person("田中"))
        assert order.transaction is not None
        transaction = order.transaction.id
        with writing() as session:
            session.get_one(CardTransaction, transaction).next_look_at = utc_now()
            session.add(Alert(order_id=order.id, kind=AlertKind.HOLD_MISSING, facts="…"))
            session.add(
                Setback(
                    queue=Queue.LOOK_UP,
                    row_id=transaction,
                    times=4,
                    next_try_at=utc_now() + timedelta(days=1),
                    is_set_aside=True,
                    error="OwnFault",
                )
            )
            month = {"window": date(2026, 11, 1), "content": "", "lines": 1, "yen": 1}
            session.add(BillingFile(**month, state=FileState.REFUSED))
    with asked(app) as statements:
        page = owner.get("/").text
    for words in (
        "止まっている処理",
        "SMBC-GPとの照合で",
        "受け付けられませんでした",
        "最近の一括処理",
    ):
        assert words in page
    assert_at_most(8, statements)


def test_what_another_process_saved_is_read_in_the_next_transaction(app: Flask) -> None:
    with app.app_context():
        assert settings.load().bulk_max == 5000
        with db.engine.begin() as other:
            other.exec_driver_sql(
                "INSERT INTO settings (name, value, updated_by, updated_at)"
                " VALUES ('bulk_max', '7', 'x', '2026-11-28 00:00:00')"
            )
        db.session.commit()
        assert settings.load().bulk_max == 7
