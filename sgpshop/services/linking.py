"""Orders from a file meet their transactions: look the order number up and believe the answer.

SearchTrade returns AccessID, AccessPass, status and amount, so a shop's own order file and its
contract are all that is needed to start (R143, P3).
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.payment_status import is_possible, next_status
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, TradeStatus
from sgpshop.models import CardTransaction, utc_now
from sgpshop.services import history, settings
from sgpshop.services.attempts import lock_order
from sgpshop.services.contract import current_gateway
from sgpshop.services.database import writing
from sgpshop.services.gateway_facts import describe, found_event, record_trade
from sgpshop.services.history import LOOK_UP

#: While one thread looks, no other does.
_LOOKING = timedelta(seconds=60)


def look_up(transaction_id: int) -> None:
    """Look one transaction up at SMBC-GP, if that is due, and let the order say what it says."""
    shop = settings.load()
    gateway = current_gateway(shop)
    gateway_order_id = _claim(transaction_id)
    if gateway_order_id is None:
        return
    try:
        trade = gateway.search_trade(gateway_order_id)
    except GatewayError:
        _plan(transaction_id, "unanswered")
        return
    _record(transaction_id, trade, shop)


def pending() -> int:
    """How many transactions wait for their first look-up (shown while a file is taken in)."""
    return db.session.execute(
        sa.select(sa.func.count())
        .select_from(CardTransaction)
        .where(CardTransaction.next_look_at.is_not(None), CardTransaction.looks == 0)
    ).scalar_one()


def _claim(transaction_id: int) -> str | None:
    now = utc_now()
    with writing() as session:
        return session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id == transaction_id, CardTransaction.next_look_at <= now)
            .values(next_look_at=now + _LOOKING, looks=CardTransaction.looks + 1)
            .returning(CardTransaction.gateway_order_id)
        ).scalar_one_or_none()


def _plan(transaction_id: int, problem: str) -> None:
    with writing() as session:
        transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
        _plan_next(transaction, problem)


def _plan_next(transaction: CardTransaction, problem: str) -> None:
    now = utc_now()
    first = transaction.first_look_at or now
    transaction.first_look_at = first
    transaction.look_problem = problem
    transaction.next_look_at = next_look(first, now, current_app.config["RESOLVE_SCHEDULE"])


def _record(transaction_id: int, trade: TradeStatus | None, shop: settings.ShopSettings) -> None:
    with writing() as session:
        order_id = session.execute(
            sa.select(CardTransaction.order_id).where(CardTransaction.id == transaction_id)
        ).scalar_one()
        order = lock_order(session, order_id)
        transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
        if order.open_attempt is not None:
            _plan_next(transaction, transaction.look_problem)  # that operation's look-ups decide
            return
        before = order.payment_status
        known = transaction.access_id
        if trade is None:
            _plan_next(transaction, "not_found")
        elif known and known != trade.access.access_id:
            _plan_next(transaction, "mismatch")
            return
        else:
            record_trade(transaction, trade, shop)
            transaction.next_look_at = None
        event = found_event(order, trade)
        if before is None or event is None or not is_possible(before, event):
            if trade is not None and event is None:
                _plan_next(transaction, "unknown_state")
            return
        order.payment_status = next_status(before, event)
        if trade is not None and trade.state.is_unfinished:
            _plan_next(transaction, "")  # the buyer may still finish
        if order.payment_status is before and transaction.looks > 1:
            return  # nothing new to tell
        order.version += 1
        order.updated_at = utc_now()
        if trade is None or trade.state.is_unfinished:
            sentence = "look_up_unfinished"
        elif order.payment_status is before or transaction.looks == 1:
            sentence = "linked"
        else:
            sentence = "look_up_differs"
        session.flush()
        history.record(
            order.id,
            sentence,
            LOOK_UP,
            before=before,
            after=order.payment_status,
            total=order.total,
            found=describe(trade),
        )
