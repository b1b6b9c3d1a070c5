"""What a look-up showed, written into our transaction, and what it means for the order (R120)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from sgpshop.domain.payment_status import Event
from sgpshop.gateway import TradeState, TradeStatus
from sgpshop.models import CardTransaction, OrderKind, utc_now
from sgpshop.services.orders import money_movements
from sgpshop.services.payments.card_notes import NOT_KEPT
from sgpshop.services.settings import ShopSettings
from sgpshop.storage import shared_clock, vault


class ChargeFacts(Protocol):
    """What decides how a card check, and a charge after it, are to be read."""

    @property
    def kind(self) -> OrderKind: ...
    @property
    def is_charge(self) -> bool: ...


def look_now(transaction: CardTransaction) -> None:
    """Its look-up is due now, at the beginning of its schedule (P13)."""
    transaction.next_look_at, transaction.first_look_at = shared_clock.now(), None


def record_trade(transaction: CardTransaction, trade: TradeStatus, shop: ShopSettings) -> None:
    """Make `transaction` say what the gateway says now (P18).  Amounts include Tax.

    What it took or gave back since the last time is booked on the day it was processed (R146).
    """
    before = _kept(transaction)
    transaction.gateway_state = trade.raw_status[:20]
    transaction.access_id = trade.access.access_id
    transaction.access_pass_sealed = vault.seal_access_pass(
        trade.access.access_pass, transaction.gateway_order_id
    )
    transaction.tran_id = trade.tran_id[:28] or transaction.tran_id
    transaction.card_last4 = trade.card_last4
    transaction.pay_method = trade.method[:1]
    transaction.pay_times = trade.pay_times
    if trade.member_id and not transaction.member_id:
        transaction.member_id = trade.member_id[:60]
    transaction.looked_up_at = utc_now()
    if not (transaction.look_problem == NOT_KEPT and trade.state.is_check):  # told until it is kept
        transaction.look_problem = ""
    if trade.state.is_authorized or trade.state.is_captured:
        transaction.gateway_amount = trade.total
    if trade.state.is_authorized:
        transaction.authorized_at = trade.processed_at
        transaction.auth_expires_at = trade.processed_at + timedelta(days=shop.auth_valid_days)
        transaction.captured_at = None
        transaction.captured_amount = None
    if trade.state.is_captured:
        transaction.captured_at = trade.processed_at
        transaction.captured_amount = trade.total
    transaction.cancelled_at = trade.processed_at if trade.state.is_cancelled else None
    _book(transaction, before, trade.processed_at)


def record_answer(
    transaction: CardTransaction,
    state: TradeState,
    amount: int,
    *,
    tran_id: str,
    at: datetime,
    valid_days: int,
) -> None:
    """Make `transaction` say what SMBC-GP answered that it did: `state` with `amount` yen, at `at`."""
    before = _kept(transaction)
    transaction.gateway_state = state.value
    transaction.tran_id = tran_id[:28]
    transaction.challenge_url = ""
    if state.is_authorized or state.is_captured:
        transaction.gateway_amount = amount
    if state.is_authorized:
        transaction.authorized_at = at
        transaction.auth_expires_at = at + timedelta(days=valid_days)
    if state.is_captured:
        transaction.captured_at = at
        transaction.captured_amount = amount
    transaction.cancelled_at = at if state.is_cancelled else None
    _book(transaction, before, at)


def _kept(transaction: CardTransaction) -> int:
    return money_movements.kept(transaction.gateway_state, transaction.captured_amount)


def _book(transaction: CardTransaction, before: int, at: datetime) -> None:
    money_movements.book(transaction.order_id, transaction.id, before, _kept(transaction), at)


def found_event(order: ChargeFacts, trade: TradeStatus | None) -> Event | None:
    """What a look-up result means for this order; None: a word we do not know, leave it be."""
    return event_of(trade.state if trade else TradeState.UNPROCESSED, order)


def event_of(state: TradeState, order: ChargeFacts) -> Event | None:
    """The same for the bare state of a transaction."""
    if order.is_charge and state.is_unfinished:
        state = TradeState.CHECK  # a charge that was not made leaves the card check before it (R92)
    if state.is_unfinished:
        return Event.FOUND_UNFINISHED
    if state.is_captured:
        is_billing = order.is_charge and order.kind is OrderKind.SUBSCRIPTION
        return Event.FOUND_BILLED if is_billing else Event.FOUND_CAPTURED
    if state.is_cancelled:
        return Event.FOUND_CANCELLED
    if state.is_check:
        return {
            OrderKind.PREORDER: Event.FOUND_PREORDER_CHECK,
            OrderKind.SUBSCRIPTION: Event.FOUND_SUBSCRIPTION_CHECK,
        }.get(order.kind, Event.FOUND_UNFINISHED)
    if state.is_authorized:
        return Event.FOUND_AUTHORIZED
    return None


def describe(trade: TradeStatus | None) -> str:
    """A look-up result in words for the history and for a person to judge."""
    return "取引なし" if trade is None else describe_state(trade.raw_status, trade.total)


def describe_state(word: str, yen: int) -> str:
    """A Status of SMBC-GP, one of the future too, and what it is about."""
    return f"{_label(word)} {yen:,}円"


def _label(word: str) -> str:
    state = TradeState.of(word)
    return word if state is TradeState.UNKNOWN else state.label


def standing(transaction: CardTransaction) -> str:
    """The state SMBC-GP showed last, in the words of its own console; 「未確認」 before any."""
    word = transaction.gateway_state
    if word is None:
        return "取引なし" if transaction.look_problem == "not_found" else "未確認"
    return _label(word)
