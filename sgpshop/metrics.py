"""Figures for Prometheus: what this process counts, added up over all processes of a machine.

Nothing is counted unless METRICS_TOKEN is set.  Each process keeps its counts in files of its own in
`INSTANCE_PATH/metrics`, under the lowest number that no living process has: so counts go on where
the process before left them, and files do not grow in number with every start.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPMethod
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

#: Seconds that requests and calls are sorted by.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset(HTTPMethod)
#: Bytes that a file of counts has from the beginning, more than all of them need.  It is written as memory: where
#: the disk is full, the first count in a part without a place there would end the process by a signal (SIGBUS).
_ROOM = 1 << 20
_FILES = ("counter", "histogram")
_meters: _Meters | None = None


class _Meters:
    """The counters of this process."""

    def __init__(self, folder: Path) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, values

        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self._number, self._held = _take_number(folder)
        try:
            _make_room(folder, self._number)
        except OSError:
            self._held.close()
            raise
        # prometheus-client chooses how it keeps values when it is loaded, by this variable; we choose
        # later, and by a number that does not change with each start.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
            lambda: self._number
        )
        own = CollectorRegistry()
        self.requests = Counter(
            "sgpshop_requests", "Requests answered", ("method", "status"), registry=own
        )
        self.request_seconds = Histogram(
            "sgpshop_request_seconds", "Time to answer", ("room",), registry=own, buckets=_SECONDS
        )
        self.operations = Counter(
            "sgpshop_money_operations",
            "Money operations that ended or became uncertain",
            ("operation", "outcome"),
            registry=own,
        )
        self.gateway_seconds = Histogram(
            "sgpshop_gateway_seconds",
            "Time of one call of SMBC-GP",
            ("api", "answer"),
            registry=own,
            buckets=_SECONDS,
        )


def init(folder: Path) -> bool:
    """Count from now on, in `folder`, unless that cannot be written; whether it can.  Once a process."""
    global _meters
    if _meters is None or _meters.folder != folder:
        try:
            _meters = _Meters(folder)
        except OSError:
            return False
    return True


def count_request(room: str, method: str, status: int, seconds: float) -> None:
    """A request was answered by that blueprint."""
    if _meters is not None:
        # A label of its own for each method that somebody invents would fill memory and disk.
        _meters.requests.labels(method if method in _METHODS else "other", status).inc()
        _meters.request_seconds.labels(room).observe(seconds)


def count_operation(operation: str, outcome: str) -> None:
    """A money operation ended, or its outcome became unknown."""
    if _meters is not None:
        _meters.operations.labels(operation, outcome).inc()


@contextmanager
def gateway_call(api: str) -> Iterator[None]:
    """Time one call of SMBC-GP, by the way it ends: answered, or the name of what was raised."""
    began, answer = time.monotonic(), "answered"
    try:
        yield
    except Exception as error:
        answer = type(error).__name__
        raise
    finally:
        if _meters is not None:
            _meters.gateway_seconds.labels(api, answer).observe(time.monotonic() - began)


def exposition(figures: Collector) -> bytes:
    """All processes' counts, and `figures` of the database, in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry: CollectorRegistry = CollectorRegistry()
    if _meters is not None:
        MultiProcessCollector(registry, path=str(_meters.folder))  # type: ignore[no-untyped-call]
    registry.register(figures)
    return generate_latest(registry)


def _make_room(folder: Path, number: str) -> None:
    """Give the files of that number their place on the disk.  Raises OSError."""
    for kind in _FILES:
        path = folder / f"{kind}_{number}.db"
        path.touch()
        content = path.read_bytes()
        with path.open("r+b") as file:
            file.write(content.ljust(_ROOM, b"\0"))


def _take_number(folder: Path) -> tuple[str, IO[str]]:
    """The lowest number nobody holds, and the open file that holds it for as long as we live."""
    number = 0
    while True:
        held = (folder / f"{number}.lock").open("w")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.close()
            number += 1
        else:
            return str(number), held
