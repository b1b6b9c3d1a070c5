"""Waiting for what happens elsewhere: until it is so, and failing plainly if it never is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask

from sgpshop.extensions import db
from sgpshop.jobs.worker import Worker


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Return as soon as `condition()` is true; it sees the database as it is at each look."""
    until = time.monotonic() + seconds
    while True:
        db.session.rollback()
        if condition():
            return
        assert time.monotonic() < until, "still not so"
        time.sleep(0.02)


@contextmanager
def working(app: Flask) -> Iterator[Worker]:
    """A worker at work in a thread; it has finished what it had begun when the block ends."""
    worker = Worker(app)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join()
