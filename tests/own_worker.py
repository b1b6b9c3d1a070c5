"""The worker that tests have for what somebody waits for: threads of the test's own process.

Only workers send to SMBC-GP.  So that a test can press a button and see what came of it, every app of
a test does in its own threads what a click, the API or a buyer tells a worker, by the same task functions.
What nobody waits for (runs, planned look-ups) is left to a `Worker`, as is all of it while one is
`working`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from flask import Flask, current_app

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.services.payments import journal
from sgpshop.storage import waiting
from sgpshop.storage.queue import Messages, Task, Urgency, decode
from sgpshop.worker.tasks import WORK

log = logging.getLogger(__name__)

_KEY = "sgpshop.queue"
_THREADS = 6


class OwnWorker(Messages):
    """A queue that keeps for its own threads what somebody waits for."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app.config["QUEUE_URL"], Path(app.config["INSTANCE_PATH"]))
        self.app = app
        #: "threads", "at once" (in the thread that tells) or "off" (a worker is there, or none)
        self.how = "threads"
        self.handed: dict[tuple[str, int], Future[None]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._here = threading.local()

    def send(self, letters: Sequence[tuple[bytes, int]]) -> bool:
        """Carry out what somebody waits for; hand the rest over."""
        others = []
        for data, urgency in letters:
            if self._is_ours(urgency):
                self._begin(*decode(data))
            else:
                others.append((data, urgency))
        return super().send(others) if others else True

    def finish(self) -> None:
        """Wait until nothing is under way."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def close(self) -> None:
        """It is over: nothing stays open."""
        self.finish()
        if "store" in self.__dict__:
            self.store.close()

    def _is_ours(self, urgency: int) -> bool:
        is_second_step = urgency == Urgency.NEXT_STEP and getattr(self._here, "is_at_work", False)
        return self.how != "off" and (urgency == Urgency.SOMEBODY_WAITS or is_second_step)

    def _begin(self, task: str, row_id: int) -> None:
        if self.how == "at once" or getattr(self._here, "is_at_work", False):
            self._do(Task(task), row_id)
            return
        self._pool = self._pool or ThreadPoolExecutor(_THREADS, "own-worker")
        self.handed[task, row_id] = self._pool.submit(self._do_safely, Task(task), row_id)

    def _do(self, task: Task, row_id: int) -> None:
        was, self._here.is_at_work = getattr(self._here, "is_at_work", False), True
        try:
            with self.app.app_context():
                WORK[task].do(row_id)
        except ShopError:
            log.info("not usable just now")
        finally:
            self._here.is_at_work = was

    def _do_safely(self, task: Task, row_id: int) -> None:
        try:
            self._do(task, row_id)
        except Exception:
            log.exception("%s of %s broke off", task, row_id)


def install(app: Flask) -> None:
    """Give the app of a test its own worker."""
    app.extensions[_KEY] = OwnWorker(app)


def of(app: Flask) -> OwnWorker:
    """That worker."""
    found = app.extensions[_KEY]
    assert isinstance(found, OwnWorker)
    return found


def finish(app: Flask) -> None:
    """Wait until it is at nothing any more."""
    of(app).finish()


def ended(app: Flask) -> None:
    """Return when what it was told so far is over: what is left open is the worker's."""
    wait(of(app).handed.values())


@contextmanager
def waited_for() -> Iterator[None]:
    """Within the block who waits for the end of an act waits for its thread.

    When that is over so is all that is done just now, and a card is kept; what is left open is a
    worker's, and there is none: nobody waits in vain, looks at the database meanwhile, or listens for news.
    """
    wait_for_end = journal.wait_for_end

    def wait_for_thread(attempt_id: int, seconds: float) -> None:
        own = of(current_app)
        thread = own.handed.get((Task.OPERATION, attempt_id))
        if thread is None or own.how == "off":
            wait_for_end(attempt_id, seconds)
            return
        db.session.commit()  # no transaction is open meanwhile (P8)
        with waiting.for_an_answer(seconds) as left:
            wait([thread], left)

    with patch.object(journal, "wait_for_end", wait_for_thread):
        yield


@contextmanager
def working_by(app: Flask, how: str) -> Iterator[None]:
    """Within the block it works in that way: "threads", "at once" or "off"."""
    own = of(app)
    was, own.how = own.how, how
    try:
        yield
    finally:
        own.how = was
