"""An order that came in as another way of payment, and whose number SMBC-GP knows, is a card order after all.

A file says 決済方法 in words of its own, so a card order could be taken for something else; nothing of
it can be captured then.  SMBC-GP's own word mends it, nothing is sent.
"""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop.domain.errors import CouldNotAsk, NotPossible
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError
from sgpshop.models import SGP_METHOD, CardTransaction, utc_now
from sgpshop.services.orders import acting, history
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.reading import get_order
from sgpshop.services.payments import notifications, transaction_lookup, unknown_numbers
from sgpshop.services.payments.gateway_access import current_gateway
from sgpshop.storage.database import writing


def make(order_no: str, actor: Actor) -> None:
    """Let the order be one of SGP card, 要確認 until the look-up that follows at once has decided (P3).

    Raises NotFound; NotPossible when it is one already, SMBC-GP does not know its number or another
    order has it there; CouldNotAsk.
    """
    order = get_order(order_no)
    order_id, number, method = order.id, at_gateway(order_no), order.method
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    try:
        trade = current_gateway().search_trade(number)
    except GatewayError:
        raise CouldNotAsk(
            "SMBC-GPに確認できませんでした。何も変更していません。少し待ってから、もう一度お試しください。"
        ) from None
    if trade is None:
        raise NotPossible(
            f"SMBC-GPにオーダーID「{number}」の取引がないため、SGPカード決済の注文にはできません。"
        )
    with writing() as session:
        unknown_numbers.give_way(session, [order_no])
        order = acting.lock_order(session, order_id)
        is_used = sa.exists().where(CardTransaction.gateway_order_id == number)
        if order.is_sgp or session.scalar(sa.select(is_used)):
            raise NotPossible(
                "この注文、または同じオーダーIDの別の注文が、すでにSGPカード決済です。"
            )
        order.method, order.payment_status = SGP_METHOD, PaymentStatus.NEEDS_REVIEW
        transaction = CardTransaction(
            order_id=order_id, gateway_order_id=number, next_look_at=utc_now()
        )
        session.add(transaction)
        session.flush()
        transaction_id = transaction.id
        unknown_numbers.settle(session, [order_no])
        notifications.come_in(session, [order_no])
        history.record_change(order, "became_card_order", actor, before=None, method=method)
    transaction_lookup.look_up(transaction_id)
