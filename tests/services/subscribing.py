"""Subscription orders at every stage of billing, and a clock that can be set."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sgpshop.domain.billing_calendar import month_of
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import (
    Attempt,
    AttemptState,
    Billing,
    BillingState,
    Delivery,
    Operation,
    Order,
    OrderKind,
)
from sgpshop.storage.database import writing
from tests.factories import make_order

Travel = Callable[[datetime], None]
S = PaymentStatus
_rounds = itertools.count(1)


def jst(*parts: int) -> datetime:
    """A moment on a Japanese clock."""
    return datetime(*parts, tzinfo=JST)  # type: ignore[misc]


def make_subscription(
    *,
    delivered_at: datetime | None = None,
    slip_no: str = "",
    state: BillingState | None = None,
    codes: str = "",
    result: str = "",
    subscription_id: str = "T-1",
    **more: Any,
) -> Order:
    """A subscription order; `delivered_at`: 配送完了 since; `state`: how its registration ended."""
    more = {
        "status": S.AWAITING_BILLING,
        "subscription_round": next(_rounds),
        "processing_class": (
            ProcessingClass.DELIVERED if delivered_at else ProcessingClass.UNPROCESSED
        ),
    } | more
    order = make_order(kind=OrderKind.SUBSCRIPTION, subscription_id=subscription_id, **more)
    with writing() as session:
        parcel = session.query(Delivery).filter_by(order_id=order.id).one()
        parcel.slip_no = slip_no
        if delivered_at:
            parcel.status, parcel.delivered_at = DeliveryStatus.DELIVERED, delivered_at
        if state:
            _register(session, order, delivered_at or order.ordered_at, state, codes, result)
    return order


def _register(
    session: Any, order: Order, left_at: datetime, state: BillingState, codes: str, result: str
) -> None:
    is_refused = state is BillingState.REFUSED
    attempt = Attempt(
        order_id=order.id,
        transaction_id=order.transaction.id if order.transaction else None,
        operation=Operation.BILL,
        state=AttemptState.REJECTED if is_refused else AttemptState.DONE,
        amount=order.total,
        gateway_order_id=f"{order.order_no}-1",
        actor_kind="worker",
        actor="自動処理",
        error_codes=codes if is_refused else "",
        status_before=S.AWAITING_BILLING,
        finished_at=left_at + timedelta(days=20),
    )
    session.add(attempt)
    session.flush()
    session.add(
        Billing(
            order_id=order.id,
            month=month_of(left_at),
            gateway_order_id=f"{order.order_no}-1",
            amount=order.total,
            state=state,
            attempt_id=attempt.id,
            by_file=True,
            registered_at=None if is_refused else left_at + timedelta(days=20),
            result_at=(
                left_at + timedelta(days=28)
                if state in (BillingState.PAID, BillingState.NOT_PAID)
                else None
            ),
            result=result,
            error_codes=codes,
        )
    )
