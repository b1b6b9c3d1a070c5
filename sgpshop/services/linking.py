"""Orders from a file meet their transactions: look the order number up and believe the answer.

SearchTrade returns AccessID, AccessPass, status and amount, so a shop's own order file and its
contract are all that is needed to start (R143, P3).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.payment_status import is_possible, next_status
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, GatewayRejected, TradeStatus
from sgpshop.models import CardTransaction, Order, utc_now
from sgpshop.services import history, settings
from sgpshop.services.attempts import Ran
from sgpshop.services.contract import current_gateway
from sgpshop.services.database import writing
from sgpshop.services.gateway_facts import describe, found_event, record_trade
from sgpshop.services.history import LOOK_UP
from sgpshop.services.opening import lock_order

#: While one thread looks, no other does.
_LOOKING = timedelta(seconds=60)
#: Refused unread for load (E92): asked again so soon, at the worker's slower pace.
_CONGESTED = timedelta(seconds=5)


@dataclass(frozen=True)
class _Claim:
    """A look-up that is ours, and how the order stood when it began (P17)."""

    gateway_order_id: str
    #: grows with every claim: whoever finds another one does not own the look-up any more
    looks: int
    version: int


def look_up(transaction_id: int) -> Ran:
    """Look one transaction up at SMBC-GP, if that is due, and let the order say what it says."""
    shop = settings.load()
    gateway = current_gateway(shop)
    claim = _claim(transaction_id)
    if claim is None:
        return Ran.NOT_OURS
    try:
        trade = gateway.search_trade(claim.gateway_order_id)
    except GatewayError as failure:
        if isinstance(failure, GatewayRejected) and failure.is_congestion:
            _plan(transaction_id, claim, "", pause=_CONGESTED)
            return Ran.CONGESTED
        _plan(transaction_id, claim, "unanswered")
        return Ran.POSTPONED
    _record(transaction_id, claim, trade, shop)
    return Ran.ENDED


def pending() -> int:
    """How many transactions wait for their first look-up (shown while a file is taken in)."""
    return db.session.execute(
        sa.select(sa.func.count())
        .select_from(CardTransaction)
        .where(CardTransaction.next_look_at.is_not(None), CardTransaction.looks == 0)
    ).scalar_one()


def _claim(transaction_id: int) -> _Claim | None:
    now = utc_now()
    with writing() as session:
        row = session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id == transaction_id, CardTransaction.next_look_at <= now)
            .values(next_look_at=now + _LOOKING, looks=CardTransaction.looks + 1)
            .returning(
                CardTransaction.gateway_order_id, CardTransaction.looks, CardTransaction.order_id
            )
        ).one_or_none()
        if row is None:
            return None
        version = session.execute(
            sa.select(Order.version).where(Order.id == row.order_id)
        ).scalar_one()
        return _Claim(row.gateway_order_id, row.looks, version)


def _plan(transaction_id: int, claim: _Claim, problem: str, pause: timedelta | None = None) -> None:
    with writing() as session:
        transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
        if transaction.looks == claim.looks:
            _plan_next(transaction, problem)
            if pause is not None:
                transaction.next_look_at = utc_now() + pause


def _plan_next(transaction: CardTransaction, problem: str) -> None:
    now = utc_now()
    first = transaction.first_look_at or now
    transaction.first_look_at = first
    transaction.look_problem = problem
    transaction.next_look_at = next_look(first, now, current_app.config["RESOLVE_SCHEDULE"])


def _record(
    transaction_id: int, claim: _Claim, trade: TradeStatus | None, shop: settings.ShopSettings
) -> None:
    with writing() as session:
        order_id = session.execute(
            sa.select(CardTransaction.order_id).where(CardTransaction.id == transaction_id)
        ).scalar_one()
        order = lock_order(session, order_id)
        transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
        if transaction.looks != claim.looks:
            return  # frozen so long that somebody else looked (P17)
        if order.version != claim.version:
            # What we saw is older than what happened since, perhaps a capture: look again.
            transaction.next_look_at = utc_now()
            return
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
            version=order.version,
            found=describe(trade),
        )
