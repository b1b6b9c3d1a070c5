"""One chain over all rows of a table, which are only ever added: what shows that one was altered or removed (P5).

The end of a chain is one row.  It is locked last, when every other lock of the transaction is held, so that
nobody who has it waits for somebody who wants it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from sgpshop.domain import history_chain
from sgpshop.models import utc_now
from sgpshop.storage import vault
from sgpshop.storage.rows import put

#: Rows read with one statement, and written with one.
_BATCH = 5_000


class ChainBroken(Exception):
    """What is wrong with a chain, in words."""


@dataclass(frozen=True)
class Chain:
    """The chain of `rows` (id 1, 2, 3 … without a gap, at, mark), whose `end` says where it stands."""

    rows: sa.Table
    end: sa.Table
    #: what its key is derived for: a key of its own, so that no entry of another chain fits in here
    name: str
    #: what the rows are, in words
    label: str

    def add(self, connection: sa.Connection, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add these rows, as of now, within an open write transaction."""
        end = connection.execute(self._lock_end).one_or_none()
        last, state = (end.last, end.state) if end else (0, history_chain.START)
        key, now, added = vault.derived_key(self.name), utc_now(), []
        names: list[str] = []
        for entry in entries:
            last += 1
            values = {"id": last, "at": now, **entry}
            state = history_chain.link(key, state, values)
            values["mark"] = history_chain.mark(key, state)
            names = names or list(values)
            added.append([values[name] for name in names])
        put(connection, self.rows, names, added)
        stands = {"last": last, "state": state}
        if end is None:  # taken away by somebody: the next check tells
            connection.execute(sa.insert(self.end).values(id=1, **stands))
        else:
            connection.execute(self._move_end, stands)

    def faults(self, connection: sa.Connection) -> Iterator[str]:
        """What is wrong with the chain as such, in words."""
        try:
            yield from self._breaks(connection)
        except (ValueError, LookupError, TypeError):  # a word or time that is none
            yield f"{self.label}に、ありえない値が入っています"

    def _breaks(self, connection: sa.Connection) -> Iterator[str]:
        # Asked with the end, in one statement: rows that nobody with the key wrote.
        is_longer = sa.exists().where(sa.or_(self.rows.c.id < 1, self.rows.c.id > self.end.c.last))
        end = connection.execute(
            self._the_end().add_columns(is_longer.label("is_longer"))
        ).one_or_none()
        if end is not None and end.is_longer:
            yield f"{self.label}に、あとから加えられたものがあります"
        state, number, key = history_chain.START, 0, vault.derived_key(self.name)
        for some in self._batches(connection, end.last if end else 0):
            for row in some:
                number += 1
                state = history_chain.link(key, state, _said(row))
                if row["id"] != number or row["mark"] != history_chain.mark(key, state):
                    yield f"{self.label}が、{number}件目から書かれたときのままではありません"
                    return
        if end is None or (number, state) != (end.last, end.state):
            yield f"{self.label}が削除されています"

    def link_anew(self, connection: sa.Connection, old_key: str) -> None:
        """Link with our key what the old one proves to be as it was written; rows may be changed now.

        Raises ChainBroken.
        """
        old, new = vault.derived_key(self.name, old_key), vault.derived_key(self.name)
        before = after = history_chain.START
        end = connection.execute(self._the_end()).one_or_none()
        last, number = end.last if end else 0, 0
        mark = sa.update(self.rows).where(self.rows.c.id == sa.bindparam("row"))
        mark = mark.values(mark=sa.bindparam("new"))
        for some in self._batches(connection, None):
            marks = []
            for row in some:
                number += 1
                before = history_chain.link(old, before, _said(row))
                after = history_chain.link(new, after, _said(row))
                if row["mark"] != history_chain.mark(old, before):
                    raise ChainBroken(f"{self.label}が、書かれたときのままではありません")
                marks.append({"row": row["id"], "new": history_chain.mark(new, after)})
            connection.execute(mark, marks)
        if (last, end.state if end else history_chain.START) != (number, before):
            raise ChainBroken(f"{self.label}が削除されています")
        connection.execute(sa.update(self.end).where(self.end.c.id == 1).values(state=after))

    # Made once: each order's beginning, and each act of a person, goes through them.
    @cached_property
    def _lock_end(self) -> sa.Select[int, str]:
        return self._the_end().with_for_update()

    @cached_property
    def _move_end(self) -> sa.Update:
        values: dict[str, Any] = {name: sa.bindparam(name) for name in ("last", "state")}
        return sa.update(self.end).where(self.end.c.id == 1).values(values)

    def _the_end(self) -> sa.Select[int, str]:
        return sa.select(self.end.c.last, self.end.c.state).where(self.end.c.id == 1)

    def _batches(
        self, connection: sa.Connection, last: int | None
    ) -> Iterator[Sequence[sa.RowMapping]]:
        """The rows by number, up to `last`; None: all there are."""
        wanted = sa.select(self.rows).order_by(self.rows.c.id).limit(_BATCH)
        if last is not None:
            wanted = wanted.where(self.rows.c.id <= last)
        seen = 0 if last is not None else None
        while True:
            beyond = wanted if seen is None else wanted.where(self.rows.c.id > seen)
            some = connection.execute(beyond).mappings().all()
            if not some:
                return
            yield some
            seen = some[-1]["id"]


def _said(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name != "mark"}
