"""Waiting for what happens elsewhere: until it is so, and failing plainly if it never is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from flask import Flask

from sgpshop.extensions import db
from sgpshop.services.health import background
from sgpshop.worker.loop import Worker


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Return as soon as `condition()` is true; it sees the database as it is at each look."""
    until = time.monotonic() + seconds
    while True:
        db.session.rollback()
        if condition():
            return
        assert time.monotonic() < until, "still not so"
        time.sleep(0.02)


#: What tests handed to the threads of the web process, while somebody watches them.
_handed: list[Future[None]] = []


@contextmanager
def watched_background(app: Flask) -> Iterator[None]:
    """Within the block `background_ended` knows what the app's own threads were given to do."""
    submit = background.submit
    _handed.clear()

    def submit_and_note(*given: Any) -> Future[None]:
        _handed.append(submit(*given))
        return _handed[-1]

    with patch.object(background, "submit", submit_and_note):
        yield
    background.finish(app)


def background_ended() -> None:
    """Return when those threads are at nothing any more: what is left open is the worker's.

    Whoever takes their leases away earlier judges a call that is still being made.
    """
    db.session.rollback()
    wait(_handed)


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
