"""Several figures in one query: a first page that asks for each by itself waits for each by itself.

Making a long statement takes longer than asking it, so those that are asked on every page are made once
(`lru_cache`, by the day or month they are about) and given their values when they are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session, SessionTransaction

from sgpshop.extensions import db
from sgpshop.storage.database import ONCE
from sgpshop.storage.rows import read as rows_of

_V = TypeVar("_V")
_ONCE = "sgpshop.once"
#: Of more figures than these planning takes so long that it is worth saying that one plan will do.
_FEW = 6


@dataclass(frozen=True)
class Question(Generic[_V]):
    """A statement that gives exactly one row, and what is made of that row."""

    statement: sa.Select[*tuple[Any, ...]]
    read: Callable[[tuple[Any, ...]], _V]
    #: what the statement is given when it is asked, by names that no other has
    values: Mapping[str, Any] = field(default_factory=dict)
    #: somebody typed what is in the statement: it is kept nowhere
    is_typed: bool = False


def answer(question: Question[_V]) -> _V:
    """What came of it; one query."""
    return question.read(tuple(rows_of(question.statement, question.values).one()))


def answers(*questions: Question[Any]) -> list[Any]:
    """What came of each, asked in one query but for what was typed: joining that anew takes longer."""
    kept = [question for question in questions if not question.is_typed]
    together, widths = _together(tuple(question.statement for question in kept))
    values = {name: value for question in kept for name, value in question.values.items()}
    row = tuple(rows_of(together, values).one())
    parts = []
    for width in widths:
        parts.append(row[:width])
        row = row[width:]
    its = iter(parts)
    return [
        answer(question) if question.is_typed else question.read(next(its))
        for question in questions
    ]


@lru_cache(maxsize=64)
def _together(
    statements: tuple[sa.Select[*tuple[Any, ...]], ...],
) -> tuple[sa.Select[*tuple[Any, ...]], list[int]]:
    """One statement for all of them, and how many columns are of each."""
    # LIMIT: else SQLite takes them apart again and adds up some of them more than once.
    parts = [statement.limit(1).subquery() for statement in statements]
    whole: sa.FromClause = reduce(lambda left, right: left.join(right, sa.true()), parts)
    together = sa.select(*parts).select_from(whole)
    if len(parts) > _FEW:
        together = together.prefix_with(ONCE)
    return together, [len(part.c) for part in parts]


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
