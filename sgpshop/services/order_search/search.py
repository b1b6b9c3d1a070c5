"""Searching orders: one page at a time by key, and all ids of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.bounds import whole_number
from sgpshop.domain.errors import CursorInvalid
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import asked_keys
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, utc_now
from sgpshop.services.order_search import holds, index
from sgpshop.services.order_search.criteria import SearchCriteria, conditions, made_once
from sgpshop.services.order_search.index import MOST_KEY, Where
from sgpshop.services.orders import facts
from sgpshop.services.orders.facts import Facts
from sgpshop.storage import keyset
from sgpshop.storage.among import among
from sgpshop.storage.keyset import Page, Sorting

PAGE_SIZES = (20, 40, 100, 200)  # R37


class SortKey(StrEnum):
    """What the list can be sorted by (§6.2)."""

    ORDERED_AT = "ordered_at"
    TOTAL = "total"
    DEADLINE = "deadline"
    CAPTURED_AT = "captured_at"
    CANCELLED_AT = "cancelled_at"


@dataclass(frozen=True)
class PageRequest:
    """Which piece of a result is wanted; `cursor` comes from an earlier Page, or is ""."""

    sort: SortKey = SortKey.ORDERED_AT
    descending: bool = True
    size: int = 40
    cursor: str = ""


def search(criteria: SearchCriteria, wanted: PageRequest) -> Page[Facts]:
    """The orders of one page in two queries; in four or five for a word.  Raises CursorInvalid."""
    if criteria.word and wanted.sort is SortKey.ORDERED_AT:
        holding = _holding(criteria, wanted)
        by_id = {order.id: order for order in facts.with_ids(holding.rows)}
        return holding.showing([by_id[one] for one in holding.rows if one in by_id])
    page = _found(_rows(criteria, utc_now()), wanted, criteria)
    return page.showing(facts.made_of(page.rows))


@made_once
def _rows(criteria: SearchCriteria, now: datetime) -> sa.Select[*tuple[Any, ...]]:
    return facts.ROWS.where(*conditions(criteria, now))


def search_ids(criteria: SearchCriteria, wanted: PageRequest) -> Page[int]:
    """The ids of the same page in one query.  Raises CursorInvalid."""
    statement = facts.joined(Order.id).where(*conditions(criteria, utc_now()))
    page = _found(statement, wanted, criteria)
    return page.showing([row.id for row in page.rows])


def _found(
    statement: sa.Select[*tuple[Any, ...]], wanted: PageRequest, criteria: SearchCriteria
) -> Page[sa.Row[*tuple[Any, ...]]]:
    sorting = _sorting(wanted, criteria)
    return keyset.find(
        statement,
        sorting,
        size=wanted.size,
        cursor=wanted.cursor,
        is_walked=_is_walked(criteria, wanted),
    )


def _is_walked(criteria: SearchCriteria, wanted: PageRequest) -> bool:
    """Whether these are all orders, the unfinished ones or those of one status, by date: each has its index."""
    if wanted.sort is not SortKey.ORDERED_AT or wanted.size not in PAGE_SIZES:
        return False
    is_one = len(criteria.statuses) + criteria.unfinished <= 1
    return is_one and replace(criteria, statuses=(), unfinished=False) == SearchCriteria()


def next_to_capture(order: Order) -> str | None:
    """The number of the order in 仮売上 after `order`, newest first as in the list, else of the newest.

    None: there is no other.
    """
    place = sa.tuple_(Order.ordered_at, Order.id)
    for where in (place < sa.tuple_(order.ordered_at, order.id), Order.id != order.id):
        found: str | None = db.session.scalar(
            sa.select(Order.order_no)
            .where(Order.payment_status == PaymentStatus.AUTHORIZED, where)
            .order_by(Order.ordered_at.desc(), Order.id.desc())
            .limit(1)
        )
        if found:
            return found
    return None


def the_one(word: str) -> str | None:
    """The number of the only order that `word` can mean, of all periods (None: none, or several).

    That is the one whose number, phone or slip number it is; or in which it is at all; or one of
    those with such a number at whose end it is.
    """
    keys = asked_keys(word)
    for where in (Where.WHOLE, Where.ANYWHERE, Where.AT_END):
        if where is Where.AT_END and len("".join(keys)) < index.LAST:
            break
        found = index.newest(keys, most=2, where=where)
        if len(found) == 1:
            [(_, order_id)] = found
            return db.session.scalar(sa.select(Order.order_no).where(Order.id == order_id))
    return None


def _holding(criteria: SearchCriteria, wanted: PageRequest) -> Page[int]:
    """The ids of one page of the orders that hold a word: only so many are read, not all that do."""
    is_back, beyond = _place(wanted.cursor)
    descending = wanted.descending != is_back
    found = index.newest(
        asked_keys(criteria.word),
        conditions(replace(criteria, word=""), utc_now()),
        most=wanted.size + 1,
        beyond=beyond,
        descending=descending,
    )
    has_more, rows = len(found) > wanted.size, found[: wanted.size]
    if is_back:
        rows.reverse()
    if not rows:
        return Page([])
    has_next, has_previous = (True, has_more) if is_back else (has_more, beyond is not None)
    return Page(
        [order_id for _, order_id in rows],
        next_cursor=f"w{rows[-1][0]}" if has_next else "",
        previous_cursor=f"b{rows[0][0]}" if has_previous else "",
    )


def _place(cursor: str) -> tuple[bool, int | None]:
    """Whether a cursor of a word's list goes back, and the sort key it stands at."""
    if not cursor:
        return False, None
    key = whole_number(cursor[1:], MOST_KEY)
    if cursor[0] not in "wb" or key is None:
        raise CursorInvalid
    return cursor[0] == "b", key


def matching_ids(criteria: SearchCriteria, limit: int) -> list[int]:
    """The ids of up to `limit` orders of a search, oldest first (検索結果の全n件, R44, R48)."""
    statement = sa.select(Order.id).where(*conditions(criteria, utc_now()))
    return list(db.session.scalars(statement.order_by(Order.ordered_at, Order.id).limit(limit)))


def ids_of(order_numbers: Sequence[str]) -> list[int]:
    """The ids of the orders with these numbers; unknown numbers are left out."""
    return list(db.session.scalars(sa.select(Order.id).where(among(Order.order_no, order_numbers))))


#: Stand-ins for "no such moment", so that such orders come last in both directions.
_NEVER, _LONG_AGO = datetime(9999, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)


def _sorting(wanted: PageRequest, criteria: SearchCriteria) -> Sorting:
    has_period = bool(criteria.day_from or criteria.day_to)
    is_of_period = has_period and criteria.date_field.value == wanted.sort.value
    return _sorting_by(wanted.sort, wanted.descending, is_of_period)


@cache
def _sorting_by(sort: SortKey, descending: bool, is_of_period: bool) -> Sorting:
    if sort is SortKey.ORDERED_AT:
        return Sorting(sort, Order.ordered_at.expression, datetime, descending)
    if sort is SortKey.TOTAL:
        return Sorting(sort, Order.total.expression, int, descending)
    never = _LONG_AGO if descending else _NEVER
    column: sa.ColumnElement[Any] = {
        SortKey.DEADLINE: holds.ends_at.expression,
        SortKey.CAPTURED_AT: CardTransaction.captured_at.expression,
        SortKey.CANCELLED_AT: CardTransaction.cancelled_at.expression,
    }[sort]
    if is_of_period:  # all of them have it
        return Sorting(sort, column, datetime, descending)
    key = sa.func.coalesce(column, sa.literal(never, column.type))
    return Sorting(sort, key, datetime, descending, column, column.is_not(None), never)
