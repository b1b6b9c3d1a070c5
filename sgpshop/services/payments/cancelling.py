"""注文キャンセル as a person asks for it: what it will do to the money, and what is needed first.

It runs as an attempt (operations/cancel.py), which asks SMBC-GP first: also for an order that waits
for its billing, because a file that our books have lost may have a line of it (R103, P36).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import object_session

from sgpshop.domain.errors import ShopError
from sgpshop.domain.money_effect import MoneyEffect, money_effect
from sgpshop.models import IN_FILE, Operation, Order
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import filed_numbers
from sgpshop.services.payments.acts import OperationRequest


def _is_in_file(order: Order) -> bool:
    """Whether a monthly file, the latest or one before, may still charge its present number (R105)."""
    transaction = order.transaction
    session = object_session(order)
    assert session is not None
    waiting = filed_numbers.waiting_of(session, order.id)
    return transaction is not None and transaction.gateway_order_id in waiting


def operation_request(
    order_no: str, *, restock: bool, return_points: bool, refund_confirmed: bool
) -> OperationRequest:
    """The operation to ask for.

    Raises NotFound, and ShopError when a refund was not confirmed a second time (S21).
    """
    order = get_order(order_no)
    effect = money_effect(order)
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
