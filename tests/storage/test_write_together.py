"""Writes that share a transaction: each thread learns what became of its own (P8, P32)."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sgpshop.extensions import db
from sgpshop.storage import schema
from sgpshop.storage import write_together as module
from sgpshop.storage.database import writing, writing_in_turn
from sgpshop.storage.write_together import write_together

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _sqlite(request: pytest.FixtureRequest, database_kind: str) -> None:
    if database_kind != "sqlite" and request.node.get_closest_marker("postgresql") is None:
        pytest.skip("PostgreSQL writes in parallel by itself")


def test_whose_patience_ends_while_another_thread_commits_learns_that_it_was_done(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, told, may_go_on = threading.Event(), threading.Event(), threading.Event()

    def first(_session: Session) -> str:
        entered.set()
        assert may_go_on.wait(30)
        return "first"

    def second(_session: Session) -> str:
        return "second"

    take = module._take

    def take_both(queue: deque[Any]) -> list[Any]:
        """The first has its turn once the second has lined up."""
        assert told.wait(30)
        return take(queue)

    class Lined(deque[Any]):
        def append(self, one: Any) -> None:
            super().append(one)
            if len(self) == 2:
                told.set()

    app.extensions[f"{module._KEY}.0.2"] = Lined()
    monkeypatch.setattr(module, "_take", take_both)

    def write(function: Any) -> str:
        with app.app_context():
            try:
                return write_together(function, within=0.2)
            except OperationalError as problem:
                return str(problem)
            finally:
                db.session.remove()

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(write, first)
        other = threads.submit(write, second)
        assert entered.wait(30)
        threading.Timer(1.0, may_go_on.set).start()  # long after the patience of the second
        assert (one.result(), other.result()) == ("first", "second")


def test_whom_nobody_took_up_is_told_that_it_was_not_done(app: Flask) -> None:
    done = []
    with ThreadPoolExecutor(1) as threads, app.app_context(), module.writing_in_turn():

        def write() -> None:
            with app.app_context():
                write_together(lambda _session: done.append("written"), within=0.1)

        with pytest.raises(OperationalError):
            threads.submit(write).result()
    assert done == []


def test_who_left_the_version_unasked_has_it_asked_by_who_writes_for_them(app: Flask) -> None:
    """And of those that share a transaction nobody else is held up by it (P36)."""
    lined_up = threading.Event()

    class Lined(deque[Any]):
        def append(self, one: Any) -> None:
            super().append(one)
            lined_up.set()

    def write_unasked() -> str:
        with app.app_context():
            schema.leave_unasked(db.session())
            return write_together(lambda _: "written by the rules of another version")

    with app.app_context(), ThreadPoolExecutor(1) as threads:
        with writing() as session:
            session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        app.extensions[f"{module._KEY}.None"] = Lined()
        with writing_in_turn():
            other = threads.submit(write_unasked)
            assert lined_up.wait(30)
            assert write_together(lambda _: "written for both") == "written for both"
        with pytest.raises(schema.NewerSchema):
            other.result(30)


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_on_postgresql_a_write_goes_on_beside_those_that_wait_for_rows(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TURN", 0.01)
    with ExitStack() as all_turns, app.app_context():
        for _ in range(module._FEW):
            all_turns.enter_context(module._few_at_a_time())
        assert not module._turns.acquire(blocking=False), "else this would show nothing"
        assert write_together(lambda session: session.scalar(sa.select(7))) == 7
    with ExitStack() as all_turns:
        for _ in range(module._FEW):
            all_turns.enter_context(module._few_at_a_time())
        assert not module._turns.acquire(blocking=False), "each turn was given back, once"
