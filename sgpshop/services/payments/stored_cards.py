"""The card that pays a new transaction: the buyer's one-time token, or a card kept at SMBC-GP.

A card check cannot be captured (protocol.md §3.6): the very card that was checked is kept under a
member of ours, so that a preorder and a subscription can be charged later.  A number in a member of
the buyer's would not do: numbers close up when the buyer deletes a card, and then mean another one
(§2.8).  The shop front has members at the same site, under any ids it likes, an order's number among
them: ours have a form that no other has, and one for every check.  What a former version kept under
the bare order number is kept anew.  Keeping moves no money; it is done right after the check and made
up for before the charge if that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

import sqlalchemy as sa

from sgpshop.domain.our_members import OUR_MEMBERS, is_our_member
from sgpshop.extensions import db
from sgpshop.gateway import Card, GatewayError, SmbcGpGateway, StoredCard, TradeState
from sgpshop.models import CHECKOUTS, CardTransaction, Operation, Order
from sgpshop.services.payments import card_notes
from sgpshop.storage import vault
from sgpshop.storage.database import writing

log = logging.getLogger(__name__)

#: Operations whose card is kept for a later charge.
KEPT_AFTER = frozenset({Operation.CHECK_CARD, Operation.REGISTER_CARD})


def member_of_ours(shop_id: str, gateway_order_id: str) -> str:
    """The member that keeps the card of that transaction of the shop: at most 50 characters.

    Shops of one site share its members, so the shop is part of it.
    """
    return f"{OUR_MEMBERS}{shop_id}.{gateway_order_id}"


class NoCard(Exception):
    """There is no card that could pay; `reason` goes into the journal."""

    reason = "no_card"


class CardGone(NoCard):
    """The card was kept, and SMBC-GP does not have it any more: another one is needed."""

    reason = "card_gone"


class OtherCard(NoCard):
    """What is kept now is not the card that was checked: it is not charged."""

    reason = "other_card"


class CardOver(NoCard):
    """The card that is kept is good no more in the month in which it is to pay."""

    reason = "card_over"


class CardPayment(Protocol):
    """What says how a new transaction is to be paid."""

    @property
    def operation(self) -> Operation: ...
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
    return vault.seal(token, context_of(order_no))


def card_for(gateway: SmbcGpGateway, paying: CardPayment) -> Card:
    """The card for `paying`: what the buyer gave just now, or what was kept for later.

    Raises NoCard, CardGone, OtherCard, vault.SealBroken, or GatewayError from asking for a kept one.
    """
    if paying.card_sealed:
        return Card(token=vault.unseal(paying.card_sealed, context_of(paying.order_no)))
    if paying.operation not in CHECKOUTS:
        return for_later(gateway, paying.order_id)
    is_given = paying.card_seq is not None and not is_our_member(paying.member_id)
    if paying.member_id and is_given:
        return Card(member_id=paying.member_id, card_seq=paying.card_seq)
    raise NoCard


def for_later(gateway: SmbcGpGateway, order_id: int, *, good_in: date | None = None) -> Card:
    """The card that this order's buyer had checked, kept at SMBC-GP by now, and still the same.

    From then on every transaction of the order names it.  What was checked is looked up before
    (other_numbers).  Raises NoCard, CardGone, OtherCard, GatewayError; with `good_in`, a month, CardOver
    for a kept card that says it ends before.
    """
    rows = _transactions(order_id)
    card = _kept(rows)
    if card is None:
        return _keep(gateway, order_id, rows)
    now = [one for one in gateway.search_cards(card.member_id, card.seq) if not one.is_deleted]
    if not now:
        raise CardGone
    digits = _checked_digits(gateway, rows)
    if not _is_same(now[0], digits):
        log.warning("the card kept for order %s is another one by now", order_id)
        raise OtherCard
    if good_in is not None and now[0].is_over_in(good_in):
        raise CardOver
    return _remember(order_id, card, _checked(rows).gateway_order_id, digits)


def keep_soon(gateway: SmbcGpGateway, order_id: int) -> None:
    """Keep the card right after its check; whatever fails now is made up for before the charge."""
    rows = _transactions(order_id)
    if _kept(rows) is not None:
        return
    try:
        _keep(gateway, order_id, rows)
    except NoCard:
        return  # the check did not succeed
    except GatewayError as failure:
        log.warning("the card of order %s is not kept yet: %s", order_id, failure.reason)
        card_notes.not_kept(order_id, failure)


def _transactions(order_id: int) -> Sequence[Any]:
    """The order's transactions, the newest first."""
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
    return rows


def _kept(rows: Sequence[Any]) -> StoredCard | None:
    """The card of the newest check under its member of ours, if it is known.

    Never a number among the buyer's own, nor the card of a check before: the buyer gave another.
    """
    try:
        used = _checked(rows)
    except NoCard:
        return None
    for row in rows:
        if _is_ours(row.member_id, used.gateway_order_id) and row.card_seq is not None:
            return StoredCard(row.member_id, row.card_seq, "")
    return None


def _is_ours(member_id: str, gateway_order_id: str) -> bool:
    """Whether it is the member of that transaction, with whatever contract it was kept."""
    return is_our_member(member_id) and member_id.endswith(f".{gateway_order_id}")


def _keep(gateway: SmbcGpGateway, order_id: int, rows: Sequence[Any]) -> Card:
    """Have SMBC-GP store the card of the order's own transaction (TradedCard)."""
    used = _checked(rows)
    member_id = member_of_ours(gateway.shop_id, used.gateway_order_id)
    # Both calls may be repeated: a member that exists is fine, and cards are looked for before.
    gateway.save_member(member_id)
    digits = used.card_last4
    if before := [one for one in gateway.search_cards(member_id) if not one.is_deleted]:
        # Stored before, and the answer was lost: taken only if it shows itself to be that card.
        digits = _checked_digits(gateway, rows)
        if before := [one for one in before if _shows(one, digits)]:
            return _remember(order_id, before[-1], used.gateway_order_id, digits)
    card = gateway.store_traded_card(used.gateway_order_id, member_id)
    return _remember(order_id, card, used.gateway_order_id, digits or _digits(card))


def _checked(rows: Sequence[Any]) -> Any:
    """The transaction whose card is to be charged: the check, or one on a card the buyer had stored."""
    for row in rows:
        if row.gateway_state == TradeState.CHECK.value:
            return row
    for row in rows:
        state = TradeState.of(row.gateway_state or "")
        if row.member_id and (state.is_reserved or state.is_captured or state.is_cancelled):
            return row
    raise NoCard


def _checked_digits(gateway: SmbcGpGateway, rows: Sequence[Any]) -> str:
    """The last digits of the card that was checked; "" where nothing tells them."""
    try:
        used = _checked(rows)
    except NoCard:
        return ""
    if used.card_last4:
        return str(used.card_last4)
    trade = gateway.search_trade(used.gateway_order_id)  # ExecTran's answer did not tell
    return trade.card_last4 if trade else ""


def _is_same(card: StoredCard, digits: str) -> bool:
    """Whether the digits that both show are the same; how many a mask leaves is the site's setting."""
    shown = _digits(card)
    length = min(len(shown), len(digits))
    return length == 0 or shown[-length:] == digits[-length:]


def _shows(card: StoredCard, digits: str) -> bool:
    """Whether both show digits, and the same."""
    return bool(digits and _digits(card)) and _is_same(card, digits)


def _digits(card: StoredCard) -> str:
    return card.masked_number.rpartition("*")[2][-4:]


def _remember(order_id: int, card: StoredCard, checked: str, digits: str) -> Card:
    """Let every transaction of the order name the kept card, and the `checked` one its digits."""
    # All transactions at once: a charge under the next number must find the card that was checked.
    of_order = sa.update(CardTransaction).where(CardTransaction.order_id == order_id)
    with writing() as session:
        # Order first, as everybody locks: what is kept of one that waits hangs on all of them (0079).
        session.execute(sa.select(Order.id).where(Order.id == order_id).with_for_update())
        session.execute(of_order.values(member_id=card.member_id, card_seq=card.seq))
        session.execute(
            of_order.where(
                CardTransaction.gateway_order_id == checked, CardTransaction.card_last4 == ""
            ).values(card_last4=digits)
        )
    card_notes.is_kept(order_id)
    return Card(member_id=card.member_id, card_seq=card.seq)


def context_of(order_no: str) -> str:
    """What a one-time token is bound to."""
    return f"card_token:{order_no}"
