"""Orders from a file meet their transactions: look the order number up and believe the answer.

SearchTrade returns AccessID, AccessPass, status and amount, so a shop's own order file and its
contract are all that is needed to start (R143, P3).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.payment_status import Event, PaymentStatus
from sgpshop.domain.reconciliation import decide
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, GatewayRejected, SmbcGpGateway, TradeStatus
from sgpshop.models import CardTransaction, Order, OrderKind, utc_now
from sgpshop.services import alerts, billing_marks, charges, history, settings, subscription_rounds
from sgpshop.services.attempts import Ran
from sgpshop.services.contract import current_gateway
from sgpshop.services.database import chunks, writing
from sgpshop.services.gateway_facts import describe, found_event, record_trade
from sgpshop.services.history import LOOK_UP
from sgpshop.services.opening import lock_order

#: Here the buyer may have paid again by another way than ours.
_MAY_BE_PAID_AGAIN = (PaymentStatus.NEEDS_REVIEW, PaymentStatus.CAPTURE_FAILED)
#: While one thread looks, no other does.
_LOOKING = timedelta(seconds=60)
#: Refused unread for load (E92): asked again so soon, at the worker's slower pace.
_CONGESTED = timedelta(seconds=5)


@dataclass(frozen=True)
class _Claim:
    """A look-up that is ours, and how the order stood when it began (P17)."""

    gateway_order_id: str
    order_no: str
    sequence: int
    payment_status: PaymentStatus | None
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
        later = _later_payment(gateway, claim, trade)
    except GatewayError as failure:
        if isinstance(failure, GatewayRejected) and failure.is_congestion:
            _plan(transaction_id, claim, "", pause=_CONGESTED)
            return Ran.CONGESTED
        _plan(transaction_id, claim, "unanswered")
        return Ran.POSTPONED
    _record(transaction_id, claim, trade, later, shop)
    return Ran.ENDED


#: A number and what a look-up of it showed.
_Later = tuple[int, TradeStatus]
_MOST_NUMBERS = 99  # R141


def _later_payment(
    gateway: SmbcGpGateway, claim: _Claim, trade: TradeStatus | None
) -> _Later | None:
    """The latest payment under `<order number>-n` that we do not know yet (R106).

    Asked only where one may be: nothing was paid under the stored number, or it did not succeed.
    """
    is_unpaid = trade is None or trade.state.is_unfinished or trade.state.is_check
    if not is_unpaid and claim.payment_status not in _MAY_BE_PAID_AGAIN:
        return None
    latest = None
    for number in range(claim.sequence + 1, _MOST_NUMBERS + 1):
        found = gateway.search_trade(f"{claim.order_no}-{number}")
        if found is None:
            break
        latest = number, found
    return latest


def look_soon(transaction_id: int) -> None:
    """Somebody asks for 照合: the look-up is due now, unless one is under way (R120)."""
    with writing() as session:
        make_due(session, CardTransaction.id == transaction_id)


def look_soon_at_orders(order_ids: Sequence[int]) -> int:
    """The same for many orders: due now, done at the worker's own pace; how many there are (R51)."""
    planned = 0
    for chunk in chunks(order_ids):
        with writing() as session:  # each on its own: nobody waits long, nobody in a circle
            are_meant = sa.and_(CardTransaction.order_id.in_(chunk), CardTransaction.is_current)
            make_due(session, are_meant)
            planned += session.execute(
                sa.select(sa.func.count()).select_from(CardTransaction).where(are_meant)
            ).scalar_one()
    return planned


def looks_since(order_ids: Collection[int], since: datetime) -> tuple[set[int], set[int]]:
    """Of these orders, those whose look-up is still to come, and those looked up since then."""
    rows = db.session.execute(
        sa.select(
            CardTransaction.order_id, CardTransaction.next_look_at, CardTransaction.looked_up_at
        ).where(CardTransaction.order_id.in_(order_ids), CardTransaction.is_current)
    ).all()
    soon = utc_now() + _LOOKING
    looked_up = {row.order_id for row in rows if row.looked_up_at and row.looked_up_at >= since}
    waiting = {row.order_id for row in rows if row.next_look_at and row.next_look_at <= soon}
    return waiting - looked_up, looked_up


def make_due(session: Session, are_meant: sa.ColumnElement[bool]) -> int:
    """In a write transaction: these look-ups are due now, but not those due soon or under way.

    How many it made due.
    """
    now = utc_now()
    result = session.execute(
        sa.update(CardTransaction)
        .where(
            are_meant,
            sa.or_(
                CardTransaction.next_look_at.is_(None),
                CardTransaction.next_look_at > now + _LOOKING,
            ),
        )
        .values(next_look_at=now, first_look_at=None)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def is_due(session: Session, transaction_id: int) -> bool:
    """Whether the look-up of this transaction is due and nobody has begun it."""
    return bool(
        session.scalar(
            sa.select(CardTransaction.next_look_at <= utc_now()).where(
                CardTransaction.id == transaction_id
            )
        )
    )


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
                CardTransaction.gateway_order_id,
                CardTransaction.sequence,
                CardTransaction.looks,
                CardTransaction.order_id,
            )
        ).one_or_none()
        if row is None:
            return None
        order = session.execute(
            sa.select(Order.order_no, Order.payment_status, Order.version).where(
                Order.id == row.order_id
            )
        ).one()
        return _Claim(
            row.gateway_order_id,
            order.order_no,
            row.sequence,
            order.payment_status,
            row.looks,
            order.version,
        )


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
    transaction_id: int,
    claim: _Claim,
    trade: TradeStatus | None,
    later: _Later | None,
    shop: settings.ShopSettings,
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
        if later is not None:
            if trade is not None:
                record_trade(transaction, trade, shop)
            number, trade = later
            # What comes after a card check charges that card, or one the buyer gave instead.
            is_charge = order.kind is not OrderKind.NORMAL
            began = transaction.first_look_at
            transaction = charges.make_current(order, number, is_charge=is_charge)
            transaction.first_look_at = began
        before = order.payment_status
        known, seen = transaction.access_id, _seen(transaction)
        is_first = transaction.gateway_state is None
        if trade is None:
            _plan_next(transaction, "not_found")
        elif known and known != trade.access.access_id:
            _plan_next(transaction, "mismatch")
            return
        else:
            record_trade(transaction, trade, shop)
            transaction.next_look_at = None
            if order.kind is OrderKind.SUBSCRIPTION:
                billing_marks.found(session, transaction.gateway_order_id, trade, utc_now())
        event = found_event(order, trade)
        if event is Event.FOUND_SUBSCRIPTION_CHECK and charges.is_repayment(transaction):
            event = Event.REPAY_REJECTED  # not paid again: failed as before, not to be billed anew
        decision = decide(
            before,
            event,
            total=order.total,
            found_total=trade.total if trade else 0,
            is_first=is_first,
        )
        if before is None or decision is None:
            if trade is not None and event is None:
                _plan_next(transaction, "unknown_state")
            if _seen(transaction)[1] != seen[1]:  # the status stays, the amount is told (P5)
                _tell(order, "linked", before, trade)
            return
        if before is PaymentStatus.CANCELLED is not decision.after:
            subscription_rounds.share_if_taken(session, order)
        order.payment_status = decision.after
        if trade is not None and trade.state.is_unfinished:
            _plan_next(transaction, "")  # the buyer may still finish
        is_same = decision.after is before and _seen(transaction) == seen
        if is_same and transaction.looks > 1:
            return  # nothing new to tell
        if trade is None or trade.state.is_unfinished:
            sentence = "look_up_unfinished"
        elif is_same or is_first:
            sentence = "linked"
        else:
            sentence = "look_up_differs"
        session.flush()
        if not is_same:
            alerts.raise_for(
                session, order.id, before, decision, found=describe(trade), total=order.total
            )
        _tell(order, sentence, before, trade)


def _tell(
    order: Order, sentence: str, before: PaymentStatus | None, trade: TradeStatus | None
) -> None:
    """A new version of the locked order, and what made it one."""
    order.version += 1
    order.updated_at = utc_now()
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


def _seen(transaction: CardTransaction) -> tuple[str | None, int | None]:
    """What the last look-up or answer showed: state and yen."""
    return transaction.gateway_state, transaction.gateway_amount
