"""Several figures in one query: a first page that asks for each by itself waits for each by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session, SessionTransaction

from sgpshop.extensions import db

_V = TypeVar("_V")
_ONCE = "sgpshop.once"


@dataclass(frozen=True)
class Question(Generic[_V]):
    """A statement that gives exactly one row, and what is made of that row."""

    statement: sa.Select[*tuple[Any, ...]]
    read: Callable[[tuple[Any, ...]], _V]


def answer(question: Question[_V]) -> _V:
    """What came of it; one query."""
    return question.read(tuple(db.session.execute(question.statement).one()))


def answers(*questions: Question[Any]) -> list[Any]:
    """What came of each, all asked in one query."""
    parts = [question.statement.subquery() for question in questions]
    whole: sa.FromClause = reduce(lambda left, right: left.join(right, sa.true()), parts)
    row = tuple(db.session.execute(sa.select(*parts).select_from(whole)).one())
    found = []
    for question, part in zip(questions, parts, strict=True):
        found.append(question.read(row[: len(part.c)]))
        row = row[len(part.c) :]
    return found


def once(name: object, ask: Callable[[], _V]) -> _V:
    """What `ask` says, asked once a transaction, whoever needs it."""
    known: dict[object, Any] = db.session().info.setdefault(_ONCE, {})
    if name not in known:
        known[name] = ask()
    value: _V = known[name]
    return value


@sa.event.listens_for(db.session, "after_transaction_end")
def _forget(session: Session, _transaction: SessionTransaction) -> None:
    """What is decided under a lock is decided by how things are then."""
    session.info.pop(_ONCE, None)
