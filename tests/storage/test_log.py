"""SQLite's log goes back into its file, and is emptied once it grew long, though somebody always reads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import InstallationFact
from sgpshop.storage import database
from sgpshop.storage.database import shorten_log, writing
from tests.processes import Processes
from tests.waiting import wait_until


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


def write(times: int) -> None:
    for number in range(times):
        with writing() as session:
            session.merge(InstallationFact(name="touched", value=f"{number}" * 100_000))


def test_a_long_log_is_emptied_as_soon_as_readers_let_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LONG_LOG", 1_000_000)
    with app.app_context():
        log = Path(f"{db.engine.url.database}-wal")
        write(2)
        short = log.stat().st_size
        shorten_log()
        assert log.stat().st_size == short > 0
        with db.engine.connect() as reader:
            count = sa.select(sa.func.count()).select_from(InstallationFact)
            before = reader.scalar(count)
            write(20)
            grown = log.stat().st_size
            assert grown > 1_000_000
            shorten_log()  # somebody reads what was before: nothing is lost, and nothing fails
            assert log.stat().st_size == grown
            assert reader.scalar(count) == before
        write(1)  # nobody waits for it either
        shorten_log()
        assert log.stat().st_size == 0
        assert db.session.get_one(InstallationFact, "touched").value == "0" * 100_000


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
