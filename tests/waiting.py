"""Waiting for what happens elsewhere: until it is so, and failing plainly if it never is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from flask import Flask, current_app

from sgpshop.extensions import db
from sgpshop.worker.engine import Worker
from tests import own_worker


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Return soon after `condition()` is true; it sees the database as it is at each look.

    Who has waited longer looks less often: what is waited for has the processor meanwhile.
    """
    until = time.monotonic() + seconds
    pause = 0.02
    while True:
        db.session.rollback()
        if condition():
            return
        assert time.monotonic() < until, "still not so"
        time.sleep(pause)
        pause = min(0.1, pause * 1.2)


_LOCKED_OUT = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def is_anybody_locked_out() -> bool:
    """Whether a transaction waits for another's rows or table (PostgreSQL)."""
    with db.engine.connect() as connection:
        return bool(connection.scalar(_LOCKED_OUT))


@contextmanager
def watched_background(app: Flask) -> Iterator[None]:
    """What the test's own worker was told within the block is over at its end."""
    yield
    own_worker.finish(app)


def background_ended() -> None:
    """Return when that worker is at nothing any more: what is left open is another's.

    Whoever takes its leases away earlier judges a call that is still being made.
    """
    db.session.rollback()
    own_worker.ended(current_app._get_current_object())  # type: ignore[attr-defined]


@contextmanager
def working(app: Flask) -> Iterator[Worker]:
    """A worker at work in a thread; it has finished what it had begun when the block ends."""
    worker = Worker(app)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        with own_worker.working_by(app, "off"):
            yield worker
    finally:
        worker.stop()
        thread.join()
