"""Work a web request starts and does not wait for: a few threads of the web process.

What matters is in the database before it is handed over here; if the process dies, the worker
(operations) or the person (a file, taken in again without harm) goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from flask import Flask

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.services.payments import journal
from sgpshop.storage import waiting

log = logging.getLogger(__name__)

_KEY = "sgpshop.background"


def submit(app: Flask, function: Callable[..., Any], *args: Any) -> Future[None]:
    """Call `function(*args)` in an app context of its own, soon.  Faults are logged."""
    return _pool(app).submit(_run, app, function, args)


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
    pool: ThreadPoolExecutor | None = app.extensions.pop(_KEY, None)
    if pool is not None:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(app: Flask) -> ThreadPoolExecutor:
    pool: ThreadPoolExecutor = app.extensions.setdefault(
        _KEY, ThreadPoolExecutor(app.config["GATEWAY_CONCURRENCY"] + 2, "background")
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
