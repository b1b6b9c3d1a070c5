"""An order as a list shows it: the few columns a row needs, read in two queries whatever the number.

Loading whole models for 40 rows costs several times the rest of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    SGP_METHOD,
    Attempt,
    CardTransaction,
    Delivery,
    Order,
    OrderKind,
)
from sgpshop.services.orders.facts import OpenAttemptFacts, TransactionFacts


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """One row; also what domain.order_rules asks about an order.  Amounts are yen."""

    id: int
    order_no: str
    ordered_at: datetime
    kind: OrderKind
    method: str
    payment_status: PaymentStatus | None
    processing_class: ProcessingClass
    total: int
    buyer_name: str
    cancel_waived_at: datetime | None
    transaction: TransactionFacts | None
    open_attempt: OpenAttemptFacts | None
    #: of the first parcel; `parcels` says how many there are
    recipient: str
    slip_no: str
    parcels: int

    @property
    def is_sgp(self) -> bool:
        """Whether this order is paid by SGP card."""
        return self.method == SGP_METHOD


_ORDER = (
    Order.id,
    Order.order_no,
    Order.ordered_at,
    Order.kind,
    Order.method,
    Order.payment_status,
    Order.processing_class,
    Order.total,
    Order.buyer_name,
    Order.cancel_waived_at,
)
#: in the order of the fields of TransactionFacts
_TRANSACTION = (
    CardTransaction.id,
    CardTransaction.gateway_order_id,
    CardTransaction.gateway_amount,
    CardTransaction.gateway_state,
    CardTransaction.auth_expires_at,
    CardTransaction.next_look_at,
    CardTransaction.is_linked,
    CardTransaction.is_charge,
    CardTransaction.others_live,
    CardTransaction.is_mismatched,
)
_ATTEMPT = (Attempt.operation, Attempt.uncertain_since)
_ORDER_END = len(_ORDER)
_TRANSACTION_END = _ORDER_END + len(_TRANSACTION)
_ATTEMPT_END = _TRANSACTION_END + len(_ATTEMPT)


def joined(*columns: Any) -> sa.Select[*tuple[Any, ...]]:
    """A statement for `columns` of orders, their current transactions and their open attempts."""
    return (
        sa.select(*columns)
        .select_from(Order)
        .outerjoin(
            CardTransaction,
            sa.and_(CardTransaction.order_id == Order.id, CardTransaction.is_current),
        )
        .outerjoin(Attempt, sa.and_(Attempt.order_id == Order.id, Attempt.is_open))
    )


#: The statement behind `made_of`, to be narrowed and sorted by columns of Order.
ROWS = joined(*_ORDER, *_TRANSACTION, *_ATTEMPT)


def read(statement: sa.Select[*tuple[Any, ...]]) -> list[ListedOrder]:
    """The orders of a statement made from ROWS, in its order; two queries."""
    return made_of(db.session.execute(statement).all())


def made_of(found: Sequence[Sequence[Any]]) -> list[ListedOrder]:
    """The orders of these rows of ROWS, which may have more columns behind its own; one query."""
    parcels = _parcels([row[0] for row in found])
    return [_listed(row, parcels.get(row[0], _NO_PARCEL)) for row in found]


def by_ids(order_ids: Iterable[int]) -> list[ListedOrder]:
    """The orders with these ids, oldest first; unknown ids are left out."""
    wanted = Order.id.in_(list(order_ids))
    return read(ROWS.where(wanted).order_by(Order.ordered_at, Order.id))


_Parcel = tuple[str, str, int]
_NO_PARCEL: _Parcel = ("", "", 0)


#: The statement gives the first fields by position; a checker cannot follow that.
_made: Callable[..., ListedOrder] = ListedOrder


def _listed(row: Sequence[Any], parcel: _Parcel) -> ListedOrder:
    transaction = row[_ORDER_END:_TRANSACTION_END]
    attempt = row[_TRANSACTION_END:_ATTEMPT_END]
    return _made(
        *row[:_ORDER_END],
        TransactionFacts(*transaction) if transaction[0] is not None else None,
        OpenAttemptFacts(*attempt) if attempt[0] is not None else None,
        *parcel,
    )


def _parcels(order_ids: list[int]) -> dict[int, _Parcel]:
    if not order_ids:
        return {}
    first: dict[int, _Parcel] = {}
    columns = sa.select(Delivery.order_id, Delivery.name, Delivery.slip_no)
    wanted = columns.where(Delivery.order_id.in_(order_ids))
    for order_id, name, slip_no in db.session.execute(
        wanted.order_by(Delivery.order_id, Delivery.number)
    ):
        known = first.get(order_id)
        first[order_id] = (known[0], known[1], known[2] + 1) if known else (name, slip_no, 1)
    return first
