"""Many threads' writes in few commits, where one write at a time is the database's way (SQLite).

A durable commit costs more than the few statements before it.  So threads that want to write line
up; whoever gets the turn carries out what all of them want in one transaction, and each learns its
own result only after that commit.  PostgreSQL writes in parallel by itself and needs none of this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sgpshop.extensions import db
from sgpshop.services.database import writing, writing_in_turn

_T = TypeVar("_T")
_KEY = "sgpshop.group_commit"
#: So long a transaction may grow, so that nobody else waits long.
_MOST = 32


class _Wish:
    """What one thread wants written, and how that went."""

    def __init__(self, function: Callable[[Session], Any]) -> None:
        self.function = function
        self.is_done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def write_together(function: Callable[[Session], _T]) -> _T:
    """Run `function(session)` in a write transaction, perhaps shared with other threads'.

    Returns its value once that is committed; raises what it raised, its own writes undone and the
    others' kept.  It may run in another thread and, if the transaction failed, once more: it only
    writes to the database, and neither returns nor uses objects of a session.
    """
    if db.engine.dialect.name != "sqlite":
        with writing() as session:
            return function(session)
    queue: deque[_Wish] = current_app.extensions.setdefault(_KEY, deque())
    wish = _Wish(function)
    queue.append(wish)
    with writing_in_turn():
        while not wish.is_done:
            _carry_out([queue.popleft() for _ in range(min(len(queue), _MOST))])
    result: _T = wish.result()
    return result


def _carry_out(wishes: list[_Wish]) -> None:
    try:
        with writing() as session:
            for wish in wishes:
                wish.value = wish.function(session)
    except BaseException as error:  # nothing of this transaction was kept
        if len(wishes) > 1 and not isinstance(error, OperationalError):
            for wish in wishes:  # one of them spoiled it: each on its own
                _carry_out([wish])
            return
        for wish in wishes:  # the database is locked, full or away: for all of them (P32)
            wish.error = error
    for wish in wishes:
        wish.is_done = True
