"""Views that one person may call only so often, and all together only so many at once (S23)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import request
from flask_login import current_user

from sgpshop.services.access import rate_limits
from sgpshop.services.access.rate_limits import TooOften, Use

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: So many files are written at once by one process: the others have threads left (P23).
_AT_ONCE = 2
_writers = threading.BoundedSemaphore(_AT_ONCE)
#: So many files that people hand in are read at once by one process, and so many are taken with those that
#: wait: each holds a thread, and a book of Excel half a gigabyte for as long.
_READ_AT_ONCE, MOST_READERS = 2, 6
_reading, _readers = (threading.BoundedSemaphore(n) for n in (_READ_AT_ONCE, MOST_READERS))
#: seconds after which a person who found all places taken may try again
SOON = 30


class Writing:
    """One of the few files that are written at once; raises TooOften when all are taken."""

    def __enter__(self) -> None:
        if not _writers.acquire(blocking=False):
            raise TooOften("ほかの人の書き出しが行われているため、順番を待っています。", SOON)

    def __exit__(self, *_details: object) -> None:
        _writers.release()


class Reading:
    """One of the few files that are read at once; raises TooOften when enough wait for that."""

    def __enter__(self) -> None:
        if not _readers.acquire(blocking=False):
            raise TooOften("ほかの人のファイルを読み込んでいるため、順番を待っています。", SOON)
        _reading.acquire()

    def __exit__(self, *_details: object) -> None:
        _reading.release()
        _readers.release()


def makes_file(view: Callable[_P, _R]) -> Callable[_P, _R]:
    """Count each call of the view as an export of the person, and let it be one of the few at once.

    The view raises TooOften (429).  Goes below `@requires`, as `limited` does.
    """

    @wraps(view)
    def counted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        rate_limits.count_export(current_user.id, request.remote_addr or "")
        with Writing():
            return view(*args, **kwargs)

    return counted


def limited(use: Use) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Count each call of the view against the person's limit of `use`, before anything is read.

    A file that is handed in is one of the few that are read at once.  The view raises TooOften (429).  Goes
    below `@requires`: strangers count nowhere.
    """

    def around(view: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(view)
        def counted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            rate_limits.count_use(use, current_user.id)
            with Reading() if use is Use.UPLOAD else nullcontext():
                return view(*args, **kwargs)

        return counted

    return around
