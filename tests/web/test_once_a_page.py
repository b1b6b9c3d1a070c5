"""A page asks the database for the shop's settings once, whoever needs them (P23)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.extensions import db
from sgpshop.models import Role
from sgpshop.services import settings
from tests.factories import make_order
from tests.signing_in import signed_in


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER)


@contextmanager
def asked(app: Flask, part: str = "SELECT") -> Iterator[list[str]]:
    """The questions to the database meanwhile that hold `part`."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if part in statement:
            found.append(statement)

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
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
    with asked(app, "FROM settings") as statements:
        assert owner.get(page).status_code == 200
    assert len(statements) == 1


@pytest.mark.parametrize(("page", "most"), [("/orders", 8), ("/", 13)])
def test_a_page_asks_so_often_beside_who_is_there_and_the_settings(
    app: Flask, owner: FlaskClient, page: str, most: int
) -> None:
    owner.get(page)  # health, asked for now and then
    with app.app_context():
        make_order(told=True)  # the sums are made anew
    with asked(app) as statements:
        assert owner.get(page).status_code == 200
    own = [one for one in statements if "FROM settings" not in one and "people.role" not in one]
    assert len(own) <= most, "\n".join(one[:100] for one in own)


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
