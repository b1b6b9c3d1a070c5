"""How many connections to SMBC-GP this process may use: its share of GATEWAY_CONCURRENCY (interfaces.md §3).

The number is a promise to SMBC-GP for the whole shop, whatever processes and machines it has.  Each
process that sends holds so many as its row says, for a while; all rows that count come to no more than
the promised number.  Who wants more than is left gets it as soon as the others look, every few seconds.
After E92 all of them have fewer, and slowly more again.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from sgpshop.models import GatewayShare, table_of, utc_now
from sgpshop.storage.database import short_write

_KEY = "sgpshop.connections"
#: Seconds a row counts by the database's clock, and that its holder trusts in it by the monotonic
#: one, from before it was written: the holder always stops first.
_LEASE, _TRUST = timedelta(seconds=40), 30.0
#: The share is looked at anew after so many seconds while connections are used, at rest, and when
#: there are too few.
_USED_EVERY, _KEPT_EVERY, _SHORT_EVERY = 2.0, 15.0, 0.25
#: Who used none for so long is at rest.
_REST_AFTER = 10.0
#: The row that says how many all may have together while SMBC-GP is congested; since when.
_PACE = "*"
_FASTER_EVERY = timedelta(seconds=2)
#: Several refusals of the same moment count once.
_SAME_MOMENT = timedelta(seconds=1)
#: One process at a time looks at the shares (PostgreSQL; SQLite has one writer anyway).
_LOCK = 7_345_002

_shares = table_of(GatewayShare)


@dataclass(frozen=True)
class _Row:
    slots: int
    wanted: int
    until: datetime


class Connections:
    """The share of one process, asked by the gateway client before each exchange."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._most: int = app.config["GATEWAY_CONCURRENCY"]
        self._name = f"{_machine()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._slots = self._in_use = self._waiting = 0
        #: it looks again by itself, and keeps at least one at rest; others give all back after use
        self._stays = False
        self._asked_at = self._used_at = self._good_until = float("-inf")

    @property
    def share(self) -> int:
        """How many it may use, as far as that was asked already."""
        return self._slots if self._good_until > float("-inf") else self._most

    @property
    def is_left_out(self) -> bool:
        """Whether others hold all there is."""
        return self._good_until > float("-inf") and self._slots == 0

    def acquire(self, *, timeout: float) -> bool:
        """Wait for a free connection; False when there was none within `timeout` seconds."""
        until = time.monotonic() + timeout
        with self._changed:
            self._waiting += 1
        try:
            while not self._take():
                self.look_again(_SHORT_EVERY)
                with self._changed:
                    left = until - time.monotonic()
                    if self._has_free():
                        continue
                    if left <= 0:
                        break
                    self._changed.wait(min(left, _SHORT_EVERY))
            else:
                self.look_again(_USED_EVERY)
                return True
        finally:
            with self._changed:
                self._waiting -= 1
        self._give_back()
        return False

    def release(self) -> None:
        """The exchange is over."""
        with self._changed:
            self._in_use -= 1
            self._used_at = time.monotonic()
            self._changed.notify()
        self._give_back()

    def stay(self) -> None:
        """This process is a worker: it calls `keep` all the while, until it leaves."""
        self._stays = True

    def keep(self) -> None:
        """At rest, every few seconds: renew the one that is kept, give back what is more."""
        self.look_again(_USED_EVERY if self._slots > 1 else _KEPT_EVERY)

    def look_again(self, every: float) -> None:
        """Renew the share, if that was not done for so many seconds."""
        if time.monotonic() - self._asked_at < every or not self._asking.acquire(blocking=False):
            return
        try:
            self._asked_at = time.monotonic()
            with self._app.app_context():
                self._settle()
        except SQLAlchemyError:  # then we go on with what we have, as long as it is good
            return
        finally:
            self._asking.release()

    def congested(self) -> None:
        """SMBC-GP says E92: all processes together use half as many."""
        with suppress(SQLAlchemyError), self._app.app_context(), _looking() as (connection, now):
            pace = _read(connection).get(_PACE)
            if pace is not None and now - pace.until < _SAME_MOMENT:
                return
            allowed = max(1, (pace.slots if pace else self._most) // 2)
            _write(connection, _PACE, _Row(allowed, allowed, now))
        self._asked_at = float("-inf")
        self.look_again(0.0)
        self._give_back()  # the exchange that said so is over

    def leave(self) -> None:
        """This process ends: others may have its connections."""
        self._stays = False
        self._drop()

    def _give_back(self) -> None:
        """After the last exchange for now: who does not stay would hold them unused for long."""
        # Who is looking just now is about to use them.
        if self._stays or not self._asking.acquire(blocking=False):
            return
        try:
            with self._changed:
                if self._in_use or self._waiting:
                    return
                self._slots = 0  # from here on nobody begins
            self._drop()
        finally:
            self._asking.release()
        with self._changed:
            self._changed.notify_all()

    def _drop(self) -> None:
        with suppress(SQLAlchemyError), self._app.app_context(), _looking() as (connection, _):
            connection.execute(sa.delete(_shares).where(_shares.c.holder == self._name))
        self._slots = 0
        self._asked_at = self._good_until = float("-inf")  # who begins anew asks at once

    def _has_free(self) -> bool:
        return self._in_use < self._slots and time.monotonic() < self._good_until

    def _take(self) -> bool:
        with self._changed:
            if not self._has_free():
                return False
            self._in_use += 1
            self._used_at = time.monotonic()
            return True

    def _settle(self) -> None:
        began = time.monotonic()
        with _looking() as (connection, now):
            rows = _read(connection)
            for holder in [one for one, row in rows.items() if _is_over(one, row, now)]:
                connection.execute(sa.delete(_shares).where(_shares.c.holder == holder))
                del rows[holder]
            pace = self._faster(connection, rows.pop(_PACE, None), now)
            rows.pop(self._name, None)
            with self._changed:
                is_used = self._waiting or began - self._used_at < _REST_AFTER
                wanted = self._most if is_used else 1
                everybody = {holder: row.wanted for holder, row in rows.items()}
                fair = share_out(pace, everybody | {self._name: wanted})[self._name]
                left = self._most - sum(row.slots for row in rows.values())
                self._slots = max(0, min(fair, left))
                # What is still being exchanged is ours until it ends, whoever waits for it.
                held = max(self._slots, self._in_use)
            _write(connection, self._name, _Row(held, wanted, now + _LEASE))
        with self._changed:
            self._good_until = began + _TRUST
            self._changed.notify_all()

    def _faster(self, connection: sa.Connection, pace: _Row | None, now: datetime) -> int:
        """How many all may have; one more after each while without congestion."""
        if pace is None:
            return self._most
        if now - pace.until < _FASTER_EVERY:
            return pace.slots
        allowed = pace.slots + 1
        if allowed >= self._most:
            connection.execute(sa.delete(_shares).where(_shares.c.holder == _PACE))
        else:
            _write(connection, _PACE, _Row(allowed, allowed, now))
        return min(allowed, self._most)


def init_app(app: Flask) -> None:
    """Give the app its share; the database is not asked yet."""
    app.extensions[_KEY] = Connections(app)


def connections() -> Connections:
    """The share of the current app's process."""
    found: Connections = current_app.extensions[_KEY]
    return found


def share_out(total: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """`total` connections, one after the other to each in turn who wants more; as fair as whole ones are."""
    given = dict.fromkeys(wanted, 0)
    while total > 0:
        short = [holder for holder in sorted(wanted) if given[holder] < wanted[holder]]
        if not short:
            break
        for holder in short[:total]:
            given[holder] += 1
        total -= len(short)
    return given


def _is_over(holder: str, row: _Row, now: datetime) -> bool:
    """Whether this row does not count: its time is over, or its process is dead and was on this machine."""
    if holder == _PACE:
        return False
    if row.until <= now or row.until > now + 2 * _LEASE:  # the clock was set back
        return True
    machine, pid, _ = holder.rsplit("/", 2)
    if machine != _machine() or pid == str(os.getpid()):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _machine() -> str:
    """This machine, and which processes can be seen from here: containers may share a name."""
    try:
        seen = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        seen = 0
    return f"{socket.gethostname()[:60]}/{seen}"


@contextmanager
def _looking() -> Iterator[tuple[sa.Connection, datetime]]:
    """A short transaction of its own and its time; nobody else looks at the shares meanwhile."""
    with short_write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection, connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        else:
            yield connection, utc_now()


def _read(connection: sa.Connection) -> dict[str, _Row]:
    rows: Iterable[sa.Row[str, int, int, datetime]] = connection.execute(
        sa.select(_shares.c.holder, _shares.c.slots, _shares.c.wanted, _shares.c.until)
    )
    return {row.holder: _Row(row.slots, row.wanted, row.until) for row in rows}


def _write(connection: sa.Connection, holder: str, row: _Row) -> None:
    values = {"slots": row.slots, "wanted": row.wanted, "until": row.until}
    changed = connection.execute(
        sa.update(_shares).where(_shares.c.holder == holder).values(values)
    )
    if not changed.rowcount:
        connection.execute(sa.insert(_shares).values(holder=holder, **values))
