"""Work a web request starts and does not wait for: a few threads of the web process.

What matters is in the database before it is handed over here; if the process dies, the worker
(operations) or the person (a file, taken in again without harm) goes on.  So it is with what is too
much: operations beyond MOST_WAITING are left to the worker, files beyond MOST_FILES have to come
again.  Files have threads of their own, so that nobody's capture waits behind them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from flask import Flask

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.services.payments import journal
from sgpshop.storage import waiting

log = logging.getLogger(__name__)

_KEY, _FILES_KEY = "sgpshop.background", "sgpshop.background.files"
MOST_WAITING = 100
#: Each is held in memory meanwhile.
MOST_FILES = 6
_FILES_AT_ONCE = 2
_COME_AGAIN = 30


def submit(app: Flask, function: Callable[..., Any], *args: Any) -> Future[None]:
    """Call `function(*args)` in an app context of its own, soon.  Faults are logged.

    Where too much waits already, nothing is called and the future says cancelled.
    """
    pool = _pool(app, _KEY, app.config["GATEWAY_CONCURRENCY"] + 2)
    if pool._work_queue.qsize() < MOST_WAITING:
        return pool.submit(_run, app, function, args)
    left: Future[None] = Future()
    left.cancel()
    left.set_running_or_notify_cancel()
    return left


def require_room_for_file(app: Flask) -> None:
    """Before a file is looked at.  Raises TooOften when too many wait to be taken in."""
    if _pool(app, _FILES_KEY, _FILES_AT_ONCE)._work_queue.qsize() >= MOST_FILES:
        raise TooOften("ほかのファイルの取り込みが順番を待っています。", _COME_AGAIN)


def submit_file(app: Flask, function: Callable[..., Any], *args: Any) -> None:
    """As `submit`, for what holds a file and nobody else would do."""
    _pool(app, _FILES_KEY, _FILES_AT_ONCE).submit(_run, app, function, args)


def wait_for(work: Future[None], seconds: float) -> bool:
    """Whether `work` ended within so many seconds, or at once when too many requests wait already.

    No transaction of ours is open meanwhile (P8).
    """
    db.session.commit()
    with waiting.for_an_answer(seconds) as seconds:
        wait([work], max(0.0, seconds))
    return work.done()


def finish(app: Flask) -> None:
    """Wait for what is under way; what has not begun is left to the worker or the person (P33)."""
    journal.stop_soon(app)
    for key in (_KEY, _FILES_KEY):
        pool: ThreadPoolExecutor | None = app.extensions.pop(key, None)
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(app: Flask, key: str, threads: int) -> ThreadPoolExecutor:
    pool: ThreadPoolExecutor = app.extensions.setdefault(
        key, ThreadPoolExecutor(threads, "background")
    )
    return pool


def _run(app: Flask, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with app.app_context():
        try:
            function(*args)
        except ShopError as problem:  # nothing broke: it is not possible now, and says why
            log.warning("%s: %s", function.__name__, problem.message)
        except Exception:
            log.exception("%s broke off in the background", function.__name__)
