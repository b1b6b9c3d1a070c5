"""How many requests of a web process may wait at once, for SMBC-GP or for the database (P23).

Waiting fills threads, and a process has only so many: whoever comes too many is told at once that
it goes on by itself (処理中) or asked to come again (503), and the screens stay quick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import has_request_context

#: Threads of a web process.
WEB_THREADS: Final = 24
#: So many requests may wait, whatever for; and so many of them for an answer of SMBC-GP, for which
#: nobody needs to wait: the work goes on by itself.
MOST: Final = 18
MOST_FOR_ANSWERS: Final = 10
#: Seconds without anybody's turn after which the database is stuck, not merely busy.
_PATIENCE = 0.5

_changed = threading.Condition()
_waiting = 0
_for_database = 0
#: when the database last let somebody in, or the first began to wait for it (monotonic seconds)
_moved_at = 0.0


@contextmanager
def for_an_answer(seconds: float) -> Iterator[float]:
    """Yields how long to wait for work that goes on by itself: `seconds`, or 0 when too many do."""
    with _place(MOST_FOR_ANSWERS, 0.0) as has_place:
        yield seconds if has_place else 0.0


@contextmanager
def for_the_database() -> Iterator[bool]:
    """Yields whether there is room to wait for a lock of the database.

    One too many waits for a place while the others have their turns.  Where nobody had his for a
    while, that would help nobody: its thread is free at once.
    """
    global _for_database, _moved_at
    with _changed:
        if _for_database == 0:
            _moved_at = time.monotonic()
        _for_database += 1
        patience = _moved_at + _PATIENCE - time.monotonic()
    try:
        with _place(MOST, patience) as has_place:
            yield has_place
            if has_place:
                _moved_at = time.monotonic()
    finally:
        with _changed:
            _for_database -= 1


@contextmanager
def _place(most: int, patience: float) -> Iterator[bool]:
    """A place among the waiting ones; the worker, commands and background work need none."""
    global _waiting
    if not has_request_context():
        yield True
        return
    with _changed:
        has_place = _changed.wait_for(lambda: _waiting < most, patience)
        _waiting += has_place
    try:
        yield has_place
    finally:
        with _changed:
            _waiting -= has_place
            _changed.notify()
