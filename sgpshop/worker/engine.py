"""The worker: huey takes messages and runs tasks in threads; what they say is in the rows (P13, P17, P22).

A message names a task and a row.  Each task claims its row before it does anything, so a message that
comes twice does nothing and one that is lost is found again by the sweeper (`house.py`).  A killed worker
loses nothing and any number of workers can share one database.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask
from huey.api import Huey
from huey.consumer import Consumer
from huey.exceptions import HueyException
from huey.registry import Message
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from sgpshop import logs
from sgpshop.domain.errors import CouldNotAsk
from sgpshop.services.order_files import mending
from sgpshop.services.payments import journal
from sgpshop.services.payments.connections import connections
from sgpshop.services.payments.journal import RunResult
from sgpshop.storage import setbacks
from sgpshop.storage.database_words import is_deadlock
from sgpshop.storage.queue import Messages, Task, decode, encode, messages
from sgpshop.storage.stopping import stop_soon, stopped
from sgpshop.worker.house import House
from sgpshop.worker.pace import Throttle
from sgpshop.worker.tasks import WORK, Work
from sgpshop.worker.told import Key

log = logging.getLogger(__name__)
logging.getLogger("huey").setLevel(logging.WARNING)  # it tells of every task

#: After a fault that touches everything (database, contract) nothing is tried for so long.
_FAULT_PAUSE = 5.0
#: Seconds before a queue that is away is asked again.
_STORE_PAUSE = 1.0
#: A row that broke off is left alone for at least so long, even if that could not be written down.
_ASIDE = 60.0
#: And one that waited in a circle with another writer, until it is told again.
_FREED = 1.0
#: So many files at once, in threads of their own: captures do not wait for a file (P23).
_LONG_AT_ONCE = 2
#: And the daily backup, which waits for none either, however many people ask for.
_LONG_THREADS = _LONG_AT_ONCE + 1
#: Seconds a thread may hold the interpreter meanwhile, so that those of captures get their turns.
_SWITCH_EVERY = 0.001
#: huey names a task by its module and its own name.
_MODULE = "sgpshop.worker.tasks"
#: Messages a worker does not know are kept under names that begin so.
_UNKNOWN = "unknown."
#: So many of them, and no older ones than so many days: whoever writes to the queue fills no disk.
_MOST_UNKNOWN = 1000
_OLDEST_UNKNOWN = 30


class Serializer:
    """What huey asks to make bytes of a message and back, in place of pickle."""

    def serialize(self, message: Message) -> bytes:
        """The bytes of a message with one id."""
        [row_id] = message.args
        return encode(message.name.rpartition(".")[2], row_id)

    def deserialize(self, data: bytes) -> Message:
        """The message.  Raises ValueError."""
        task, row_id = decode(data)
        return Message(None, f"{_MODULE}.{task}", args=(row_id,))


class _Huey(Huey):  # type: ignore[misc]
    """One queue, waited for by one thread at a time, and nothing but tasks in it."""

    def __init__(self, queue: Messages, room: Callable[[], bool]) -> None:
        self._queue = queue
        self._room = room
        self._turn = threading.Lock()
        self._keeping = threading.Lock()
        # Results and retries are off: what became of a task is in its row, and whether it is tried
        # again is decided there (P10).
        super().__init__("sgpshop", results=False, serializer=Serializer())

    def create_storage(self) -> Any:
        return self._queue.store

    def dequeue(self) -> Any:
        """The next task, or None when there was none for a while, or no room for one."""
        # One waits, the others stand behind: a queue that is asked by every thread is never at rest.
        with self._turn:
            if not self._room():
                return None
            try:
                data = self._queue.take()
            except Exception:  # each store has errors of its own; the queue has told of it
                time.sleep(_STORE_PAUSE)
                return None
        if data is None:
            return None
        try:
            return self.deserialize_task(data)
        except (ValueError, HueyException):
            self._keep_unknown(data)
            return None

    def _keep_unknown(self, data: bytes) -> None:
        """Another version knows it perhaps: it is kept, and named."""
        try:
            name, _ = decode(data)
        except ValueError:
            logs.event("message_refused", level=logging.ERROR, size=len(data))
            return
        with self._keeping:  # or several threads would find the same last place
            is_room = len(self._unknown()) < _MOST_UNKNOWN
            if is_room:
                self.storage.put_data(f"{_UNKNOWN}{name}.{time.time_ns()}", data)
        logs.event("unknown_task", level=logging.ERROR, task=name, kept=is_room)

    def take_up_unknown(self) -> None:
        """At a start: what a worker of another version did not know and we do; the oldest are let go."""
        known = set(WORK) | {Task.SWEEP}
        too_old = time.time_ns() - _OLDEST_UNKNOWN * 86_400 * 10**9
        for key in self._unknown():
            _, task, kept_at = key.split(".")
            if task in known:
                self.storage.enqueue(self.storage.pop_data(key))
            elif int(kept_at) < too_old:
                self.storage.pop_data(key)
                logs.event("unknown_task_dropped", level=logging.WARNING, task=task)

    def _unknown(self) -> list[str]:
        return [key for key in self.storage.result_items() if key.startswith(_UNKNOWN)]

    # Nothing of ours is ever revoked, so the store need not be asked before and after each task.
    def is_revoked(self, *_: Any, **__: Any) -> bool:
        return False

    def delete(self, _key: str) -> bool:
        return False


class _Consumer(Consumer):  # type: ignore[misc]
    """huey's threads; signals are the command's, and the scheduler is our `House`."""

    def __init__(self, huey: _Huey, threads: int, house: House) -> None:
        self._house = house
        super().__init__(huey, workers=threads, periodic=False, initial_delay=0.05, max_delay=2.0)

    def _create_scheduler(self) -> House:
        return self._house

    def _set_signal_handlers(self) -> None:
        """None: `cli/run.py` has them, and in tests we are a thread."""


class Worker:
    """One worker process; `run` returns when `stop` was called, or when nothing is due."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        most: int = app.config["GATEWAY_CONCURRENCY"]
        # Some more threads than connections: while those wait for the gateway, these write.
        threads = most + most // 4 + 1
        self._pace = Throttle(threads)
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._under_way: dict[Key, int] = {}
        self._running = self._long = 0
        self._not_before = 0.0
        self._switch_every = sys.getswitchinterval()
        #: rows that broke off just now
        self._resting: dict[Key, float] = {}
        with app.app_context():
            self._messages = messages()
            self._connections = connections()
        self._huey = _Huey(self._messages, self._has_room)
        self._house = House(app, self.name, threads, self)
        for task, work in WORK.items():
            self._register(task, self._doing(work))
        self._register(Task.SWEEP, lambda _id: self._house.sweep_soon())
        self._consumer = _Consumer(self._huey, threads + _LONG_THREADS, self._house)
        self._house.stop_flag = self._consumer.stop_flag
        self._house.end = self.stop

    def _register(self, task: Task, function: Callable[[int], None]) -> None:
        def do(row_id: int) -> None:
            function(row_id)

        do.__module__ = _MODULE
        self._huey.task(name=task.value)(do)

    def stop(self) -> None:
        """Take no more work; what is under way is finished (P33)."""
        stop_soon(self._app)
        self._over.set()

    def run(self, *, until_idle: bool = False) -> None:
        """Work until stopped; with `until_idle`, until nothing is due and nothing is under way.

        Raises NewerSchema or OtherSchema once the database is of another version (P36).
        """
        self._begin()
        self._house.when_idle = self._over.set if until_idle else None
        self._consumer.start()
        while not self._over.wait(10.0):
            self._consumer.check_worker_health()
        with self._changed:
            self._consumer.stop_flag.set()
            self._changed.notify_all()
        self._house.wake()
        with suppress(Exception):  # the queue is away: who waits for it looks up by itself
            self._messages.store.wake()
        self._consumer.stop(graceful=True)
        self._messages.store.close()
        self._connections.leave()
        stopped(self._app)
        if self._house.other_version is not None:
            raise self._house.other_version

    # ---- what the house wants to know -----------------------------------------------------------

    @property
    def pace(self) -> Throttle:
        """How many tasks may be under way."""
        return self._pace

    @property
    def share(self) -> int:
        """How many connections to SMBC-GP may be used here."""
        return self._connections.share

    @property
    def is_paused(self) -> bool:
        """Whether something that touches everything broke off just now."""
        return time.monotonic() < self._not_before

    @property
    def is_busy(self) -> bool:
        """Whether a task is under way."""
        return self._running + self._long > 0

    def is_at(self, key: Key) -> bool:
        """Whether this row is under way here."""
        return key in self._under_way

    def is_resting(self, key: Key) -> bool:
        """Whether it broke off just now."""
        return self._resting.get(key, 0.0) > time.monotonic()

    def has_place_for(self, task: Task) -> bool:
        """Whether one more of its kind may be under way; what is not long waits for its turn."""
        return self._has_place(WORK[task])

    def _has_place(self, work: Work) -> bool:
        of_its_kind = sum(queue is work.queue for queue, _ in list(self._under_way))
        return not work.is_long or of_its_kind < _LONG_AT_ONCE

    def links_under_way(self) -> int:
        """How many transactions are being looked up."""
        return sum(queue is WORK[Task.LINK].queue for queue, _ in list(self._under_way))

    # ---- tasks ----------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        """Wait until one more may be under way; whether it may."""
        with self._changed:
            is_free = self._changed.wait_for(
                lambda: self._consumer.stop_flag.is_set() or self._is_free(), 1.0
            )
            return is_free and not self._consumer.stop_flag.is_set()

    def _is_free(self) -> bool:
        if self._connections.is_left_out:  # others have them all: they take the messages too
            self._connections.look_again(1.0)
        is_left_out = self._connections.is_left_out
        return self._running < self._pace.allowed and not self.is_paused and not is_left_out

    def _doing(self, work: Work) -> Callable[[int], None]:
        def do(row_id: int) -> None:
            key = (work.queue, row_id)
            with self._changed:
                is_full = not self._has_place(work)
                # Whatever is not begun here is found by the sweeper again.
                is_ours = not (is_full or self.is_at(key) or self.is_resting(key))
                self._count(work, is_ours)
                if is_ours:
                    self._under_way[key] = 1
            try:
                if is_ours:
                    self._do(work, key)
            finally:
                with self._changed:
                    self._count(work, -is_ours)
                    if is_ours:
                        del self._under_way[key]
                    self._changed.notify()
                self._house.is_done(key)

        return do

    def _count(self, work: Work, more: int) -> None:
        if work.is_long:
            self._long += more
            sys.setswitchinterval(_SWITCH_EVERY if self._long else self._switch_every)
        else:
            self._running += more

    def _do(self, work: Work, key: Key) -> None:
        with self._app.app_context():
            try:
                ran = work.do(key[1])
                if self._house.was_set_back(key):
                    setbacks.forget(key[0], [key[1]])
            except CouldNotAsk as problem:  # no contract, no usable address: nothing can be asked
                log.warning("gateway not usable: %s", problem.message)
                self._pause()
                return
            except (OperationalError, InterfaceError) as problem:
                log.exception("the database does not take work on %s %s", *key)
                if is_deadlock(problem):  # another write went on, of this nothing was kept
                    self._resting[key] = time.monotonic() + _FREED
                else:  # locked, full, away: touches all (P32)
                    self._pause()
                return
            except Exception as error:  # something about this row: it must not hold up the others
                log.exception("work on %s %s broke off", *key)
                self._rest(key, error)
                return
        if ran is RunResult.CONGESTED:
            self._pace.congested()
        else:
            self._pace.went_well()

    def _pause(self) -> None:
        self._not_before = time.monotonic() + _FAULT_PAUSE

    def _rest(self, key: Key, error: Exception) -> None:
        """Let a row that broke off wait, longer each time, whoever works then."""
        now = time.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        self._resting[key] = now + _ASIDE
        try:
            setbacks.note(key[0], [key[1]], error)
        except DBAPIError:
            log.exception("noting what broke off failed")

    def _begin(self) -> None:
        self._connections.stay()
        try:
            with self._app.app_context():
                journal.look_soon()
                mending.mend()
        except DBAPIError:  # then they are looked up as planned, and mended at the next start
            log.exception("looking up uncertain outcomes at start-up failed")
        try:
            self._huey.take_up_unknown()
        except Exception:  # the queue is away: it is told when somebody writes to it
            log.exception("the queue does not answer")
