"""注文キャンセル as a person asks for it: what it will do to the money, and what is needed first.

The payment part runs as an attempt (operations/cancel.py); only an order that was never charged
and never reported is cancelled without asking SMBC-GP (R103).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import object_session

from sgpshop.domain.errors import OrderChanged, ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import HELD_STATES, LIVE_STATES, reserves_nothing
from sgpshop.domain.payment_status import Event, PaymentStatus, next_status
from sgpshop.extensions import db
from sgpshop.models import IN_FILE, Billing, Operation, Order
from sgpshop.services.orders import acting, history
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import effects, filed_numbers
from sgpshop.services.payments.acts import OperationRequest
from sgpshop.storage.database import writing


class MoneyEffect(Enum):
    """What a cancel does to the money, as the confirmation has to say (R99, R103)."""

    RELEASE = auto()
    REFUND = auto()
    NOTHING_HELD = auto()
    #: only the look-up will tell: nothing, a release or a refund (R97)
    AS_FOUND = auto()
    NOT_BILLED = auto()
    #: its registration was begun before: SMBC-GP is asked first, what was charged stays
    IF_NOT_BILLED = auto()

    @property
    def may_refund(self) -> bool:
        """Whether money that was taken may go back: that is confirmed twice (S21)."""
        return self in (MoneyEffect.REFUND, MoneyEffect.AS_FOUND)


def money_effect(order: Order) -> MoneyEffect:
    """What 注文キャンセル would do to this order's money."""
    status = order.payment_status
    transaction = order.transaction
    state = transaction.gateway_state if transaction else None
    is_unbilled = status is PaymentStatus.AWAITING_BILLING
    if is_unbilled and (state not in LIVE_STATES or order.is_charge):
        return MoneyEffect.IF_NOT_BILLED if _was_registered(order) else MoneyEffect.NOT_BILLED
    if status is PaymentStatus.CAPTURED or (is_unbilled and state not in HELD_STATES):
        return MoneyEffect.REFUND
    if status is PaymentStatus.NEEDS_REVIEW:
        return MoneyEffect.AS_FOUND
    return MoneyEffect.NOTHING_HELD if reserves_nothing(order) else MoneyEffect.RELEASE


def _was_registered(order: Order) -> bool:
    """Whether a registration of this order was ever begun: a line of a file may be there (R105)."""
    return bool(db.session.scalar(sa.select(sa.exists().where(Billing.order_id == order.id))))


def _is_in_file(order: Order) -> bool:
    """Whether a monthly file, the latest or one before, may still charge it (R105)."""
    transaction = order.transaction
    if transaction is None:
        return False
    session = object_session(order)
    assert session is not None
    number = transaction.gateway_order_id
    return filed_numbers.is_waiting(session, number)


def operation_request(
    order_no: str, *, restock: bool, return_points: bool, refund_confirmed: bool
) -> OperationRequest | None:
    """The operation to ask for; None when there is nothing to ask SMBC-GP (`cancel_unbilled`).

    Raises NotFound, and ShopError when a refund was not confirmed a second time (S21).
    """
    order = get_order(order_no)
    effect = money_effect(order)
    if effect is MoneyEffect.NOT_BILLED:
        return None
    if effect.may_refund and not refund_confirmed:
        raise ShopError(
            "返金になる(または返金になる可能性がある)ため、確認欄にチェックを入れてください。"
        )
    chosen = [
        words for is_on, words in ((restock, "在庫戻し"), (return_points, "ポイント返還")) if is_on
    ]
    details: dict[str, Any] = {"choices": chosen} if chosen else {}
    if effect is MoneyEffect.IF_NOT_BILLED and _is_in_file(order):
        details[IN_FILE] = True
    return OperationRequest(Operation.CANCEL, choices=details)


def cancel_unbilled(order_no: str, seen: Seen, actor: Actor) -> None:
    """Cancel a 決済待ち order: it leaves the billing, nobody is asked (R103, T21).

    Raises NotFound, NotPossible, OrderChanged (P20); the same form again changes nothing (P19).
    """
    order_id = acting.id_of(order_no)
    with writing() as session:
        order = acting.lock_for_act(session, order_id, Act.CANCEL, seen)
        if order is None:
            return
        before = order.payment_status
        # Read again under the lock: a registration may have begun since the page was shown.
        if money_effect(order) is not MoneyEffect.NOT_BILLED:
            raise OrderChanged
        assert before is not None
        order.payment_status = next_status(before, Event.CANCEL_DONE)
        effects.cancel_parcels(order)
        effects.alert_what_is_left(session, order.id, before, order.total)
        history.record_change(
            order,
            "cancelled_unbilled",
            actor,
            before=before,
            request_token=seen.token,
            request_act=seen.act,
        )
