"""Searching orders: one page at a time by key, and all ids of a search."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.bounds import MOST, is_countable
from sgpshop.domain.errors import CursorInvalid
from sgpshop.domain.payment_status import CAPTURABLE
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, OrderKind, utc_now
from sgpshop.services.order_search import listed_orders
from sgpshop.services.order_search.criteria import HOLDING, SearchCriteria, conditions
from sgpshop.services.order_search.listed_orders import ListedOrder

PAGE_SIZES = (20, 40, 100, 200)  # R37


class SortKey(StrEnum):
    """What the list can be sorted by (§6.2)."""

    ORDERED_AT = "ordered_at"
    TOTAL = "total"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class PageRequest:
    """Which piece of a result is wanted; `cursor` comes from an earlier ResultPage, or is ""."""

    sort: SortKey = SortKey.ORDERED_AT
    descending: bool = True
    size: int = 40
    cursor: str = ""


@dataclass(frozen=True)
class ResultPage:
    """One page of orders, and the cursors of its neighbours; "" where there is none."""

    orders: list[ListedOrder]
    next_cursor: str = ""
    previous_cursor: str = ""


def search(criteria: SearchCriteria, page: PageRequest) -> ResultPage:
    """The orders of one page in two queries.  Raises CursorInvalid.

    Pages are found by (sort key, id), not by counting, so the last costs no more than the first.
    """
    start = _Position.decode(page) if page.cursor else None
    backwards = start is not None and start.backwards
    descending = page.descending != backwards
    key = _column(page)
    wanted = conditions(criteria, utc_now())
    if start is not None:
        here = sa.tuple_(key, Order.id)
        there = sa.tuple_(sa.literal(start.value, key.type), sa.literal(start.id))
        wanted.append(here < there if descending else here > there)
    by = [column.desc() if descending else column.asc() for column in (key, Order.id)]
    statement = listed_orders.ROWS.where(*wanted).order_by(*by).limit(page.size + 1)
    found = listed_orders.read(statement)
    has_more, orders = len(found) > page.size, found[: page.size]
    if backwards:
        orders.reverse()
    has_next, has_previous = (True, has_more) if backwards else (has_more, start is not None)
    if not orders:
        return ResultPage([])
    return ResultPage(
        orders,
        next_cursor=_Position.of(orders[-1], page).encode(page) if has_next else "",
        previous_cursor=(
            _Position.of(orders[0], page, backwards=True).encode(page) if has_previous else ""
        ),
    )


def matching_ids(criteria: SearchCriteria, limit: int) -> list[int]:
    """The ids of up to `limit` orders of a search, oldest first (検索結果の全n件, R44, R48)."""
    statement = sa.select(Order.id).where(*conditions(criteria, utc_now()))
    return list(db.session.scalars(statement.order_by(Order.ordered_at, Order.id).limit(limit)))


def ids_of(order_numbers: Sequence[str]) -> list[int]:
    """The ids of the orders with these numbers; unknown numbers are left out."""
    return list(db.session.scalars(sa.select(Order.id).where(Order.order_no.in_(order_numbers))))


#: Stand-ins for "no deadline", so that such orders come last in both directions.
_NEVER, _LONG_AGO = datetime(9999, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)


def _column(page: PageRequest) -> sa.ColumnElement[Any]:
    if page.sort is SortKey.ORDERED_AT:
        return Order.ordered_at.expression
    if page.sort is SortKey.TOTAL:
        return Order.total.expression
    deadline = sa.case((sa.and_(*HOLDING), CardTransaction.auth_expires_at))
    return sa.func.coalesce(deadline, sa.literal(_last(page), CardTransaction.auth_expires_at.type))


def _last(page: PageRequest) -> datetime:
    return _LONG_AGO if page.descending else _NEVER


@dataclass(frozen=True)
class _Position:
    """The row a page starts beyond: its sort value and id."""

    value: datetime | int
    id: int
    backwards: bool

    @classmethod
    def of(cls, order: ListedOrder, page: PageRequest, *, backwards: bool = False) -> _Position:
        value: datetime | int
        if page.sort is SortKey.ORDERED_AT:
            value = order.ordered_at
        elif page.sort is SortKey.TOTAL:
            value = order.total
        else:
            value = _deadline(order) or _last(page)
        return cls(value, order.id, backwards)

    def encode(self, page: PageRequest) -> str:
        value = self.value if isinstance(self.value, int) else self.value.isoformat()
        parts = [page.sort.value, page.descending, value, self.id, self.backwards]
        text = json.dumps(parts, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, page: PageRequest) -> _Position:
        try:
            text = base64.urlsafe_b64decode(page.cursor.encode("ascii") + b"===")
            sort, descending, value, order_id, backwards = json.loads(text)
            if page.sort is SortKey.TOTAL:
                start: datetime | int = _small(value)
            else:
                moment = datetime.fromisoformat(value)
                if not is_countable(moment):
                    raise ValueError(value)
                start = moment.astimezone(UTC)
            position = cls(start, _small(order_id), backwards is True)
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
            raise CursorInvalid from None
        if (sort, descending) != (page.sort.value, page.descending):
            raise CursorInvalid
        return position


def _small(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(value)
    return value


def _deadline(order: ListedOrder) -> datetime | None:
    if order.payment_status not in CAPTURABLE or order.kind != OrderKind.NORMAL:
        return None
    return order.transaction.auth_expires_at if order.transaction else None
