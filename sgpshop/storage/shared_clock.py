"""The one clock that leases and due times are kept by: the database's (P17, P30).

Workers on several machines share rows, not clocks.  A PostgreSQL server is asked for its time now and
then; in between it is counted on by the monotonic clock.  SQLite has no clock but ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.other_clock import OtherClock
from sgpshop.extensions import db
from sgpshop.models import utc_now

KEY = "sgpshop.database_clock"
_READ_EVERY = 30.0


def now() -> datetime:
    """The present moment by the database's clock, as far as it was read."""
    clock: OtherClock | None = current_app.extensions.get(KEY)
    ahead = clock.ahead() if clock else None
    return utc_now() - timedelta(seconds=ahead or 0.0)


def ahead() -> float | None:
    """So many seconds our clock is ahead of the database's; None where that is not known."""
    clock: OtherClock | None = current_app.extensions.get(KEY)
    return clock.ahead() if clock else None


def read() -> None:
    """Ask a database server for its time, if that was not done just now.  Raises SQLAlchemyError."""
    if db.engine.dialect.name != "postgresql":
        return
    clock: OtherClock = current_app.extensions.setdefault(KEY, OtherClock())
    if clock.age < _READ_EVERY:
        return
    with db.engine.connect() as connection:
        clock.note(connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one())


def lease_time() -> timedelta:
    """How long a claim entitles to work on what was claimed (P17)."""
    return timedelta(seconds=current_app.config["LEASE_SECONDS"])


@dataclass
class Renewal:
    """Keeps a claim while its holder asks one question after the other, each of which may take long."""

    #: puts it off for its whole time from the moment given; False: it is not ours any more
    put_off: Callable[[datetime], bool]
    lasts: timedelta
    _signed_at: datetime = field(default_factory=now)

    def go_on(self) -> bool:
        """Before a question: whether it may be asked.  Most are over before that is worth a write."""
        at = now()
        if at - self._signed_at < self.lasts / 6:
            return True
        self._signed_at = at
        return self.put_off(at)
