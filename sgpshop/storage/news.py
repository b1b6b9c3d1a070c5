"""Word of what ended, for those who wait for it: a web process hears when a worker closed an act.

Who waits looks at the row; news only says when to look.  On SQLite a bell is rung on this machine, on
PostgreSQL the server tells all machines (NOTIFY).  News that is lost costs the wait for the next look.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from sqlalchemy import text
from sqlalchemy.orm import Session

from sgpshop.extensions import db
from sgpshop.storage import bells, waiting

log = logging.getLogger(__name__)

_KEY, _ENDED = "sgpshop.news", "sgpshop.ended"
_CHANNEL = "sgpshop_news"
#: Seconds between two looks at a row without news; and where none can be heard.
_SLOW_LOOK, _QUICK_LOOK = 0.5, 0.05
#: So long somebody listens after the last one waited.
_LINGER = 30.0


def tell(session: Session, order_id: int) -> None:
    """In a write transaction: something of this order ended, as those who wait hear after the commit."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_notify(:channel, :order)"), _payload(order_id))
    else:
        session.info.setdefault(_ENDED, set()).add(order_id)


def send_told(session: Session) -> None:
    """After the commit: ring for what `tell` noted."""
    if ended := session.info.pop(_ENDED, None):
        bells.ring(_folder(current_app), "web", *(str(order_id).encode() for order_id in ended))


def forget_told(session: Session) -> None:
    """After a rollback: nothing ended."""
    session.info.pop(_ENDED, None)


def wait_until(is_so: Callable[[], bool], order_id: int, seconds: float) -> bool:
    """Whether it is so within `seconds`, or at once when too many requests wait already.

    Looked at again at each news of the order.  `is_so` leaves no transaction open (P8).
    """
    ears: _Ears = current_app.extensions.setdefault(_KEY, _Ears())
    with waiting.for_an_answer(seconds) as seconds:
        until = time.monotonic() + seconds
        if seconds <= 0:
            return is_so()
        with ears.listening(current_app._get_current_object(), order_id) as heard:  # type: ignore[attr-defined]
            while not is_so():
                left = until - time.monotonic()
                if left <= 0:
                    return False
                heard.wait(min(left, _SLOW_LOOK if ears.can_hear else _QUICK_LOOK))
                heard.clear()
    return True


def stop(app: Flask) -> None:
    """Listen no more."""
    ears: _Ears | None = app.extensions.pop(_KEY, None)
    if ears is not None:
        ears.stop(_folder(app))


class _Ears:
    """The one thread of a process that hears, and who waits for what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, list[threading.Event]] = {}
        self._idle_since = 0.0
        self._is_stopped = False
        self._thread: threading.Thread | None = None
        self.can_hear = False

    @contextmanager
    def listening(self, app: Flask, order_id: int) -> Iterator[threading.Event]:
        heard = threading.Event()
        with self._lock:
            self._waiting.setdefault(order_id, []).append(heard)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._listen, args=(app,), daemon=True, name="news"
                )
                self._thread.start()
        try:
            yield heard
        finally:
            with self._lock:
                self._waiting[order_id].remove(heard)
                if not self._waiting[order_id]:
                    del self._waiting[order_id]
                self._idle_since = time.monotonic()

    def stop(self, folder: Path) -> None:
        self._is_stopped = True
        thread = self._thread  # which says by itself that it is over
        if thread is not None:
            bells.ring(folder, "web", b"0")  # no order's: whoever listens looks whether it is over
            thread.join()

    def _is_over(self) -> bool:
        with self._lock:
            is_idle = not self._waiting and time.monotonic() - self._idle_since > _LINGER
            if is_idle or self._is_stopped:
                self._thread = None  # whoever comes now begins another
                return True
        return False

    def _listen(self, app: Flask) -> None:
        try:
            with app.app_context():
                is_server = db.engine.dialect.name == "postgresql"
                for order_id in _from_server(self) if is_server else _from_bell(self, app):
                    self._hear(order_id)
        except Exception:  # the database went away: who waits looks more often
            log.exception("news cannot be heard")
        finally:
            self.can_hear = False

    def _hear(self, order_id: int) -> None:
        with self._lock:
            for heard in self._waiting.get(order_id, ()):
                heard.set()


def _from_bell(ears: Any, app: Flask) -> Iterator[int]:
    bell = bells.Bell(_folder(app), "web")
    try:
        ears.can_hear = bell.is_hung
        while not ears._is_over():
            yield from (int(said) for said in bell.listen(0.25))
    finally:
        bell.take_down()


def _from_server(ears: Any) -> Iterator[int]:
    with db.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"LISTEN {_CHANNEL}"))
        driver: Any = connection.connection.driver_connection
        ears.can_hear = True
        try:
            while not ears._is_over():
                yield from (int(notice.payload) for notice in driver.notifies(timeout=0.25))
        finally:
            connection.execute(text(f"UNLISTEN {_CHANNEL}"))


def _payload(order_id: int) -> dict[str, str]:
    return {"channel": _CHANNEL, "order": str(order_id)}


def _folder(app: Flask) -> Path:
    return Path(app.config["INSTANCE_PATH"])
