"""Where messages lie until a worker takes them: a file of their own, PostgreSQL or Redis.

huey's stores, with what a shop needs beside: many messages at once, and one way of waiting.  Only
one thread of a process waits at a time (worker/engine.py), so waiting costs no more with many threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from huey.storage import PostgresStorage, PriorityRedisStorage, SqliteStorage

from sgpshop.storage import bells
from sgpshop.storage.database import SILENT_SERVER

#: Bytes of a message, and how soon it is taken: the higher the sooner.
Letter = tuple[bytes, int]

#: Seconds a thread waits for a message before it looks whether it is to end.
_WAIT = 4.0
#: Seconds between two looks into the file without anybody having rung.
_SLOW_POLL = 5.0
_CONNECT_WITHIN = 3
_NAME = "sgpshop"


class Store(Protocol):
    """What we use of a huey storage."""

    def enqueue_all(self, letters: Sequence[Letter]) -> None:
        """Keep these messages and wake a worker.  Raises what its database raises."""

    def take(self, most: int) -> list[bytes]:
        """The next messages, so many at most, as soon as there is one; none when none came for a while."""

    def wake(self) -> None:
        """Let whoever waits look again, where that can be told."""

    def queue_size(self) -> int:
        """How many messages nobody has taken yet."""

    def initialize_schema(self) -> None:
        """Make the tables, if it has any and they are not there."""

    def put_data(self, key: str, value: bytes) -> None:
        """Keep something aside under a key."""

    def pop_data(self, key: str) -> Any:
        """Take it back."""

    def result_items(self) -> dict[str, bytes]:
        """All that is kept aside."""

    def close(self) -> object:
        """Let go of connections; they are made again when asked for."""


class FileStore(SqliteStorage):  # type: ignore[misc]
    """A file of its own in the instance path: one machine, no other service."""

    blocking = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bell: bells.Bell | None = None
        self._looks_at = 0.0
        super().__init__(_NAME, filename=str(folder / "queue.db"), create_tables=False)

    def _create_connection(self) -> Any:
        with suppress(FileExistsError):
            os.close(os.open(self.filename, os.O_CREAT | os.O_EXCL, 0o600))  # S12
        connection = super()._create_connection()
        # Not for each message to the disk: what a power cut takes, the sweeper finds in the rows.
        connection.execute("PRAGMA synchronous=NORMAL")
        for statement in self.ddl:  # the file is not the database: it may be gone any time
            connection.execute(statement)
        return connection

    def enqueue_all(self, letters: Sequence[Letter]) -> None:
        with self.db(commit=True) as cursor:
            cursor.executemany(
                "INSERT INTO task (queue, data, priority) VALUES (?, ?, ?)",
                [(self.name, data, priority) for data, priority in letters],
            )
        self.wake()

    def wake(self) -> None:
        bells.ring(self._folder, "worker")

    def take(self, most: int) -> list[bytes]:
        if self._bell is None:
            self._bell = bells.Bell(self._folder, "worker")
        # Looked for after the bell is hung up: what came before it rang for nobody.
        found = self._take(most)
        if not found and (self._bell.wait(_WAIT) or time.monotonic() > self._looks_at):
            found = self._take(most)
        return found

    def _take(self, most: int) -> list[bytes]:
        self._looks_at = time.monotonic() + _SLOW_POLL
        if not self.sql("SELECT 1 FROM task WHERE queue = ? LIMIT 1", (self.name,), results=True):
            return []  # without the lock for writing
        with self.db(commit=True) as cursor:
            cursor.execute(
                "SELECT id, data FROM task WHERE queue = ? ORDER BY priority DESC, id LIMIT ?",
                (self.name, most),
            )
            rows = cursor.fetchall()
            cursor.executemany("DELETE FROM task WHERE id = ?", [(row[0],) for row in rows])
        return [bytes(row[1]) for row in rows]

    def close(self) -> object:
        if self._bell is not None:
            self._bell.take_down()
            self._bell = None
        return super().close()


class PostgresqlStore(PostgresStorage):  # type: ignore[misc]
    """Tables on a PostgreSQL server, which tells a worker that waits (LISTEN, NOTIFY)."""

    def __init__(self, url: str) -> None:
        super().__init__(
            _NAME,
            dsn=url,
            create_tables=False,
            table_prefix="sgpshop_queue",
            read_timeout=_WAIT,
            **(SILENT_SERVER | {"connect_timeout": _CONNECT_WITHIN}),
        )
        # huey gives each thread a connection to listen on; ours take turns on one.
        self._listen_local = SimpleNamespace()

    def enqueue_all(self, letters: Sequence[Letter]) -> None:
        with self.db(commit=True) as cursor:
            cursor.executemany(
                f"INSERT INTO {self.table_task} (queue, data, priority) VALUES (%s, %s, %s)",  # noqa: S608 - our own name
                [(self.name, data, priority) for data, priority in letters],
            )
            cursor.execute("SELECT pg_notify(%s, '')", (self.channel,))

    def take(self, most: int) -> list[bytes]:
        first = self.dequeue()
        if first is None:
            return []
        with self.db() as cursor:
            cursor.execute(
                f"DELETE FROM {self.table_task} WHERE id IN ("  # noqa: S608 - our own name
                f"SELECT id FROM {self.table_task} WHERE queue = %s "
                "ORDER BY priority DESC, id LIMIT %s FOR UPDATE SKIP LOCKED) "
                "RETURNING priority, id, data",
                (self.name, most - 1),
            )
            rows = sorted((-row[0], row[1], bytes(row[2])) for row in cursor.fetchall())
        return [first, *(data for _, _, data in rows)]

    def wake(self) -> None:
        self.sql("SELECT pg_notify(%s, '')", (self.channel,))


class RedisStore(PriorityRedisStorage):  # type: ignore[misc]
    """A Redis server."""

    def __init__(self, url: str) -> None:
        from redis import ConnectionPool

        pool = ConnectionPool.from_url(
            url, socket_connect_timeout=_CONNECT_WITHIN, socket_timeout=_WAIT + 5
        )
        super().__init__(_NAME, connection_pool=pool, read_timeout=_WAIT)

    def enqueue_all(self, letters: Sequence[Letter]) -> None:
        with self.conn.pipeline(transaction=False) as pipeline:
            now = time.time_ns() // 1000
            # As huey's own enqueue: the time in front keeps those of one priority in their order.
            pipeline.zadd(
                self.queue_key,
                {
                    (now + n).to_bytes(8, "big") + data: -priority
                    for n, (data, priority) in enumerate(letters)
                },
            )
            pipeline.execute()

    def take(self, most: int) -> list[bytes]:
        first = self.dequeue()
        if first is None:
            return []
        # The time stands in front of each (`enqueue_all`).
        return [first, *(item[8:] for item, _ in self.conn.zpopmin(self.queue_key, most - 1))]

    def wake(self) -> None:
        """Who waits for Redis looks up every few seconds."""

    def initialize_schema(self) -> None:
        """Redis has no tables."""

    def close(self) -> object:
        return self.pool.disconnect()


def store_for(url: str, folder: Path) -> Store:
    """The store that SGPSHOP_QUEUE_URL names; "" is the file in `folder`.  Connects to nothing yet."""
    if not url:
        return FileStore(folder)
    return RedisStore(url) if url.startswith("redis") else PostgresqlStore(url)
