"""Orders as they are in the database, loaded for many numbers with a handful of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.models import (
    SGP_METHOD,
    Attempt,
    CardTransaction,
    Delivery,
    Order,
    OrderKind,
    OrderLine,
)
from sgpshop.services.order_files.importing.content import (
    DELIVERY_DEFAULTS,
    LINE_DEFAULTS,
    ORDER_DEFAULTS,
    Content,
    Values,
)
from sgpshop.services.orders.facts import OpenAttemptFacts, TransactionFacts


@dataclass(frozen=True, slots=True)
class StoredTransaction(TransactionFacts):
    """The transaction that counts, as far as an import asks."""

    access_id: str | None
    looks: int
    look_problem: str

    @property
    def is_established(self) -> bool:
        """Whether the gateway, or access data given earlier, already speak for this payment."""
        answered = self.looks > 0 and self.look_problem != "unanswered"
        return bool(self.access_id or self.gateway_state or answered)


@dataclass(frozen=True)
class StoredOrder:
    """One order with everything an import compares; also what the table of acts asks about it.

    The parcels play no part in 注文内容修正 beyond the 処理区分 they make up.
    """

    id: int
    version: int
    ordered_at: datetime
    status: PaymentStatus | None
    processing_class: ProcessingClass
    content: Content
    transaction: StoredTransaction | None
    open_attempt: OpenAttemptFacts | None
    #: we have sent something about its money, or were about to
    was_attempted: bool
    #: last time a person has corrected its amount or content (R66)
    edited_at: datetime | None
    deliveries: tuple[()] = ()
    cancel_waived_at: datetime | None = None

    @property
    def payment_status(self) -> PaymentStatus | None:
        """決済方法ステータス."""
        return self.status

    @property
    def is_sgp(self) -> bool:
        """Whether it is paid by SGP card."""
        return bool(self.content.values["method"] == SGP_METHOD)

    @property
    def kind(self) -> OrderKind:
        """What was sold."""
        return self.content.kind

    @property
    def total(self) -> int:
        """Yen to be charged."""
        return int(self.content.values["total"])

    @property
    def is_ours(self) -> bool:
        """Whether our own acts or a look-up say how its payment stands: no file does then (R143).

        No file makes an order 注文キャンセル; one that waited for billing was cancelled here without a
        call (R103).
        """
        is_established = self.transaction is not None and self.transaction.is_established
        is_cancelled = self.status is PaymentStatus.CANCELLED
        return self.is_sgp and (self.was_attempted or is_established or is_cancelled)

    @property
    def may_name_other_access(self) -> bool:
        """Whether a later file may name another transaction than the one that was claimed before.

        Only while nobody saw that one under this order's number, or it was seen to be another's.
        """
        there = self.transaction
        if there is None or not there.access_id:
            return False
        return there.is_mismatched or (there.gateway_state is None and not self.was_attempted)

    @property
    def payment_began(self) -> bool:
        """Whether something rests on what the order is by now: a payment, or the monthly billing."""
        return self.is_ours or self.status in SUBSCRIPTION_STATUSES


def load(session: Session, order_nos: Iterable[str]) -> dict[str, StoredOrder]:
    """The orders with these numbers, by number, kept from other writers until the end."""
    orders = session.execute(
        sa.select(
            Order.id,
            Order.order_no,
            Order.version,
            Order.kind,
            Order.payment_status,
            Order.processing_class,
            Order.edited_at,
            *(getattr(Order, name) for name in ORDER_DEFAULTS),
        )
        .where(Order.order_no.in_(list(order_nos)))
        .order_by(Order.id)
        .with_for_update()
    ).all()
    if not orders:
        return {}
    ids = [row.id for row in orders]
    deliveries = _children(session, Delivery, DELIVERY_DEFAULTS, Delivery.number, ids)
    lines = _children(session, OrderLine, LINE_DEFAULTS, OrderLine.position, ids)
    transactions = _transactions(session, ids)
    attempts = _attempts(session, ids)
    return {
        row.order_no: StoredOrder(
            id=row.id,
            version=row.version,
            ordered_at=row.ordered_at,
            status=row.payment_status,
            processing_class=row.processing_class,
            content=Content(
                kind=row.kind,
                values={name: getattr(row, name) for name in ORDER_DEFAULTS},
                deliveries=deliveries[row.id],
                lines=lines[row.id],
            ),
            transaction=transactions.get(row.id),
            open_attempt=attempts.get(row.id),
            was_attempted=row.id in attempts,
            edited_at=row.edited_at,
        )
        for row in orders
    }


def _attempts(session: Session, ids: Sequence[int]) -> dict[int, OpenAttemptFacts | None]:
    """By order id, for those that have any, the attempt under way or None."""
    rows = session.execute(
        sa.select(
            Attempt.order_id, Attempt.operation, Attempt.uncertain_since, Attempt.is_open
        ).where(Attempt.order_id.in_(ids))
    )
    found: dict[int, OpenAttemptFacts | None] = {}
    for order_id, operation, uncertain_since, is_open in rows:
        found.setdefault(order_id, None)
        if is_open:
            found[order_id] = OpenAttemptFacts(operation, uncertain_since)
    return found


def _children(
    session: Session,
    model: type[Delivery] | type[OrderLine],
    names: Iterable[str],
    order_by: Any,
    ids: Sequence[int],
) -> dict[int, list[Values]]:
    columns = [getattr(model, name) for name in names]
    rows = session.execute(
        sa.select(model.order_id, *columns)
        .where(model.order_id.in_(ids))
        .order_by(model.order_id, order_by)
    )
    found: dict[int, list[Values]] = defaultdict(list)
    for order_id, *values in rows:
        found[order_id].append(dict(zip(names, values, strict=True)))
    return found


def _transactions(session: Session, ids: Sequence[int]) -> dict[int, StoredTransaction]:
    rows = session.execute(
        sa.select(
            CardTransaction.order_id,
            CardTransaction.id,
            CardTransaction.gateway_order_id,
            CardTransaction.gateway_amount,
            CardTransaction.gateway_state,
            CardTransaction.auth_expires_at,
            CardTransaction.next_look_at,
            CardTransaction.access_id,
            CardTransaction.is_linked.label("is_linked"),
            CardTransaction.is_mismatched.label("is_mismatched"),
            CardTransaction.is_charge,
            CardTransaction.others_live.label("others_live"),
            CardTransaction.looks,
            CardTransaction.look_problem,
        ).where(CardTransaction.order_id.in_(ids), CardTransaction.is_current)
    )
    return {
        row.order_id: StoredTransaction(
            id=row.id,
            gateway_order_id=row.gateway_order_id,
            gateway_amount=row.gateway_amount,
            gateway_state=row.gateway_state,
            auth_expires_at=row.auth_expires_at,
            next_look_at=row.next_look_at,
            is_linked=row.is_linked,
            is_charge=row.is_charge,
            others_live=row.others_live,
            is_mismatched=row.is_mismatched,
            access_id=row.access_id,
            looks=row.looks,
            look_problem=row.look_problem,
        )
        for row in rows
    }
