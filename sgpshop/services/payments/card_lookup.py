"""The card of an order that came by file: asked for until SMBC-GP shows it (R143).

An order may come in before its card check is at SMBC-GP, or while SMBC-GP was away.  Nothing is
decided here: a look-up that shows the check makes the card known, and that is all.
"""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.gateway import SmbcGpGateway, TradeState
from sgpshop.models import CardTransaction, Order
from sgpshop.services import settings
from sgpshop.services.orders import acting
from sgpshop.services.payments.transactions import record_trade
from sgpshop.storage.database import writing

#: A transaction of the order shows the card that is to pay.
IS_CARD_KNOWN = (
    sa.exists()
    .where(
        CardTransaction.order_id == Order.id,
        sa.or_(
            CardTransaction.card_seq.is_not(None),
            CardTransaction.member_id != "",
            CardTransaction.gateway_state == TradeState.CHECK.value,
        ),
    )
    .correlate(Order)
)


def ask_for(gateway: SmbcGpGateway, order_id: int) -> None:
    """Look the order's card check up, unless its card is known.  Raises GatewayError."""
    numbers = db.session.execute(
        sa.select(CardTransaction.id, CardTransaction.gateway_order_id)
        .join(Order, Order.id == CardTransaction.order_id)
        .where(Order.id == order_id, ~IS_CARD_KNOWN, ~CardTransaction.is_charge)
        .order_by(CardTransaction.sequence)
    ).all()
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    for transaction_id, gateway_order_id in numbers:
        trade = gateway.search_trade(gateway_order_id)
        if trade is None or not (trade.state.is_check or trade.member_id):
            continue
        with writing() as session:
            acting.lock_order(session, order_id)
            transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
            if transaction.access_id in (None, trade.access.access_id):
                record_trade(transaction, trade, settings.load())
