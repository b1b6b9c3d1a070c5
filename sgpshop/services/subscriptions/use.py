"""Whether this shop has to do with subscriptions: it takes new ones, or some are not through (R26, R87)."""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Billing, BillingState, Order
from sgpshop.services.settings import ShopSettings
from sgpshop.services.subscriptions.stages import NEEDS_REFUND

#: Waits to be registered, or for the result of it, or for a refund.
_IS_UNDER_WAY = sa.or_(
    sa.exists().where(Order.payment_status == PaymentStatus.AWAITING_BILLING),
    sa.exists().where(Billing.state.in_((BillingState.PLANNED, BillingState.REGISTERED))),
    sa.exists().where(NEEDS_REFUND),
)


def in_use(shop: ShopSettings) -> bool:
    """Whether 定期購入 is shown.  利用しない refuses new orders; those that are here go on to their end."""
    return shop.subscription_enabled or bool(db.session.scalar(sa.select(_IS_UNDER_WAY)))
