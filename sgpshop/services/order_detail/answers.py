"""Orders as other programs are told of them (T4): the order, its payment, what is under way or wrong.

A page of orders takes a fixed number of queries, whatever its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from sgpshop.domain.errors import OrderNotFound
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Attempt, CardTransaction, HistoryEntry, Order, OrderKind, utc_now
from sgpshop.services.order_detail.detail import OrderProblem, failure_of, problem_of
from sgpshop.services.order_detail.unfinished import REFUSED, Unfinished, unfinished
from sgpshop.services.order_search import search
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.search import PageRequest
from sgpshop.services.orders import history, money_movements
from sgpshop.services.payments import transaction_numbers
from sgpshop.services.subscriptions import facts
from sgpshop.services.subscriptions.facts import BillingFacts
from sgpshop.storage.among import among


@dataclass(frozen=True)
class OrderNow:
    """One order with its transaction and open operation, and its error content if there is any."""

    order: Order
    problem: OrderProblem | None
    #: what holds or took its money under other numbers, which no cancel touches
    others: list[CardTransaction]
    #: its newest attempt, and how far its payment is where that is not finished
    last: Attempt | None = None
    unfinished: Unfinished | None = None
    #: yen of what was captured that went back
    refunded: int = 0
    #: the newest entries, newest first; None where it was not asked for
    history: list[HistoryEntry] | None = None


def one(order_no: str) -> OrderNow:
    """The order with that number as it is now.  Raises NotFound."""
    db.session.commit()  # ends a reading transaction, which would still see what was before
    found = _now(Order.order_no == order_no)
    if not found:
        raise OrderNotFound
    return replace(found[0], history=history.entries(found[0].order.id))


def page(criteria: SearchCriteria, wanted: PageRequest) -> tuple[list[OrderNow], str]:
    """One page of a search and the cursor of the next, "" after the last.  Raises CursorInvalid."""
    result = search.search_ids(criteria, wanted)
    return of_ids(result.rows), result.next_cursor


def of_ids(order_ids: Sequence[int]) -> list[OrderNow]:
    """These orders, in this order; one that is not there any more is left out."""
    found = {now.order.id: now for now in _now(among(Order.id, order_ids))}
    return [found[order_id] for order_id in order_ids if order_id in found]


def _now(condition: sa.ColumnElement[bool]) -> list[OrderNow]:
    orders = db.session.scalars(
        sa.select(Order)
        .where(condition)
        .options(
            joinedload(Order.transaction),
            joinedload(Order.open_attempt),
            selectinload(Order.lines),
            selectinload(Order.deliveries),
        )
        .execution_options(populate_existing=True)
    ).all()
    last = _last_attempts(orders)
    billed = _billings(orders)
    others: dict[int, list[CardTransaction]] = {order.id: [] for order in orders}
    for other in transaction_numbers.live_elsewhere(others):
        others[other.order_id].append(other)
    now = utc_now()
    refunded = money_movements.refunded_of(others)
    return [
        _told(order, last.get(order.id), billed.get(order.id), now, others[order.id], refunded)
        for order in orders
    ]


def _told(
    order: Order,
    last: Attempt | None,
    billing: BillingFacts | None,
    now: datetime,
    others: list[CardTransaction],
    refunded: Mapping[int, int],
) -> OrderNow:
    how_far = unfinished(order, last, now)
    problem = problem_of(order, last, billing)
    if problem is None and last is not None and how_far in REFUSED:
        problem = failure_of(last, order)
    return OrderNow(order, problem, others, last, how_far, refunded.get(order.id, 0))


def _billings(orders: Sequence[Order]) -> dict[int, BillingFacts]:
    """The registrations that may say why a subscription's sale failed (R105)."""
    failed = [
        order.id
        for order in orders
        if order.kind is OrderKind.SUBSCRIPTION
        and order.payment_status is PaymentStatus.CAPTURE_FAILED
    ]
    return facts.latest_billings(failed) if failed else {}


def _last_attempts(orders: Sequence[Order]) -> dict[int, Attempt]:
    newest = (
        sa.select(sa.func.max(Attempt.id))
        .where(among(Attempt.order_id, [order.id for order in orders]))
        .group_by(Attempt.order_id)
    )
    found = db.session.scalars(sa.select(Attempt).where(Attempt.id.in_(newest)))
    return {attempt.order_id: attempt for attempt in found}
