"""What tells a worker: a name and a number, after the commit, and nothing lost without it."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask

from sgpshop.extensions import db
from sgpshop.storage import bells, queue
from sgpshop.storage.database import writing
from sgpshop.storage.queue import Messages, Task, decode, encode, messages
from sgpshop.storage.queue_stores import FileStore, Store, store_for
from tests.postgresql import PostgresqlServer
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url


@pytest.fixture(params=["file", "postgresql", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of the three, empty."""
    url, server = "", None
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    elif request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        assert isinstance(server, PostgresqlServer)
        url = server.new_database().replace("+psycopg", "")
    store = store_for(url, tmp_path)
    store.initialize_schema()
    while url and not _answers(store):
        time.sleep(0.02)
    yield store
    store.close()
    if server is not None:
        server.drop(url.replace("postgresql", "postgresql+psycopg", 1))


def _answers(store: Store) -> bool:
    try:
        store.queue_size()
    except Exception:
        return False
    return True


def test_the_urgent_come_first_and_the_others_in_their_order(store: Store) -> None:
    store.enqueue_all([(b"a", 10), (b"b", 10), (b"c", 40)])
    store.enqueue_all([(b"d", 10)])
    assert store.queue_size() == 4
    assert store.take(3) + store.take(3) == [b"c", b"a", b"b", b"d"]
    assert store.queue_size() == 0


def test_many_at_once(store: Store) -> None:
    store.enqueue_all([(encode("operation", n), 20) for n in range(1000)])
    assert [decode(one)[1] for _ in range(10) for one in store.take(100)] == list(range(1000))


def test_its_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.enqueue_all([(b"a", 0)])
    assert stat.S_IMODE(os.stat(tmp_path / "queue.db").st_mode) == 0o600  # S12
    store.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'["operation"]',
        b'["operation", "1"]',
        b'["operation", true]',
        b'["operation", 1, 2]',
        b'["operation", -1]',
        b'["operation", 9223372036854775808]',
        pytest.param(b"[" * 200_000, id="deep"),
        b'["Operation; drop", 1]',
        b'[["operation"], 1]',
        pickle.dumps(("operation", 1)),
    ],
)
def test_a_message_is_a_name_and_a_number_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own is one too
        decode(data)


@pytest.mark.parametrize("depth", [0, 12], ids=["a short path", "a path too long for a socket"])
def test_who_waits_is_woken(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["a-long-name"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    bell = bells.Bell(folder, "worker")
    assert not bell.wait(0)
    bells.ring(folder, "web")
    assert not bell.wait(0)
    bells.ring(folder, "worker")
    bells.ring(folder, "worker")
    assert bell.wait(0)
    assert not bell.wait(0)
    bell.take_down()
    assert list(folder.glob("*.bell")) == []


def test_a_bell_that_cannot_be_rung_undoes_nothing_of_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = bells.Bell(tmp_path, "worker")

    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    bells.ring(tmp_path, "worker")
    monkeypatch.undo()
    bells.ring(tmp_path, "worker")
    assert bell.wait(0)
    bell.take_down()


def test_the_bell_of_a_dead_process_is_taken_down(tmp_path: Path) -> None:
    bell = bells.Bell(tmp_path, "worker")
    bell._socket.close()  # as a kill does
    bells.ring(tmp_path, "worker")
    assert list(tmp_path.glob("*.bell")) == []


class TestTelling:
    @pytest.fixture(autouse=True)
    def _context(self, app: Flask) -> Iterator[None]:
        with app.app_context():
            yield
            db.session.remove()

    def test_a_worker_is_told_after_the_commit(self) -> None:
        with writing() as session:
            queue.tell(session, Task.OPERATION, [7], 20)
            assert messages().size() == 0
        assert messages().take() == encode("operation", 7)

    def test_of_what_was_undone_nobody_is_told(self) -> None:
        with pytest.raises(RuntimeError):
            self._break_off()
        with writing():
            pass
        assert messages().size() == 0

    def test_a_queue_that_is_away_stops_nothing_and_is_known(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = messages().store
        monkeypatch.setattr(store, "enqueue_all", self._break)
        with writing() as session:
            queue.tell(session, Task.OPERATION, [7], 20)
        assert messages().is_away
        monkeypatch.undo()
        assert not messages().is_missed()  # it answers again

    @staticmethod
    def _break_off() -> None:
        with writing() as session:
            queue.tell(session, Task.OPERATION, [7], 20)
            raise RuntimeError

    @staticmethod
    def _break(_letters: object) -> None:
        raise ConnectionRefusedError


def test_what_the_sweeper_finds_meanwhile_goes_to_its_own_threads(tmp_path: Path) -> None:
    away = Messages("redis://127.0.0.1:1/0", tmp_path)
    away.store = SimpleNamespace(take=TestTelling._break)  # type: ignore[assignment]
    away.keep([(b"a", 0), (b"b", 0)])
    assert [away.take(), away.take()] == [b"a", b"b"]
    with pytest.raises(ConnectionRefusedError):
        away.take()
    assert away.is_away
