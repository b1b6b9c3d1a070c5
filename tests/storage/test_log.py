"""SQLite's log is written back and begins anew, though somebody always reads (P34)."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import InstallationFact
from sgpshop.storage import database
from sgpshop.storage.database import fold_back, writing, writing_in_turn
from sgpshop.storage.write_together import write_together
from tests.processes import Processes
from tests.waiting import wait_until

pytestmark = pytest.mark.long


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


def write(times: int) -> None:
    for number in range(times):
        with writing() as session:
            session.merge(InstallationFact(name="touched", value=f"{number}" * 100_000))


def test_a_long_log_begins_anew_as_soon_as_readers_let_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LONG_LOG", 100)
    with app.app_context():
        log = Path(f"{db.engine.url.database}-wal")
        with db.engine.connect() as reader:
            count = sa.select(sa.func.count()).select_from(InstallationFact)
            before = reader.scalar(count)
            write(20)
            grown = log.stat().st_size
            fold_back()  # somebody reads what was before: nothing is lost, and nothing fails
            write(20)
            assert log.stat().st_size > 1.8 * grown
            assert reader.scalar(count) == before
        grown = log.stat().st_size
        fold_back()
        write(20)
        assert log.stat().st_size == grown  # written from its beginning
        assert db.session.get_one(InstallationFact, "touched").value == "19" * 100_000


def test_who_waits_for_a_turn_to_write_does_not_read_on(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LONG_LOG", 1)
    waits = threading.Event()

    def visitor() -> None:
        with app.app_context():
            db.session.scalar(sa.select(InstallationFact.value))  # as who asks whose key it is
            waits.set()
            write_together(lambda session: session.execute(sa.text("SELECT 1")).close())

    with app.app_context():
        write(1)
        with writing_in_turn():
            thread = threading.Thread(target=visitor)
            thread.start()
            assert waits.wait(30)
            with closing(sqlite3.connect(db.engine.url.database or "", timeout=10)) as other:
                [is_busy, *_] = other.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                assert not is_busy
        thread.join()


def test_web_and_worker_at_rest_read_in_nothing_that_keeps_the_log(
    app: Flask, tmp_path: Path
) -> None:
    with app.app_context(), Processes(tmp_path) as processes:
        processes.start_simulator()
        processes.start_web()
        processes.start("worker")
        write(3)
        with closing(sqlite3.connect(str(db.engine.url.database))) as other:

            def is_folded_back() -> bool:
                busy, logged, copied = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                return not busy and logged == copied > 0

            wait_until(is_folded_back)
