"""Which subscription orders are to be registered: asked by the registration and by the screen alike.

What the screen predicts and what is registered come from one condition, so they cannot differ.
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from sgpshop.domain.billing_calendar import end_of
from sgpshop.domain.order_rules import LIVE_STATES
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models import Alert, Attempt, CardTransaction, Delivery, Order, OrderKind
from sgpshop.services.order_search.criteria import IS_THROUGH

#: When everything of an order had left; parcels from before that was noted count as long gone.  What
#: came back without having been 配送完了 counts from when a person decided about it.
DELIVERED_AT = sa.func.coalesce(
    sa.select(sa.func.max(Delivery.delivered_at))
    .where(Delivery.order_id == Order.id)
    .correlate(Order)
    .scalar_subquery(),
    Order.cancel_waived_at,
    Order.updated_at,
)

#: 決済待ち and through: billable in the month of DELIVERED_AT (R101).
IS_BILLABLE = sa.and_(
    Order.payment_status == PaymentStatus.AWAITING_BILLING,
    Order.kind == OrderKind.SUBSCRIPTION,
    IS_THROUGH,
)

#: Nothing is under way with it.
IS_FREE = ~sa.exists().where(Attempt.order_id == Order.id, Attempt.is_open)


#: Only a person can say whether it is to be charged: another order is for the same round, or the
#: shop front cancelled it.
IS_QUESTIONED = (
    sa.exists()
    .where(
        Alert.order_id == Order.id,
        Alert.kind.in_((AlertKind.DUPLICATE_ROUND, AlertKind.CANCELLED_IN_FILE)),
        Alert.acknowledged_at.is_(None),
    )
    .correlate(Order)
)


#: Money of the order is reserved or taken already: it is never charged beside that (P1).
HAS_LIVE_MONEY = (
    sa.exists()
    .where(
        CardTransaction.order_id == Order.id,
        CardTransaction.gateway_state.in_(sorted(LIVE_STATES)),
    )
    .correlate(Order)
)


def is_of(month: date) -> sa.ColumnElement[bool]:
    """Billable, and it left in `month` or before: questions and live money only hold it up."""
    return sa.and_(IS_BILLABLE, end_of(month) > DELIVERED_AT)


def to_register(month: date) -> sa.ColumnElement[bool]:
    """What a registration of `month` takes: all that left in it or before, not yet reported (R102)."""
    return sa.and_(is_of(month), ~IS_QUESTIONED, ~HAS_LIVE_MONEY)
