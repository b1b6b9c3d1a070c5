"""The worker: finds due work in the database, hands it to threads, and repeats (P13, P17, P22).

The rows are the queue, so a killed worker loses nothing and any number of workers can share one
database.  A thread does one thing: call `payments.runner.run_operation` or a look-up for one id.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from flask import Flask
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from sgpshop.domain.errors import ShopError
from sgpshop.models import Queue
from sgpshop.services import notifications, slips
from sgpshop.services.bulk import runs, working
from sgpshop.services.health import due_work, replanning
from sgpshop.services.order_files import mending
from sgpshop.services.payments import (
    attempt_lookup,
    checkouts,
    clocks,
    journal,
    runner,
    transaction_lookup,
)
from sgpshop.services.payments.journal import RunResult
from sgpshop.services.reconciliation import daily
from sgpshop.services.subscriptions import billing
from sgpshop.storage import setbacks

log = logging.getLogger(__name__)

_IDLE_PAUSE = 0.1
#: So many times the work that fits is fetched at once; another worker may be first with some of it.
_AHEAD = 4
_BEAT_EVERY = 10.0
_TIDY_EVERY = 3600.0
_DAILY_EVERY = 5.0
_NOTICES_EVERY = 0.5
_BILLING_EVERY = 5.0
#: While captures wait, rows of slip files are written only so often, many in one transaction.
_SLIPS_EVERY = 2.0
#: After a fault that touches everything (database, contract) nothing is tried for so long.
_FAULT_PAUSE = 5.0
#: A row that broke off is left alone for at least so long, even if that could not be written down.
_ASIDE = 60.0

Task = tuple[Queue, int]
Action = Callable[[int], object]


@dataclass
class _Periodic:
    """Something done every so many seconds beside the work; one that breaks off spoils no other."""

    every: float
    do: Callable[[], object]
    next_at: float = 0.0


class Throttle:
    """How many operations at once: halved when the gateway says E92, then grown again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._cut_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def allowed(self) -> int:
        """The number that may be under way now, at least 1."""
        return max(1, int(self._allowed))

    def congested(self) -> None:
        """One call was refused for congestion; several at the same moment count once."""
        with self._lock:
            if time.monotonic() - self._cut_at > 1.0:
                self._cut_at = time.monotonic()
                self._allowed = max(1.0, self._allowed / 2)

    def went_well(self) -> None:
        """One call went through: after as many as run at once, one more may."""
        with self._lock:
            self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)


class Worker:
    """One worker process; `run` returns when `stop` was called, or when nothing is due."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        connections: int = app.config["GATEWAY_CONCURRENCY"]
        # Some more threads than connections: while those wait for the gateway, these write.
        self._most = connections + connections // 4 + 1
        self._connections = connections
        self._pace = Throttle(self._most)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Task, Action]] = deque()
        self._under_way: set[Task] = set()
        self._not_before = 0.0
        #: tasks that broke off just now: they may be waiting in `_waiting` still
        self._resting: dict[Task, float] = {}
        #: tasks that broke off before and have not gone through since
        self._set_back: frozenset[Task] = frozenset()
        self._next_slips = 0.0
        self._is_billing_due = False
        #: the place of a step is its number among the setbacks
        self._house = (
            _Periodic(_BEAT_EVERY, partial(due_work.beat, self._name)),
            _Periodic(_BEAT_EVERY, clocks.watch),
            _Periodic(_BEAT_EVERY, replanning.replan),
            _Periodic(_BEAT_EVERY, notifications.match_late),
            _Periodic(_NOTICES_EVERY, notifications.ask_for_looks),
            _Periodic(_BILLING_EVERY, self._ask_for_billing),
            _Periodic(_DAILY_EVERY, self._do_daily),
            _Periodic(_TIDY_EVERY, runs.forget_unconfirmed),
            _Periodic(_TIDY_EVERY, notifications.tidy),
            _Periodic(_TIDY_EVERY, checkouts.tidy),
            _Periodic(_TIDY_EVERY, setbacks.tidy),
        )

    def stop(self) -> None:
        """Take no more work; what is under way is finished (P33)."""
        self._stopping.set()
        journal.stop_soon(self._app)
        with self._changed:
            self._changed.notify()

    def run(self, *, until_idle: bool = False) -> None:
        """Work until stopped; with `until_idle`, until nothing is due and nothing is under way."""
        self._look_soon()
        with ThreadPoolExecutor(self._most, "operation") as pool:
            while not self._stopping.is_set():
                self._keep_house()
                try:
                    was_busy = bool(self._under_way)  # asked first: a task may leave new work
                    found = self._hand_out(pool)
                except Exception:  # the database may be locked, full or away for a while (P32)
                    log.exception("looking for due work failed")
                    self._stopping.wait(_FAULT_PAUSE)
                    continue
                if until_idle and not found and not was_busy:
                    return
                with self._changed:
                    if self._is_full():
                        self._changed.wait(1.0)
                    elif not found:
                        self._changed.wait(_IDLE_PAUSE)

    def _is_full(self) -> bool:
        return len(self._under_way) >= self._pace.allowed

    def _hand_out(self, pool: ThreadPoolExecutor) -> bool:
        """Start what is due as far as there is room; whether there was anything new to start."""
        if self._is_full() or time.monotonic() < self._not_before:
            return False
        if not self._waiting:
            # More than there is room for, so that the next tasks need no new query.
            self._waiting.extend(self._due(_AHEAD * self._most + len(self._under_way)))
        started = False
        while self._waiting and not self._is_full():
            task, action = self._waiting.popleft()
            if task in self._under_way or self._resting.get(task, 0.0) > time.monotonic():
                continue
            started = True
            self._under_way.add(task)
            pool.submit(self._do, action, task).add_done_callback(partial(self._done, task))
        return started

    def _due(self, limit: int) -> Iterator[tuple[Task, Action]]:
        """Due tasks: first what somebody waits for, then what is uncertain, then orders and their transactions."""
        with self._app.app_context():
            due = due_work.due_work(limit)
        self._set_back = due.set_back
        now = time.monotonic()
        self._resting = {task: until for task, until in self._resting.items() if until > now}
        if self._is_billing_due:
            self._is_billing_due = False
            yield (Queue.BILLING, 0), billing.resume
        for attempt_id in due.lost:
            yield (Queue.ATTEMPT, attempt_id), journal.give_up_lost
        for attempt_id in due.uncertain:
            yield (Queue.ATTEMPT, attempt_id), attempt_lookup.look_up
        for attempt_id in due.captures:
            yield (Queue.ATTEMPT, attempt_id), runner.run_operation
        for item_id in due.deliveries:
            yield (Queue.DELIVERY_RUN, item_id), working.resume
        if not due.captures or time.monotonic() >= self._next_slips:
            self._next_slips = time.monotonic() + _SLIPS_EVERY
            for row_id in due.slips:
                yield (Queue.SLIP_RUN, row_id), slips.process_batch
        for transaction_id in due.links[: self._room_for_links()]:
            yield (Queue.LOOK_UP, transaction_id), transaction_lookup.look_up

    def _room_for_links(self) -> int:
        """So many that one connection is left, and none waiting: captures go first (P23)."""
        under_way = sum(queue is Queue.LOOK_UP for queue, _ in list(self._under_way))
        return max(0, max(1, min(self._pace.allowed, self._connections) - 1) - under_way)

    def _do(self, action: Action, task: Task) -> None:
        queue, row_id = task
        with self._app.app_context():
            try:
                ran = action(row_id)
                if task in self._set_back:
                    setbacks.forget(queue, [row_id])
            except ShopError as problem:  # no contract, no usable address: nothing can be asked
                log.warning("gateway not usable: %s", problem.message)
                self._not_before = time.monotonic() + _FAULT_PAUSE
                return
            except (OperationalError, InterfaceError):  # locked, full, away: touches all (P32)
                log.exception("the database does not take %s of %s", action.__name__, row_id)
                self._not_before = time.monotonic() + _FAULT_PAUSE
                return
            except Exception as error:  # something about this row: it must not hold up the others
                log.exception("%s of %s broke off", action.__name__, row_id)
                self._rest(task, error)
                return
        if ran is RunResult.CONGESTED:
            self._pace.congested()
        else:
            self._pace.went_well()

    def _done(self, task: Task, _future: Future[None]) -> None:
        with self._changed:
            self._under_way.discard(task)
            self._changed.notify()

    def _look_soon(self) -> None:
        try:
            with self._app.app_context():
                journal.look_soon()
                mending.mend()
        except DBAPIError:  # then they are looked up as planned, and mended at the next start
            log.exception("looking up uncertain outcomes at start-up failed")

    def _rest(self, task: Task, error: Exception) -> None:
        """Let a task that broke off wait, longer each time, whoever works then."""
        self._resting[task] = time.monotonic() + _ASIDE
        try:
            setbacks.note(task[0], [task[1]], error)
        except DBAPIError:
            log.exception("noting what broke off failed")

    def _keep_house(self) -> None:
        """Every step that is due, each on its own; one that breaks off spoils no other."""
        for number, step in enumerate(self._house):
            if time.monotonic() < step.next_at:
                continue
            step.next_at = time.monotonic() + step.every
            try:
                with self._app.app_context():
                    setbacks.carefully(Queue.HOUSEKEEPING, [number], step.do)
            except Exception:  # the database is away: the others would say the same
                log.exception("housekeeping failed")
                return

    def _ask_for_billing(self) -> None:
        is_resting = setbacks.is_resting(Queue.BILLING, 0)
        self._is_billing_due = not is_resting and billing.is_due()

    def _do_daily(self) -> None:
        daily.run(share=self._pace.allowed / self._most)
