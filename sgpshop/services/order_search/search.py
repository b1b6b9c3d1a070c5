"""Searching orders: one page at a time by key, and all ids of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, utc_now
from sgpshop.services.order_search.criteria import HOLDING, SearchCriteria, conditions
from sgpshop.services.orders import facts
from sgpshop.services.orders.facts import Facts
from sgpshop.storage import keyset
from sgpshop.storage.keyset import Page, Sorting

PAGE_SIZES = (20, 40, 100, 200)  # R37


class SortKey(StrEnum):
    """What the list can be sorted by (§6.2)."""

    ORDERED_AT = "ordered_at"
    TOTAL = "total"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class PageRequest:
    """Which piece of a result is wanted; `cursor` comes from an earlier Page, or is ""."""

    sort: SortKey = SortKey.ORDERED_AT
    descending: bool = True
    size: int = 40
    cursor: str = ""


def search(criteria: SearchCriteria, wanted: PageRequest) -> Page[Facts]:
    """The orders of one page in two queries.  Raises CursorInvalid."""
    statement = facts.ROWS.where(*conditions(criteria, utc_now()))
    page = keyset.find(statement, _sorting(wanted), size=wanted.size, cursor=wanted.cursor)
    return page.showing(facts.made_of(page.rows))


def search_ids(criteria: SearchCriteria, wanted: PageRequest) -> Page[int]:
    """The ids of the same page in one query.  Raises CursorInvalid."""
    statement = facts.joined(Order.id).where(*conditions(criteria, utc_now()))
    page = keyset.find(statement, _sorting(wanted), size=wanted.size, cursor=wanted.cursor)
    return page.showing([row.id for row in page.rows])


def matching_ids(criteria: SearchCriteria, limit: int) -> list[int]:
    """The ids of up to `limit` orders of a search, oldest first (検索結果の全n件, R44, R48)."""
    statement = sa.select(Order.id).where(*conditions(criteria, utc_now()))
    return list(db.session.scalars(statement.order_by(Order.ordered_at, Order.id).limit(limit)))


def ids_of(order_numbers: Sequence[str]) -> list[int]:
    """The ids of the orders with these numbers; unknown numbers are left out."""
    return list(db.session.scalars(sa.select(Order.id).where(Order.order_no.in_(order_numbers))))


#: Stand-ins for "no deadline", so that such orders come last in both directions.
_NEVER, _LONG_AGO = datetime(9999, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)


def _sorting(wanted: PageRequest) -> Sorting:
    if wanted.sort is SortKey.ORDERED_AT:
        return Sorting(wanted.sort, Order.ordered_at.expression, datetime, wanted.descending)
    if wanted.sort is SortKey.TOTAL:
        return Sorting(wanted.sort, Order.total.expression, int, wanted.descending)
    deadline = sa.case((sa.and_(*HOLDING), CardTransaction.auth_expires_at))
    last = sa.literal(_LONG_AGO if wanted.descending else _NEVER, deadline.type)
    return Sorting(wanted.sort, sa.func.coalesce(deadline, last), datetime, wanted.descending)
