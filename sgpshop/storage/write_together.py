"""Many threads' writes in few commits, where one write at a time is the database's way (SQLite).

A durable commit costs more than the few statements before it.  So threads that want to write line
up; whoever gets the turn carries out what all of them want in one transaction, and each learns its
own result only after that commit.  PostgreSQL writes in parallel by itself: there a few of a process
write at one time, each on its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sgpshop.extensions import db
from sgpshop.storage import schema
from sgpshop.storage.database import end_reading, writing, writing_in_turn

_T = TypeVar("_T")
_KEY = "sgpshop.write_together"
#: So long a transaction may grow, so that nobody else waits long.
_MOST = 32
#: Writes of a process at one time, where each is its own, and seconds the others wait for one of them.
_FEW, _TURN = 4, 0.5
_turns = threading.BoundedSemaphore(_FEW)


class _PendingWrite:
    """What one thread wants written, and how that went."""

    def __init__(self, function: Callable[[Session], Any], is_unasked: bool = False) -> None:
        self.function = function
        #: whose the database's version is was left out so far: it is asked with the write (P36)
        self.is_unasked = is_unasked
        #: it was committed, or provably not
        self.is_done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def write_together(function: Callable[[Session], _T], *, within: float | None = None) -> _T:
    """Run `function(session)` in a write transaction, perhaps shared with other threads'.

    Returns its value once that is committed; raises what it raised, its own writes undone and the
    others' kept.  It may run in another thread and, if the transaction failed, once more: it only
    writes to the database, and neither returns nor uses objects of a session.

    Raises OperationalError after `within` (or WRITE_WAIT) seconds without a turn.  Only those equally patient share
    a transaction, so nobody suffers from another's haste.
    """
    if db.engine.dialect.name != "sqlite":
        with _few_at_a_time(), writing(within) as session:
            return function(session)
    # Ends a reading transaction: the log cannot begin anew while somebody reads in it, least of all
    # somebody who waits for those that wait for the log (storage.database.fold_back).
    end_reading(db.session())
    queue: deque[_PendingWrite] = current_app.extensions.setdefault(f"{_KEY}.{within}", deque())
    pending = _PendingWrite(function, schema.take_unasked(db.session()))
    queue.append(pending)
    until = None if within is None else time.monotonic() + within
    try:
        with writing_in_turn(within):
            while not pending.is_done.is_set():
                all_pending = _take(queue)
                left = None if until is None else until - time.monotonic()
                _carry_out(all_pending, left)
    except OperationalError:  # no turn, but another thread may do it with its own
        try:
            queue.remove(pending)  # nobody took it up, and nobody will
        except ValueError:
            pending.is_done.wait()  # who took it up says how it went, however that is
        else:
            raise
    result: _T = pending.result()
    return result


@contextmanager
def _few_at_a_time() -> Iterator[None]:
    """PostgreSQL writes in parallel, an interpreter does not.

    Of 32 answers that come at once each would take a connection of its own, for which the server must plan all
    statements anew, and keep rows from others while it waits for the other threads.  Nobody waits long:
    the few may themselves be waiting for rows.
    """
    is_one = _turns.acquire(timeout=_TURN)
    try:
        yield
    finally:
        if is_one:
            _turns.release()


def _take(queue: deque[_PendingWrite]) -> list[_PendingWrite]:
    """The next ones, as many as share a transaction; others may go away meanwhile."""
    taken: list[_PendingWrite] = []
    with suppress(IndexError):
        while len(taken) < _MOST:
            taken.append(queue.popleft())
    return taken


def _carry_out(all_pending: list[_PendingWrite], within: float | None = None) -> None:
    try:
        if any(pending.is_unasked for pending in all_pending):
            schema.leave_unasked(db.session())
        with writing(within) as session:
            # Told only after the commit below: until then another's fault can undo this write too.
            for pending in all_pending:
                pending.value = pending.function(session)
    except BaseException as error:  # nothing of this transaction was kept
        if len(all_pending) > 1 and not isinstance(error, OperationalError):
            for pending in all_pending:  # one of them spoiled it: each on its own
                _carry_out([pending], within)
            return
        for pending in all_pending:  # the database is locked, full or away: for all of them (P32)
            pending.error = error
    for pending in all_pending:
        pending.is_done.set()
