"""操作の記録: what people and programs did, kept as long as the history, in one chain (P5a).

What changes something is recorded in the transaction that changes it, last of all.  What an order went
through stands in its own history: here stands who asked for it, and from where.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.activities import ActivityEvent, ActivityKind
from sgpshop.extensions import db
from sgpshop.models import ActivitiesEnd, Activity, ActorKind, table_of, utc_now
from sgpshop.storage import keyset
from sgpshop.storage.chain import Chain
from sgpshop.storage.database import short_write
from sgpshop.storage.database_words import is_unavailable
from sgpshop.storage.keyset import Page

CHAIN = Chain(table_of(Activity), table_of(ActivitiesEnd), "activities", "操作の記録")
PAGE_SIZE = 50
#: Rows of a file; more are taken away in several periods.
MOST_IN_FILE = 50_000
_PART = 1_000
#: Refusals of one person or address, and of all strangers together, that a process records in a minute:
#: more would let anybody fill the database.  The log has them all.
_MOST_OF_ONE, _MOST_OF_STRANGERS, _SPAN = 20, 100, 60
_AND_MORE = "このあと1分間の拒否は、ログにだけ残ります"
#: An entry is no book.
_LONGEST, _MOST_CHANGES = 200, 200


@dataclass(frozen=True)
class Who:
    """Who acts in this request, and from which address; a command, where nobody said."""

    kind: ActorKind = ActorKind.COMMAND
    name: str = "コマンド"
    address: str = ""


_A_COMMAND = Who()
_who: ContextVar[Who] = ContextVar("acting", default=_A_COMMAND)

#: name, before, after; of a secret the name alone
Change = Sequence[str]


def act_as(kind: ActorKind, name: str, address: str) -> None:
    """From now on what this request or thread does was done by that one; "" a stranger."""
    _who.set(Who(kind, name, address))


def acting() -> Who:
    """Who acts here: to be taken along where something is written in another thread."""
    return _who.get()


def record(
    session: Session,
    event: ActivityEvent,
    about: str = "",
    *,
    by: str | None = None,
    who: Who | None = None,
    changes: Iterable[Change] = (),
    **detail: Any,
) -> None:
    """Add one entry to the present write transaction, after everything else of it.

    `by`: another name than that of who acts.  `who`: of another thread.  `detail`: note, count, yen.
    """
    session.flush()
    _add(session.connection(), who or acting(), event, about, by, changes, detail)


def _add(
    connection: sa.Connection,
    who: Who,
    event: ActivityEvent,
    about: str,
    by: str | None,
    changes: Iterable[Change],
    detail: dict[str, Any],
) -> None:
    listed = [[str(part)[:_LONGEST] for part in change] for change in changes]
    said = {name: value for name, value in detail.items() if value not in (None, "")}
    if listed:
        said["changes"] = listed[:_MOST_CHANGES]
    entry = {
        "actor_kind": who.kind.value,
        "actor": (who.name if by is None else by)[:80],
        "address": who.address[:64],
        "kind": event.kind.value,
        "event": event.value,
        "about": about[:_LONGEST],
        "detail": said,
    }
    CHAIN.add(connection, [entry])


def exported(what: str, about: str, *, count: int | None = None, **logged: Any) -> None:
    """Somebody took a file away, or printed; `what` and `logged` are for the log."""
    logs.event("exported", what=what, count=count, **logged)
    _record_alone(ActivityEvent.EXPORTED, about, count=count)


def refused(event: ActivityEvent, about: str, note: str = "", *, by: str | None = None) -> None:
    """Something was refused to who acts, which the caller logs; not every one of very many is kept.

    `by`: the account that was named; nobody proved to be that one.
    """
    who = acting()
    subject = who.name if who.name and by is None else ""
    limits: _Refusals = current_app.extensions.setdefault("refusals", _Refusals())
    left = limits.take(subject, who.address)
    if left >= 0:
        _record_alone(event, about, by=by, within=1.0, note=note if left else _AND_MORE)


def _record_alone(
    event: ActivityEvent,
    about: str,
    *,
    by: str | None = None,
    within: float | None = None,
    **detail: Any,
) -> None:
    """Add one entry beside the session's transaction, which writes nothing just now.

    While the database cannot be written the log alone has it, and reading goes on (P32).
    """
    try:
        with short_write(within) as connection:
            _add(connection, acting(), event, about, by, (), detail)
    except DBAPIError as problem:
        if not is_unavailable(problem):
            raise
        logs.event("activity_not_recorded", level=logging.ERROR, activity=event.value)


class _Refusals:
    """How many this process recorded in this minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._span = 0.0
        self._counts: Counter[str] = Counter()

    def take(self, person: str, address: str) -> int:
        """How many more will be recorded after this one; -1: not this one either."""
        with self._lock:
            span = utc_now().timestamp() // _SPAN
            if span != self._span:
                self._span = span
                self._counts.clear()
            limits = {f"person {person}": _MOST_OF_ONE}
            if not person:
                limits = {f"address {address}": _MOST_OF_ONE, "strangers": _MOST_OF_STRANGERS}
            left = min(most - self._counts[subject] for subject, most in limits.items()) - 1
            if left >= 0:
                self._counts.update(limits.keys())
            return left


@dataclass(frozen=True)
class Wanted:
    """What is looked for: a kind, an actor's name, and moments (from, before)."""

    kind: ActivityKind | None = None
    actor: str = ""
    since: datetime | None = None
    before: datetime | None = None

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """What a row has to meet."""
        if self.kind is not None:
            yield Activity.kind == self.kind.value
        if self.actor:
            yield Activity.actor == self.actor
        if self.since is not None:
            yield Activity.at >= self.since
        if self.before is not None:
            yield Activity.at < self.before


_NEWEST_FIRST = keyset.Sorting(
    "activities", Activity.at.expression, datetime, descending=True, row_id=Activity.id.expression
)


def find(wanted: Wanted, cursor: str = "") -> Page[Activity]:
    """One page, the newest first; two queries.  Raises CursorInvalid."""
    found = keyset.find(
        sa.select(Activity.id).where(*wanted.conditions()),
        _NEWEST_FIRST,
        size=PAGE_SIZE,
        cursor=cursor,
    )
    ids = [row.id for row in found.rows]
    entries = {
        entry.id: entry
        for entry in db.session.scalars(sa.select(Activity).where(Activity.id.in_(ids)))
    }
    return found.showing([entries[one] for one in ids])


def newest(kind: ActivityKind, count: int) -> Sequence[Activity]:
    """The latest of one kind, the newest first; one query."""
    wanted = Wanted(kind).conditions()
    by = (Activity.at.desc(), Activity.id.desc())
    return db.session.scalars(sa.select(Activity).where(*wanted).order_by(*by).limit(count)).all()


def is_too_long(wanted: Wanted) -> bool:
    """Whether there are more than a file holds."""
    some = sa.select(Activity.id).where(*wanted.conditions()).limit(MOST_IN_FILE + 1)
    return (db.session.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0) > (
        MOST_IN_FILE
    )


def parts(wanted: Wanted) -> Iterator[Sequence[Activity]]:
    """All of them, the newest first, some at a time."""
    columns, start = sa.tuple_(Activity.at.expression, Activity.id.expression), None
    statement = sa.select(Activity).where(*wanted.conditions()).limit(_PART)
    statement = statement.order_by(Activity.at.desc(), Activity.id.desc())
    while True:
        further = statement
        if start is not None:
            at, number = start
            there = sa.tuple_(sa.literal(at, Activity.at.type), sa.literal(number))
            further = statement.where(columns < there, Activity.at <= at)
        some = db.session.scalars(further).all()
        if not some:
            return
        yield some
        start = some[-1].at, some[-1].id
