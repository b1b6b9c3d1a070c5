"""One page of orders found by (sort key, id), not by counting: the last costs no more than the first."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from sgpshop.domain.bounds import MOST, is_countable
from sgpshop.domain.errors import CursorInvalid
from sgpshop.extensions import db
from sgpshop.models import Order

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Sorting:
    """What a list is sorted by; `read` turns the ISO form of a value into the value again."""

    key: sa.ColumnElement[Any]
    read: Callable[[str], date | datetime]
    descending: bool = False


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
    wanted: Sequence[sa.ColumnElement[bool]], sorting: Sorting, *, size: int, cursor: str = ""
) -> Page[int]:
    """The ids of the orders that meet `wanted`, beyond `cursor`; one query.  Raises CursorInvalid."""
    start = _decoded(cursor, sorting) if cursor else None
    backwards = start is not None and start[2]
    descending = sorting.descending != backwards
    conditions = list(wanted)
    if start is not None:
        here = sa.tuple_(sorting.key, Order.id)
        there = sa.tuple_(sa.literal(start[0], sorting.key.type), sa.literal(start[1]))
        conditions.append(here < there if descending else here > there)
    by = [c.desc() if descending else c.asc() for c in (sorting.key, Order.id)]
    found = db.session.execute(
        sa.select(sorting.key.label("sorted_by"), Order.id)
        .where(*conditions)
        .order_by(*by)
        .limit(size + 1)
    ).all()
    has_more, rows = len(found) > size, list(found[:size])
    if backwards:
        rows.reverse()
    if not rows:
        return Page([])
    has_next, has_previous = (True, has_more) if backwards else (has_more, start is not None)
    return Page(
        [row.id for row in rows],
        next_cursor=_encoded(rows[-1], backwards=False) if has_next else "",
        previous_cursor=_encoded(rows[0], backwards=True) if has_previous else "",
    )


def _encoded(row: Any, *, backwards: bool) -> str:
    parts = [row.sorted_by.isoformat(), row.id, backwards]
    text = json.dumps(parts, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str, sorting: Sorting) -> tuple[date | datetime, int, bool]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"===")
        value, order_id, backwards = json.loads(text)
        start = sorting.read(value)
        if isinstance(start, datetime) and (start.tzinfo is None or not is_countable(start)):
            raise ValueError(value)
        if type(order_id) is not int or not 0 <= order_id <= MOST:
            raise ValueError(order_id)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise CursorInvalid from None
    return start, order_id, backwards is True
