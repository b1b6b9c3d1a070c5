"""Files that are taken in while nobody waits: threads of the web process, or of the worker.

If the process dies, the worker goes on with the run (P33).  What is too much has to come again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from sgpshop.domain.errors import ShopError
from sgpshop.services.access.rate_limits import TooOften

log = logging.getLogger(__name__)

_KEY = "sgpshop.files"
#: Each is held in memory meanwhile.
MOST_FILES = 6
_FILES_AT_ONCE = 2
_COME_AGAIN = 30


def require_room(app: Flask) -> None:
    """Before a file is looked at.  Raises TooOften when too many wait to be taken in."""
    if _pool(app)._work_queue.qsize() >= MOST_FILES:
        raise TooOften("ほかのファイルの取り込みが順番を待っています。", _COME_AGAIN)


def submit(app: Flask, function: Callable[..., Any], *args: Any) -> None:
    """Call `function(*args)` in an app context of its own, soon.  Faults are logged."""
    _pool(app).submit(_run, app, function, args)


def finish(app: Flask) -> None:
    """Wait for what is under way; what has not begun is left to the worker (P33)."""
    pool: ThreadPoolExecutor | None = app.extensions.pop(_KEY, None)
    if pool is not None:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(app: Flask) -> ThreadPoolExecutor:
    pool: ThreadPoolExecutor = app.extensions.setdefault(
        _KEY, ThreadPoolExecutor(_FILES_AT_ONCE, "files")
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
