"""What 注文キャンセル will do to the money, said before it is done (R99, R103)."""

from __future__ import annotations

from enum import Enum, auto

from sgpshop.domain.order_rules import HELD_STATES, LIVE_STATES, OrderFacts, reserves_nothing
from sgpshop.domain.payment_status import PaymentStatus


class MoneyEffect(Enum):
    """What a cancel does to the money, as the confirmation has to say (R99, R103)."""

    RELEASE = auto()
    REFUND = auto()
    NOTHING_HELD = auto()
    #: only the look-up will tell: nothing, a release or a refund (R97)
    AS_FOUND = auto()
    #: 決済待ち: what SMBC-GP turns out to have registered or charged stays
    IF_NOT_BILLED = auto()

    @property
    def may_refund(self) -> bool:
        """Whether money that was taken may go back: that is confirmed twice (S21)."""
        return self in (MoneyEffect.REFUND, MoneyEffect.AS_FOUND)


def money_effect(order: OrderFacts) -> MoneyEffect:
    """What 注文キャンセル would do to this order's money."""
    status = order.payment_status
    transaction = order.transaction
    state = transaction.gateway_state if transaction else None
    is_charge = transaction is not None and transaction.is_charge
    is_unbilled = status is PaymentStatus.AWAITING_BILLING
    if is_unbilled and (state not in LIVE_STATES or is_charge):
        return MoneyEffect.IF_NOT_BILLED
    if status is PaymentStatus.CAPTURED or (is_unbilled and state not in HELD_STATES):
        return MoneyEffect.REFUND
    if status is PaymentStatus.NEEDS_REVIEW:
        return MoneyEffect.AS_FOUND
    return MoneyEffect.NOTHING_HELD if reserves_nothing(order) else MoneyEffect.RELEASE
