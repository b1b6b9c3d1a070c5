"""Orders for a file, a few hundred at a time, newest first.

Plain rows, not models: a hundred thousand models with their lines cost several times the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    AttemptState,
    Delivery,
    Order,
    OrderLine,
    utc_now,
)
from sgpshop.services.order_files.exporting.columns import (
    DELIVERY_FIELDS,
    ITEM_FIELDS,
    ORDER_FIELDS,
)
from sgpshop.services.order_search.criteria import SearchCriteria, conditions
from sgpshop.services.orders.facts import load_facts
from sgpshop.services.payments.error_content import ErrorContent, error_content, is_past
from sgpshop.storage import keyset
from sgpshop.storage.among import among

_CHUNK = 500


#: A row as the driver gives it: what the statements below ask for has no form of its own (columns.py).
_Row = tuple[Any, ...]


class ExportedOrder(NamedTuple):
    """One order: `order` has its columns and those of its transaction, in the order of ORDER_FIELDS."""

    order: _Row
    parcels: dict[int, _Row]
    lines: Sequence[_Row]
    error: ErrorContent | None


#: Gives the orders of one export, each time from the start.
Source = Callable[[], Iterator[list[ExportedOrder]]]


def found(criteria: SearchCriteria) -> Source:
    """All orders of a search, as they are when each chunk is read."""

    def orders() -> Iterator[list[ExportedOrder]]:
        # What the request read before may be minutes old in the end.
        db.session.commit()
        for ids in keyset.all_ids(conditions(criteria, utc_now()), size=_CHUNK):
            yield _read(ids)

    return orders


def chosen(order_ids: Sequence[int]) -> Source:
    """The orders with these ids; unknown ones are left out."""

    def orders() -> Iterator[list[ExportedOrder]]:
        db.session.commit()
        ids = _newest_first(order_ids)
        for start in range(0, len(ids), _CHUNK):
            yield _read(ids[start : start + _CHUNK])

    return orders


def _newest_first(order_ids: Sequence[int]) -> list[int]:
    found: list[tuple[datetime, int]] = []
    for start in range(0, len(order_ids), _CHUNK):
        rows = db.session.execute(
            sa.select(Order.ordered_at, Order.id).where(
                among(Order.id, order_ids[start : start + _CHUNK])
            )
        )
        found.extend((row.ordered_at, row.id) for row in rows)
    return [order_id for _, order_id in sorted(set(found), reverse=True)]


def _read(ids: list[int]) -> list[ExportedOrder]:
    """The orders of one chunk in four or five queries; no transaction is open after."""
    orders = _rows(_ORDERS, ids)
    parcels: dict[int, dict[int, _Row]] = defaultdict(dict)
    for parcel in _rows(_PARCELS, ids):
        parcels[parcel[-1]][parcel[-2]] = parcel
    lines: dict[int, list[_Row]] = defaultdict(list)
    for line in _rows(_LINES, ids):
        lines[line[-1]].append(line)
    errors = _errors(ids)
    db.session.commit()
    return [
        ExportedOrder(order, parcels[order[-1]], lines[order[-1]], errors.get(order[-1]))
        for order in orders
    ]


def _rows(statement: sa.Select[*tuple[Any, ...]], ids: list[int]) -> Sequence[_Row]:
    """Past SQLAlchemy's rows: to make one of each takes as long as reading it."""
    result = db.session.connection().execute(statement, {"ids": ids})
    assert result.cursor is not None
    rows: Sequence[_Row] = result.cursor.fetchall()
    result.close()
    return rows


def _errors(order_ids: Sequence[int]) -> dict[int, ErrorContent | None]:
    """エラー内容 by order id, as the detail screen tells it; most orders have none."""
    failures: dict[int, Any] = {
        row.order_id: row for row in db.session.execute(_FAILURES, {"ids": order_ids})
    }
    facts = load_facts(failures) if failures else {}
    return {
        order_id: error_content(failures[order_id])
        for order_id, order in facts.items()
        if order.open_attempt is None and not is_past(failures[order_id], order)
    }


# What a row is found by stands last, where it is got at soonest.
_ORDERS = (
    sa.select(*ORDER_FIELDS, Order.id)
    .outerjoin(Order.transaction)
    .where(among(Order.id, "ids"))
    .order_by(Order.ordered_at.desc(), Order.id.desc())
)
_PARCELS = sa.select(*DELIVERY_FIELDS, Delivery.number.label("which"), Delivery.order_id).where(
    among(Delivery.order_id, "ids")
)
_LINES = (
    sa.select(*ITEM_FIELDS, OrderLine.delivery_number, OrderLine.order_id)
    .where(among(OrderLine.order_id, "ids"))
    .order_by(OrderLine.order_id, OrderLine.position)
)
_newest = sa.select(sa.func.max(Attempt.id)).where(among(Attempt.order_id, "ids"))
#: The newest attempt of each order, where it was refused.
_FAILURES = sa.select(
    Attempt.order_id,
    Attempt.operation,
    Attempt.state,
    Attempt.amount,
    Attempt.reason,
    Attempt.error_codes,
).where(Attempt.id.in_(_newest.group_by(Attempt.order_id)), Attempt.state == AttemptState.REJECTED)
