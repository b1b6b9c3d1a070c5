"""One page of a list found by (sort key, id), not by counting: the last costs no more than the first."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from sgpshop.domain.bounds import MOST, is_countable
from sgpshop.domain.errors import CursorInvalid
from sgpshop.models import Order
from sgpshop.storage.rows import read as rows_of

#: value and id where a page begins, and whether it goes back from there
_Start = tuple[int | date | datetime, int, bool]
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Sorting:
    """What a list is sorted by; a cursor carries `name`, so that it serves no other list."""

    name: str
    key: sa.ColumnElement[Any]
    kind: type[int] | type[date] | type[datetime]
    descending: bool = False
    #: where `has_value`, `key` is this column; elsewhere `stand_in`, which comes last in both directions
    column: sa.ColumnElement[Any] | None = None
    has_value: sa.ColumnElement[bool] | None = None
    stand_in: date | datetime | None = None
    #: of a list of something else than orders
    row_id: sa.ColumnElement[int] = Order.id.expression


NEWEST_FIRST = Sorting("ordered_at", Order.ordered_at.expression, datetime, descending=True)


@dataclass(frozen=True)
class Page(Generic[_T]):
    """One page of a list, and the cursors of its neighbours; "" where there is none."""

    rows: list[_T]
    next_cursor: str = ""
    previous_cursor: str = ""

    def showing(self, rows: list[_R]) -> Page[_R]:
        """The same page with what is shown of it."""
        return Page(rows, self.next_cursor, self.previous_cursor)


def find(
    statement: sa.Select[*tuple[Any, ...]],
    sorting: Sorting,
    *,
    size: int,
    cursor: str = "",
    is_walked: bool = False,
) -> Page[sa.Row[*tuple[Any, ...]]]:
    """The rows of `statement` beyond `cursor`; one query, at most two.

    It selects from the table of `sorting.row_id`.  Behind its own columns each row holds what it was
    sorted by.  `is_walked`: an index holds just these rows in this order, whatever the values.  Raises
    CursorInvalid.
    """
    start = _decoded(cursor, sorting) if cursor else None
    if sorting.column is not None and (start is None or start[0] != sorting.stand_in):
        # Only where these end the rest is asked for, which has to be sorted first.
        assert sorting.has_value is not None
        with_value = replace(sorting, key=sorting.column, stand_in=None)
        page = _from(start, statement, with_value, size, is_walked)
        if page.next_cursor:
            return page
    return _from(start, statement, replace(sorting, has_value=None), size, is_walked)


def _from(
    start: _Start | None,
    statement: sa.Select[*tuple[Any, ...]],
    sorting: Sorting,
    size: int,
    is_walked: bool,
) -> Page[sa.Row[*tuple[Any, ...]]]:
    backwards = start is not None and start[2]
    descending = sorting.descending != backwards
    # Of a number that it does not know PostgreSQL expects a tenth of all rows, so it would not plan once for all
    # pages.  Where the plan is the same anyway, the number is written into the statement.
    most = size + 1 if is_walked else None
    values: dict[str, Any] = {} if is_walked else {"most": size + 1}
    if start is not None:
        values |= {"start_key": start[0], "start_id": start[1]}
    part = _part(statement, sorting, start is not None, descending, most)
    found = rows_of(part, values).all()
    has_more, rows = len(found) > size, list(found[:size])
    if backwards:
        rows.reverse()
    if not rows:
        return Page([])
    has_next, has_previous = (True, has_more) if backwards else (has_more, start is not None)
    return Page(
        rows,
        next_cursor=_encoded(rows[-1], sorting, backwards=False) if has_next else "",
        previous_cursor=_encoded(rows[0], sorting, backwards=True) if has_previous else "",
    )


#: Parts of statements, for as long as somebody keeps these: making one takes longer than asking it.
_parts: WeakKeyDictionary[
    sa.Select[*tuple[Any, ...]],
    dict[tuple[Sorting, bool, bool, int | None], sa.Select[*tuple[Any, ...]]],
] = WeakKeyDictionary()


def _part(
    statement: sa.Select[*tuple[Any, ...]],
    sorting: Sorting,
    has_start: bool,
    descending: bool,
    most: int | None,
) -> sa.Select[*tuple[Any, ...]]:
    """The rows of `statement` in order, `most` of them (None: as it is given), from `start_key` and `start_id` on."""
    known = _parts.setdefault(statement, {})
    name = sorting, has_start, descending, most
    made = known.get(name)
    if made is None:
        made = known[name] = _made_part(statement, *name)
    return made


def _made_part(
    statement: sa.Select[*tuple[Any, ...]],
    sorting: Sorting,
    has_start: bool,
    descending: bool,
    most: int | None,
) -> sa.Select[*tuple[Any, ...]]:
    key, row_id = sorting.key, sorting.row_id
    if sorting.has_value is not None:
        statement = statement.where(sorting.has_value)
    if has_start:
        value = sa.bindparam("start_key", type_=key.type)
        here, there = (
            sa.tuple_(key, row_id),
            sa.tuple_(value, sa.bindparam("start_id", type_=row_id.type)),
        )
        statement = statement.where(
            here < there if descending else here > there,
            # Said again of the key alone: it may be of another table than the id.
            key <= value if descending else key >= value,
        )
    by = [c.desc() if descending else c.asc() for c in (key, row_id)]
    wanted = statement.add_columns(key.label("sorted_by"), row_id.label("sorted_id"))
    given = sa.bindparam("most", type_=sa.Integer)
    return wanted.order_by(*by).limit(given if most is None else sa.literal_column(str(most)))


def find_ids(
    statement: sa.Select[int], sorting: Sorting, *, size: int, cursor: str = ""
) -> Page[int]:
    """The ids that `statement` selects, beyond `cursor`; one query.  Raises CursorInvalid."""
    page = find(statement, sorting, size=size, cursor=cursor)
    return page.showing([row[0] for row in page.rows])


def is_backwards(cursor: str, sorting: Sorting) -> bool:
    """Whether it leads to the page before.  Raises CursorInvalid."""
    return bool(cursor) and _decoded(cursor, sorting)[2]


def all_ids(wanted: Sequence[sa.ColumnElement[bool]], *, size: int) -> Iterator[list[int]]:
    """The ids of all orders that meet `wanted`, newest first, `size` at a time.

    Walked by what never changes, each part read when it is asked for: no order comes twice, and
    only one that stops matching meanwhile is left out.
    """
    statement = sa.select(Order.id).where(*wanted)
    cursor, is_first = "", True
    while cursor or is_first:
        page = find_ids(statement, NEWEST_FIRST, size=size, cursor=cursor)
        cursor, is_first = page.next_cursor, False
        yield page.rows


def _encoded(row: Any, sorting: Sorting, *, backwards: bool) -> str:
    value = row.sorted_by if sorting.kind is int else row.sorted_by.isoformat()
    parts = [sorting.name, sorting.descending, value, row.sorted_id, backwards]
    text = json.dumps(parts, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str, sorting: Sorting) -> _Start:
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"===")
        name, descending, value, order_id, backwards = json.loads(text)
        if (name, descending) != (sorting.name, sorting.descending):
            raise ValueError(name)
        start = _value(value, sorting.kind), _small(order_id), backwards is True
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise CursorInvalid from None
    return start


def _value(text: Any, kind: type[int] | type[date] | type[datetime]) -> int | date | datetime:
    if kind is int:
        return _small(text)
    if kind is date:
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not is_countable(moment):
        raise ValueError(text)
    return moment.astimezone(UTC)


def _small(number: Any) -> int:
    if type(number) is not int or not 0 <= number <= MOST:
        raise ValueError(number)
    return number
