"""Whether this shop has to do with subscriptions: it takes new ones, or some are not through (R26, R87)."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Billing, BillingState, Order
from sgpshop.services.settings import ShopSettings
from sgpshop.services.subscriptions.stages import NEEDS_REFUND
from sgpshop.storage.questions import Question, answer, once

#: Waits to be registered, or for the result of it, or for a refund.
_IS_UNDER_WAY = sa.or_(
    sa.exists().where(Order.payment_status == PaymentStatus.AWAITING_BILLING),
    sa.exists().where(Billing.state.in_((BillingState.PLANNED, BillingState.REGISTERED))),
    sa.exists().where(NEEDS_REFUND),
)

_QUESTION = Question(sa.select(_IS_UNDER_WAY), lambda row: bool(row[0]))
_NAME = "subscriptions in use"


def in_use(shop: ShopSettings) -> bool:
    """Whether 定期購入 is shown.  利用しない refuses new orders; those that are here go on to their end."""
    return shop.subscription_enabled or once(_NAME, lambda: answer(_QUESTION))


def in_use_question() -> Question[bool]:
    """Whether some are not through; where it was asked with others, `in_use` asks no more."""
    return replace(_QUESTION, read=lambda row: once(_NAME, lambda: bool(row[0])))
