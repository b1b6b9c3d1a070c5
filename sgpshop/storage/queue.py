"""What tells a worker that something is due: messages of a task's name and an id (decisions/012).

The rows of the database are the truth, a message is a hint: lost, late, twice or forged it changes
nothing, for whoever takes it claims the row first.  So messages go out after the commit, and a queue
that is away delays what waits (the worker's sweeper finds it) and loses nothing.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from enum import StrEnum
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, current_app
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.errors import CouldNotAsk
from sgpshop.loading import without

if TYPE_CHECKING:
    from sgpshop.storage.queue_stores import Letter, Store

_KEY = "sgpshop.queue"
_TOLD = "sgpshop.told"
#: A queue that did not take a message is left alone for so many seconds: nobody waits for it twice.
_LEAVE_ALONE = 5.0
#: So many messages are taken at once: each by itself costs more than what it tells of.  Those of a
#: process that dies are lost, and the sweeper finds what they told of.
_AT_ONCE = 8
_WORD = re.compile(r"[a-z_]{1,30}")
#: No message of ours has more bytes.
_LONGEST = 100


class Task(StrEnum):
    """What a worker can be told to do; the id says with which row (worker/tasks.py)."""

    #: an attempt is to be carried out
    OPERATION = "operation"
    #: an attempt in doubt is to be looked up because somebody looks at its order
    HURRY = "hurry"
    #: an order and its transaction are to be looked up because somebody asked for it
    LOOK_UP = "look_up"
    #: rows became due that the sweeper finds: look around now
    SWEEP = "sweep"
    #: long work: a file that comes in, goes out or is compared
    JOB = "job"
    #: what the sweeper found
    LOST = "lost"
    UNCERTAIN = "uncertain"
    DELIVERIES = "deliveries"
    SLIPS = "slips"
    LINK = "link"
    BILLING = "billing"
    BACKUP = "backup"


class Urgency:
    """How soon a message is taken: the higher the sooner."""

    SOMEBODY_WAITS = 40
    #: the second step of an act, or one order alone: somebody may wait
    NEXT_STEP = 35
    #: what the sweeper found: few at a time, and not behind a thousand captures
    FOUND = 30
    MANY = 20
    LATER = 10


def encode(task: str, row_id: int) -> bytes:
    """A message: nothing but a name and a number, so whoever writes to the queue runs no code."""
    return json.dumps([task, row_id]).encode()


def decode(data: bytes) -> tuple[str, int]:
    """The name and number of a message.  Raises ValueError for anything else."""
    match json.loads(data) if len(data) <= _LONGEST else None:
        case [str(task), int(row_id)] if _WORD.fullmatch(task) and not isinstance(row_id, bool):
            if 0 <= row_id < 2**63:  # 0: no row in particular
                return task, row_id
    raise ValueError("no message of ours")


class Messages:
    """The queue of one process."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._failed_at = float("-inf")
        #: what was taken and not yet begun, and what this process found itself while the queue is away
        self._own: deque[bytes] = deque()

    @cached_property
    def store(self) -> Store:
        """Where the messages lie; made when first asked for, as most commands send none."""
        _load_huey(with_clients=bool(self._url))
        from sgpshop.storage.queue_stores import store_for  # it takes longer than a command

        return store_for(self._url, self._folder)

    @property
    def is_away(self) -> bool:
        """Whether it did not answer when it was needed last."""
        return self._failed_at != float("-inf")

    def send(self, letters: Sequence[Letter]) -> bool:
        """Hand these over; whether the queue took them.  Raises nothing: the rows are there."""
        if not letters or time.monotonic() - self._failed_at < _LEAVE_ALONE:
            return False
        try:
            self.store.enqueue_all(letters)
        except Exception as problem:  # each store has errors of its own
            self._failed(problem)
            return False
        self._went_well()
        return True

    def keep(self, letters: Sequence[Letter]) -> None:
        """For our own threads, where the queue does not take them: what is due need not wait for it."""
        self._own.extend(data for data, _ in letters)

    def take(self) -> bytes | None:
        """The next message, or None when there was none for a while.  Raises what the store raises."""
        with suppress(IndexError):
            return self._own.popleft()
        try:
            found = self.store.take(_AT_ONCE)
        except Exception as problem:
            self._failed(problem)
            raise
        self._went_well()
        self._own.extend(found)
        return self._own.popleft() if found else None

    def size(self) -> int | None:
        """How many messages nobody has taken yet; None: the queue is away."""
        try:
            found = self.store.queue_size()
        except Exception as problem:
            self._failed(problem)
            return None
        self._went_well()
        return found + len(self._own)

    def is_missed(self) -> bool:
        """Whether the queue does not answer; a file that took the last message is not asked."""
        return (bool(self._url) or self.is_away) and self.size() is None

    def _failed(self, problem: Exception) -> None:
        if not self.is_away:
            logs.event("queue_away", level=logging.ERROR, error=type(problem).__name__)
        self._failed_at = time.monotonic()

    def _went_well(self) -> None:
        if self.is_away:
            logs.event("queue_back", level=logging.WARNING)
        self._failed_at = float("-inf")


def _load_huey(*, with_clients: bool) -> None:
    """huey loads the clients of Redis and PostgreSQL wherever they are installed: 15 MB and 0.1 s that a
    queue in a file has no use for."""
    with nullcontext() if with_clients else without("redis", "psycopg"):
        import_module("huey.storage")


def init_app(app: Flask) -> None:
    """Give the app the queue that its settings name; nothing is connected yet."""
    app.extensions[_KEY] = Messages(app.config["QUEUE_URL"], app.config["INSTANCE_PATH"])


def messages() -> Messages:
    """The queue of the current app."""
    found: Messages = current_app.extensions[_KEY]
    return found


def tell(session: Session, task: Task, row_ids: Iterable[int], urgency: int) -> None:
    """In a write transaction: once it is committed, tell a worker of these rows."""
    waiting: list[Letter] = session.info.setdefault(_TOLD, [])
    waiting.extend((encode(task, row_id), urgency) for row_id in row_ids)


def send_told(session: Session) -> None:
    """After the commit: send what `tell` noted in this transaction."""
    if letters := session.info.pop(_TOLD, None):
        messages().send(letters)


def forget_told(session: Session) -> None:
    """After a rollback: there is nothing to tell."""
    session.info.pop(_TOLD, None)


def tell_now(task: Task, row_id: int = 0, urgency: int = Urgency.SOMEBODY_WAITS) -> bool:
    """Tell a worker of a row that is committed; whether the queue took it."""
    return messages().send([(encode(task, row_id), urgency)])


def make_tables() -> None:
    """Make the queue's tables where it has any: by `migrate`, for two workers at once would race.

    Raises CouldNotAsk.
    """
    try:
        messages().store.initialize_schema()
    except Exception as problem:  # each store has errors of its own
        raise CouldNotAsk(
            "SGPSHOP_QUEUE_URL のキューに接続できないため、その表を作れませんでした。"
            "接続先を確認して、もう一度 migrate を実行してください。"
        ) from problem
