"""One act on one order: the form it came with, whether it was done before, and the order locked.

Acts of our own side alone lock the order with `lock_for_act` and change it in the same transaction;
acts on money become an attempt (`payments.acts.open_attempt`) and lock it the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.errors import (
    AmountDiffers,
    FormUsed,
    NotPossible,
    OrderChanged,
    OrderNotFound,
)
from sgpshop.domain.order_acts import Act, require
from sgpshop.domain.order_rules import Refusal, is_being_paid
from sgpshop.extensions import db
from sgpshop.models import Approval, Attempt, HistoryEntry, Order, utc_now
from sgpshop.services import settings


@dataclass(frozen=True)
class Seen:
    """What the form carried: version and yen the person saw, and the form's one-time token."""

    version: int
    amount: int
    token: str
    #: digest of what else the form says and where it was sent: the act that the token is good for
    act: str = ""


def was_accepted(order_id: int, seen: Seen) -> bool:
    """Whether this very form was accepted for this order before: its result is to be shown (P19).

    Raises FormUsed when its token was accepted for something else.
    """
    return first_use(db.session(), order_id, seen) is not None


def first_use(session: Session, order_id: int, seen: Seen) -> Any:
    """How this very form was carried out before, with the `attempt_id` if there is one; or None.

    One token, one act: raises FormUsed when it came with another act, or for another order (P19).
    """
    first: Any = session.execute(
        sa.union_all(
            sa.select(Attempt.id.label("attempt_id"), Attempt.order_id, Attempt.request_act).where(
                Attempt.request_token == seen.token
            ),
            sa.select(sa.null(), HistoryEntry.order_id, HistoryEntry.request_act).where(
                HistoryEntry.request_token == seen.token
            ),
            # What waits for a second person, or did: its attempt once it was approved (R157).
            sa.select(Approval.attempt_id, Approval.order_id, Approval.request_act).where(
                Approval.request_token == seen.token
            ),
        )
    ).first()
    if first is None:
        return None
    # NULL: from before the act was written down; those are known by their order alone.
    if first.order_id != order_id or first.request_act not in (None, seen.act):
        raise FormUsed
    return first


def lock_for_act(session: Session, order_id: int, act: Act | None, seen: Seen) -> Order | None:
    """The order for an act of our own side, kept from other writers until the transaction ends.

    None: this very form was carried out before, show its result (P19); the act must record its
    history entry with the token and act of `seen`.  `act` None: the caller checks what is possible.
    Raises FormUsed for a token of another act, NotPossible with the reason, or OrderChanged when
    the order is not the version that was seen (P20); nothing was written then.
    """
    order = lock_order(session, order_id)
    if first_use(session, order_id, seen) is not None:
        return None
    require_received(order)
    if act is not None:
        require(act, order, settings.load(), utc_now())
    require_seen(order, seen)
    return order


def require_received(order: Order) -> None:
    """Refuse an order whose first payment is under way: declined, it was never here (P2).

    What its history told of could not be taken back any more.  Raises NotPossible.
    """
    if not order.history_state and is_being_paid(order.open_attempt):
        raise NotPossible(Refusal.BEING_PAID.sentence, Refusal.BEING_PAID.value)


def require_seen(order: Order, seen: Seen) -> None:
    """Refuse an order that is not as it was seen (P20).  Raises OrderChanged, or AmountDiffers."""
    if order.version != seen.version:
        raise OrderChanged
    if order.total != seen.amount:
        raise AmountDiffers


def id_of(order_no: str) -> int:
    """The id of the order with that number.  Raises NotFound."""
    order_id = db.session.scalar(sa.select(Order.id).where(Order.order_no == order_no))
    if order_id is None:
        raise OrderNotFound
    return int(order_id)


def lock_order(session: Session, order_id: int) -> Order:
    """The order as it is now, kept from other writers until the transaction ends.

    Raises OrderNotFound for one that was taken back since its id was read.
    """
    order = session.scalars(
        sa.select(Order)
        .where(Order.id == order_id)
        .with_for_update(of=Order)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if order is None:
        raise OrderNotFound
    session.expire(order, ["transaction", "open_attempt", "lines", "deliveries"])
    return order
