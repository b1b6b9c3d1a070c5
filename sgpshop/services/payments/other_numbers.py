"""The other numbers of an order, asked before it is charged or cancelled: nobody pays it twice (P1).

Whoever knows an order's number can have it paid past us, the shop front on a card it keeps for one;
and books put back from a backup do not know what was charged since (P36).  What holds no money is
kept with its transaction, the card check of an order from a file among it (R143).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from sgpshop.domain.order_rules import LIVE_STATES
from sgpshop.extensions import db
from sgpshop.gateway import SmbcGpGateway, TradeStatus
from sgpshop.models import CHECKOUTS, CardTransaction, Operation, Order, OrderKind
from sgpshop.services import settings
from sgpshop.services.orders import acting
from sgpshop.services.payments import filed_numbers, transaction_numbers
from sgpshop.services.payments.filed_numbers import Whose
from sgpshop.services.payments.outcomes import Outcome, found, not_usable, rejected
from sgpshop.services.payments.transaction_lookup import MAY_HOLD_MONEY, numbers_after
from sgpshop.services.payments.transactions import found_event, record_trade
from sgpshop.storage.database import writing


@dataclass(frozen=True)
class _Sold:
    """What decides how money under a number is to be read (transactions.Sold)."""

    kind: OrderKind
    is_charge: bool


def paid_there(
    gateway: SmbcGpGateway, operation: Operation, order_id: int, own: str
) -> Outcome | None:
    """How `operation`, wanted under the number `own`, ends because the order is paid under another.

    None: nothing is reserved or taken under any, nor will be by a file.  Raises GatewayError.
    """
    order = db.session.execute(
        sa.select(Order.order_no, Order.kind).where(Order.id == order_id)
    ).one()
    rows = db.session.execute(
        sa.select(
            CardTransaction.id,
            CardTransaction.gateway_order_id,
            CardTransaction.access_id,
            CardTransaction.gateway_state,
            CardTransaction.sequence,
            CardTransaction.is_charge,
            MAY_HOLD_MONEY.label("may_hold_money"),
        )
        .where(CardTransaction.order_id == order_id)
        .order_by(CardTransaction.sequence)
    ).all()
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    for row in rows:
        if row.gateway_order_id == own or not row.may_hold_money:
            continue
        trade = gateway.search_trade(row.gateway_order_id)
        is_other = trade is not None and row.access_id not in (None, trade.access.access_id)
        is_live = row.gateway_state in LIVE_STATES if trade is None else trade.state.is_live
        if is_live and (trade is None or is_other):
            return not_usable(operation, trade, "other_transaction")
        if trade is None or is_other:
            continue
        if is_live:
            return _ended(trade, _Sold(order.kind, row.is_charge or row.sequence > 0))
        if filed_numbers.whose(order.kind, trade) is Whose.UNKNOWN_FILE:
            return _filed(operation)
        if trade.raw_status != row.gateway_state:
            _keep(order_id, row.id, trade)
    if len(rows) == 1 and operation in CHECKOUTS:  # a buyer's first: nothing of ours came before it
        return None
    others = transaction_numbers.of_other_orders(db.session(), order_id, order.order_no)
    db.session.commit()
    last = rows[-1].sequence
    for _, trade in numbers_after(order.order_no, last, gateway.search_trade, others):
        if trade.state.is_live:
            return _ended(trade, _Sold(order.kind, order.kind is not OrderKind.NORMAL))
        if filed_numbers.whose(order.kind, trade) is Whose.UNKNOWN_FILE:
            return _filed(operation)
    return None


def _filed(operation: Operation) -> Outcome:
    """It will be charged by itself: nobody charges it besides, and it is no order to be cancelled."""
    is_cancel = operation is Operation.CANCEL
    return rejected(operation, "in_file" if is_cancel else filed_numbers.MAY_BE_FILED)


def _ended(trade: TradeStatus, sold: _Sold) -> Outcome:
    event = found_event(sold, trade)
    assert event is not None  # money is reserved or taken there
    return replace(found(trade, event), reason="others_live")


def _keep(order_id: int, transaction_id: int, trade: TradeStatus) -> None:
    with writing() as session:
        acting.lock_order(session, order_id)
        transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
        if transaction.access_id in (None, trade.access.access_id):
            record_trade(transaction, trade, settings.load())
