"""PostgreSQL keeps the statements of a page for the next one (storage/kept_statements.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from sgpshop.extensions import db
from sgpshop.models import Setting
from sgpshop.services.installation.health import due_work
from sgpshop.storage import kept_statements, questions
from sgpshop.storage.database import ANEW, ONCE, keep_statements, writing

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.parametrize("database_kind", ["postgresql"]),  # nothing is prepared elsewhere
]
#: psycopg prepares what was asked so often
OFTEN = 6
NAMES = sa.select(Setting.name).where(Setting.name == sa.bindparam("name"))
ALL_ANEW = sa.text(f"SELECT name FROM settings WHERE name = :name {ANEW}")
ONCE_FOR_ALL = sa.text(f"SELECT {ONCE} name FROM settings WHERE name = :name")
PLANS = sa.text(
    "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE :text"
)
PREPARED = sa.text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE :text")


@pytest.fixture(autouse=True)
def _within(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kept_statements.Connection, "kept_for", 600.0)  # as in a process with pages
    with app.app_context():
        db.session.remove()
        db.engine.dispose()  # connections that know nothing yet
        yield


def page(statement: sa.Executable) -> None:
    """Ask, as a page does that only reads: its transaction is rolled back."""
    db.session.execute(statement, {"name": "one"})
    db.session.rollback()


def kept() -> int:
    """How many statements about `settings` the server has of this connection."""
    found = db.session.scalar(PREPARED, {"text": "%FROM settings%"})
    db.session.rollback()
    return found or 0


def test_what_pages_ask_again_and_again_is_taken_apart_once() -> None:
    for _ in range(OFTEN):
        page(NAMES)
    assert kept() == 1
    page(NAMES)
    assert kept() == 1


def test_they_are_planned_anew_after_a_while_and_a_worker_keeps_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seconds in (600.0, 0.0):  # tables have grown by then; a worker says it nowhere
        monkeypatch.setattr(kept_statements.Connection, "kept_for", seconds)
        for _ in range(OFTEN):
            page(NAMES)
    assert kept() == 0
    keep_statements()
    assert kept_statements.Connection.kept_for > 0


def test_what_is_a_matter_of_its_values_is_planned_anew() -> None:
    for _ in range(OFTEN + 1):
        page(ALL_ANEW)
    assert kept() == 0


def test_figures_of_a_page_are_planned_once_and_nothing_else_for_it() -> None:
    for _ in range(3):
        page(ONCE_FOR_ALL)
    db.session.execute(ONCE_FOR_ALL, {"name": "two"})
    assert db.session.scalar(sa.text("SHOW plan_cache_mode")) == "auto"
    found = db.session.execute(PLANS, {"text": "%settings%"}).all()
    assert [tuple(row) for row in found] == [(4, 0)]
    of_one = sa.select(sa.func.count(Setting.name))
    assert ONCE in str(questions._together((of_one,) * 10)[0])
    assert ONCE not in str(questions._together((of_one,))[0])


def test_one_that_fails_leaves_the_connection_as_it_was() -> None:
    wrong = sa.text(f"SELECT {ONCE} 1 / length(:name) FROM settings")
    db.session.add(Setting(name="one", value="1", updated_by="test"))
    db.session.flush()
    with pytest.raises(DBAPIError, match="zero"):
        db.session.execute(wrong, {"name": ""})
    db.session.rollback()
    assert db.session.scalar(sa.text("SHOW plan_cache_mode")) == "auto"
    page(ONCE_FOR_ALL)


def test_whether_a_time_has_come_is_planned_anew() -> None:
    """By a plan for any time all transactions would be looked through for one that is due."""
    for _ in range(OFTEN + 1):
        due_work.any_due()
    found = db.session.scalar(PREPARED, {"text": "%card_transactions.next_look_at%"})
    db.session.rollback()
    assert found == 0


def test_what_was_written_is_undone_all_the_same() -> None:
    for _ in range(OFTEN):
        page(NAMES)
    try:
        with writing() as session:
            session.add(Setting(name="one", value="1", updated_by="test"))
            session.flush()
            raise LookupError
    except LookupError:
        pass
    assert db.session.execute(NAMES, {"name": "one"}).all() == []
    db.session.rollback()
    assert kept() == 1


def test_after_an_error_nothing_is_kept_and_all_goes_on() -> None:
    for _ in range(OFTEN):
        page(NAMES)
    with pytest.raises(DBAPIError):
        db.session.execute(sa.text("SELECT 1 / 0"))
    db.session.rollback()
    assert kept() == 0
    page(NAMES)


def test_a_column_of_another_type_is_told_once_and_then_all_goes_on() -> None:
    """By a migration meanwhile: the page that meets it says so (P36)."""
    for _ in range(OFTEN):
        page(NAMES)
    db.session.execute(sa.text("SELECT 1"))  # or the other would have our connection
    with db.engine.begin() as other:
        other.execute(sa.text("ALTER TABLE settings ALTER COLUMN name TYPE text"))
    with pytest.raises(DBAPIError, match="cached plan"):
        page(NAMES)
    db.session.rollback()
    page(NAMES)


def test_a_rollback_on_a_connection_that_was_cut_is_told() -> None:
    with db.engine.connect() as connection, db.engine.connect() as other:
        connection.execute(NAMES, {"name": "one"})
        raw = connection.connection.driver_connection
        assert raw is not None
        number = {"number": raw.info.backend_pid}
        other.execute(sa.text("SELECT pg_terminate_backend(:number, 5000)"), number)
        with pytest.raises(DBAPIError) as told:
            connection.rollback()
        assert told.value.connection_invalidated
        connection.rollback()
        assert connection.execute(NAMES, {"name": "one"}).all() == []
