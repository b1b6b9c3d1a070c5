"""The card that pays a new transaction: the buyer's one-time token, or a card kept at SMBC-GP.

A card check cannot be captured (protocol.md §3.6): its card is kept under a member of ours, so that
a preorder and a subscription can be charged later.  Keeping moves no money; it is done right after
the check and made up for before the charge if that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.gateway import Card, GatewayError, SmbcGpGateway, StoredCard, TradeState
from sgpshop.models import CardTransaction, Operation, Order
from sgpshop.services import vault
from sgpshop.services.database import writing

log = logging.getLogger(__name__)

#: Operations whose card is kept for a later charge.
KEPT_AFTER = frozenset({Operation.CHECK_CARD, Operation.REGISTER_CARD})


class NoCard(Exception):
    """There is no card that could pay; `reason` goes into the journal."""

    reason = "no_card"


class Paying(Protocol):
    """What says how a new transaction is to be paid."""

    @property
    def order_id(self) -> int: ...
    @property
    def order_no(self) -> str: ...
    @property
    def card_sealed(self) -> str | None: ...
    @property
    def member_id(self) -> str: ...
    @property
    def card_seq(self) -> int | None: ...


def seal_token(token: str, order_no: str) -> str:
    """A one-time token as the journal keeps it until it was used (S10)."""
    return vault.seal(token, _context(order_no))


def card_for(gateway: SmbcGpGateway, paying: Paying) -> Card:
    """The card for `paying`.  Raises NoCard, vault.SealBroken, or GatewayError from keeping it."""
    if paying.card_sealed:
        return Card(token=vault.unseal(paying.card_sealed, _context(paying.order_no)))
    if paying.member_id and paying.card_seq is not None:
        return Card(member_id=paying.member_id, card_seq=paying.card_seq)
    return keep(gateway, paying.order_id)


def keep(gateway: SmbcGpGateway, order_id: int) -> Card:
    """The card of this order, kept at SMBC-GP by now; asks nothing if it is known.

    Raises NoCard when no transaction of the order shows one, GatewayError.
    """
    rows = db.session.execute(
        sa.select(
            Order.order_no,
            CardTransaction.gateway_order_id,
            CardTransaction.gateway_state,
            CardTransaction.member_id,
            CardTransaction.card_seq,
            CardTransaction.card_last4,
        )
        .join(Order, Order.id == CardTransaction.order_id)
        .where(CardTransaction.order_id == order_id)
        .order_by(CardTransaction.sequence.desc())
    ).all()
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    for row in rows:
        if row.member_id and row.card_seq is not None:
            return Card(member_id=row.member_id, card_seq=row.card_seq)
    for row in rows:
        if row.member_id:  # a card the buyer had stored, seen by a look-up
            return _remember(order_id, _choose(gateway.search_cards(row.member_id), row.card_last4))
    for row in rows:
        if row.gateway_state == TradeState.CHECK.value:
            gateway.save_member(row.order_no)
            cards = [card for card in gateway.search_cards(row.order_no) if not card.is_deleted]
            if cards:  # kept before, and the answer was lost
                return _remember(order_id, cards[-1])
            return _remember(
                order_id, gateway.store_traded_card(row.gateway_order_id, row.order_no)
            )
    raise NoCard


def keep_soon(gateway: SmbcGpGateway, order_id: int) -> None:
    """`keep` right after a card check; whatever fails now is made up for before the charge."""
    try:
        keep(gateway, order_id)
    except NoCard:
        return  # the check did not succeed
    except GatewayError as failure:
        log.warning("the card of order %s is not kept yet: %s", order_id, failure.reason)


def _choose(cards: Sequence[StoredCard], last4: str) -> StoredCard:
    """The one card that was used: the only one, or the one whose last digits fit."""
    usable = [card for card in cards if not card.is_deleted]
    fitting = [card for card in usable if last4 and card.masked_number.endswith(last4[-3:])]
    for choice in (usable, fitting):
        if len(choice) == 1:
            return choice[0]
    raise NoCard


def _remember(order_id: int, card: StoredCard) -> Card:
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order_id)
            .values(member_id=card.member_id, card_seq=card.seq)
        )
    return Card(member_id=card.member_id, card_seq=card.seq)


def _context(order_no: str) -> str:
    return f"card_token:{order_no}"
