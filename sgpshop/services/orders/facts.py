"""Orders as plain rows: what rules and acts ask of them, and what a list shows; many in two queries.

Loading whole models for 40 rows costs several times the rest of the page, and rows are made in a third
of the time that frozen dataclasses take.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    SGP_METHOD,
    Attempt,
    CardTransaction,
    Delivery,
    Operation,
    Order,
    OrderKind,
    OrderLine,
)
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks
from sgpshop.storage.rows import read as rows_of


class TransactionFacts(NamedTuple):
    """What the rules need of a card transaction."""

    id: int
    gateway_order_id: str
    sequence: int
    gateway_amount: int | None
    gateway_state: str | None
    auth_expires_at: datetime | None
    captured_at: datetime | None
    cancelled_at: datetime | None
    next_look_at: datetime | None
    is_linked: bool
    is_charge: bool
    others_live: bool
    is_mismatched: bool
    is_filed: bool
    given_by_hand: int


class OpenAttemptFacts(NamedTuple):
    """What the rules need of an operation that has not ended."""

    operation: Operation
    uncertain_since: datetime | None


class ParcelFacts(NamedTuple):
    """One delivery of an order."""

    id: int
    number: int
    name: str
    status: DeliveryStatus
    carrier_code: str
    slip_no: str
    more_slips: str
    delivered_at: datetime | None
    returned_on: date | None
    return_reason: str


class Facts(NamedTuple):
    """An order as rules, acts (domain.order_rules.OrderFacts) and lists see it.  Amounts are yen."""

    id: int
    order_no: str
    ordered_at: datetime
    version: int
    method: str
    kind: OrderKind
    payment_status: PaymentStatus | None
    processing_class: ProcessingClass
    total: int
    buyer_name: str
    edited_at: datetime | None
    cancel_waived_at: datetime | None
    refunded_on: date | None
    handling: str
    is_called_off: bool
    is_asked: bool
    transaction: TransactionFacts | None
    open_attempt: OpenAttemptFacts | None
    #: by number; only where they were asked for
    deliveries: tuple[ParcelFacts, ...] = ()
    #: names of what was bought, line by line; only where they were asked for
    items: tuple[str, ...] = ()

    @property
    def is_sgp(self) -> bool:
        """Whether this order is paid by SGP card."""
        return self.method == SGP_METHOD

    @property
    def parcels(self) -> int:
        """How many; `recipient` and `slip_no` are of the first."""
        return len(self.deliveries)

    @property
    def recipient(self) -> str:
        """お届け先 as a list shows it."""
        return self.deliveries[0].name if self.deliveries else ""

    @property
    def slip_no(self) -> str:
        """伝票番号 as a list shows it."""
        return self.deliveries[0].slip_no if self.deliveries else ""


#: The statements give the fields by position, in their order; a checker cannot follow that.
_ORDER = [getattr(Order, name) for name in Facts._fields[:-4]]
_TRANSACTION = [getattr(CardTransaction, name) for name in TransactionFacts._fields]
_ATTEMPT = [getattr(Attempt, name) for name in OpenAttemptFacts._fields]
_PARCEL = [getattr(Delivery, name) for name in ParcelFacts._fields]


def joined(*columns: Any) -> sa.Select[*tuple[Any, ...]]:
    """A statement for `columns` of orders, their current transactions and their open attempts."""
    return (
        sa.select(*columns)
        .select_from(Order)
        .outerjoin(Order.transaction)
        .outerjoin(Order.open_attempt)
    )


#: The statement behind `read`, to be narrowed and sorted by columns of Order and CardTransaction.
ROWS = joined(*_ORDER, *_TRANSACTION, *_ATTEMPT)
_PARCELS = (
    sa.select(Delivery.order_id, *_PARCEL)
    .where(among(Delivery.order_id, "ids"))
    .order_by(Delivery.order_id, Delivery.number)
)

_ITEMS = (
    sa.select(OrderLine.order_id, OrderLine.name)
    .where(among(OrderLine.order_id, "ids"))
    .order_by(OrderLine.order_id, OrderLine.position)
)


def read(
    statement: sa.Select[*tuple[Any, ...]], *, with_parcels: bool = True, with_items: bool = True
) -> list[Facts]:
    """The orders of a statement made from ROWS, in its order; up to three queries."""
    rows = rows_of(statement).all()
    return made_of(rows, with_parcels=with_parcels, with_items=with_items)


def made_of(
    rows: Sequence[Sequence[Any]], *, with_parcels: bool = True, with_items: bool = True
) -> list[Facts]:
    """The orders of these rows of ROWS, which may have more columns behind its own; two queries."""
    parcels: dict[int, list[ParcelFacts]] = defaultdict(list)
    items: dict[int, list[str]] = defaultdict(list)
    wanted = {"ids": [row[0] for row in rows]}
    if with_parcels and rows:
        for order_id, *parcel in rows_of(_PARCELS, wanted).all():
            parcels[order_id].append(ParcelFacts._make(parcel))
    if with_items and rows:
        for order_id, name in rows_of(_ITEMS, wanted).all():
            items[order_id].append(name)
    return [one_of(row, parcels.get(row[0], ()), items.get(row[0], ())) for row in rows]


_OF_IDS = ROWS.where(among(Order.id, "ids"))


def with_ids(order_ids: Sequence[int], *, with_parts: bool = True) -> list[Facts]:
    """The orders with these ids, in no order: so few that they are parameters of one statement.

    `with_parts`: with their parcels and items.
    """
    rows = rows_of(_OF_IDS, {"ids": order_ids}).all() if order_ids else []
    return made_of(rows, with_parcels=with_parts, with_items=with_parts)


def by_ids(order_ids: Iterable[int]) -> list[Facts]:
    """The orders with these ids, oldest first; unknown ids are left out."""
    wanted = among(Order.id, order_ids)
    return read(ROWS.where(wanted).order_by(Order.ordered_at, Order.id))


def load_facts(
    order_ids: Iterable[int],
    *,
    lock: bool = False,
    with_parcels: bool = False,
    with_items: bool = False,
) -> dict[int, Facts]:
    """Facts by order id; ids that do not exist are missing.

    `lock` keeps other writers from these orders until the transaction ends (PostgreSQL; on SQLite
    the write transaction itself does).  Of all acts only 返送 and ステータスの変更 ask about parcels.
    """
    found: dict[int, Facts] = {}
    for chunk in chunks(sorted(set(order_ids))):
        if lock:
            db.session.execute(
                sa.select(Order.id)
                .where(among(Order.id, chunk))
                .order_by(Order.id)
                .with_for_update()
            )
        statement = ROWS.where(among(Order.id, chunk))
        rows = read(statement, with_parcels=with_parcels, with_items=with_items)
        found.update({order.id: order for order in rows})
    return found


def keep(session: Session, order_ids: Iterable[int]) -> set[int]:
    """Which of these orders are there; none of them is taken back until the transaction ends.

    An order whose first payment is declined is (payments.checkouts.refuse).
    """
    found: set[int] = set()
    for chunk in chunks(sorted(set(order_ids))):
        found.update(
            session.scalars(
                sa.select(Order.id)
                .where(among(Order.id, chunk))
                .order_by(Order.id)
                .with_for_update(read=True, key_share=True)
            )
        )
    return found


def one_of(
    row: Sequence[Any], deliveries: Sequence[ParcelFacts] = (), items: Sequence[str] = ()
) -> Facts:
    """The order of one such row, with what the caller has of its parcels and items."""
    transaction_at = len(_ORDER)
    attempt_at = transaction_at + len(_TRANSACTION)
    transaction = row[transaction_at:attempt_at]
    attempt = row[attempt_at : attempt_at + len(_ATTEMPT)]
    made: Callable[..., Facts] = Facts
    return made(
        *row[:transaction_at],
        TransactionFacts(*transaction) if transaction[0] is not None else None,
        OpenAttemptFacts(*attempt) if attempt[0] is not None else None,
        tuple(deliveries),
        tuple(items),
    )
