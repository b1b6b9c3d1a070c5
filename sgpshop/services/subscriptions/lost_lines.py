"""Charges that a monthly file most likely made which our books do not know (P36): answered together.

Books put back from a backup may have lost the file of a month: each of its orders then asks whose the
charge is (R141).  Nobody guesses here either; but what is alike for all of them is asked of a person
once: the right amount, taken, and nothing else to be asked about the order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_rules import TAKEN_STATES
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Order, UnknownNumber
from sgpshop.services.order_search.totals import Total
from sgpshop.services.order_search.waits import HAS_LIVE_MONEY
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import unknown_numbers
from sgpshop.services.payments.unknown_numbers import Answer
from sgpshop.services.subscriptions.billing.selecting import IS_QUESTIONED
from sgpshop.services.subscriptions.stages import IS_SUBSCRIPTION, in_turn
from sgpshop.storage.among import among
from sgpshop.storage.questions import Question

#: So many stand on one page; the rest is there after the first were answered.
MOST = 500
_other = aliased(UnknownNumber)
_IS_ALIKE = sa.and_(
    UnknownNumber.is_open,
    UnknownNumber.order_id == Order.id,
    UnknownNumber.gateway_state.in_(sorted(TAKEN_STATES)),
    UnknownNumber.amount == Order.total,
    in_turn(sa.and_(IS_SUBSCRIPTION, Order.payment_status == PaymentStatus.AWAITING_BILLING)),
    ~IS_QUESTIONED,
    ~HAS_LIVE_MONEY,
    ~sa.exists().where(
        _other.order_id == UnknownNumber.order_id, _other.id != UnknownNumber.id, _other.is_open
    ),
)


@dataclass(frozen=True)
class LostLine:
    """One order, and the charge that is asked about; `yen` is both its total and what was taken."""

    question_id: int
    order_no: str
    buyer_name: str
    gateway_order_id: str
    yen: int


_ALIKE = (
    sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Order.total), 0))
    .select_from(UnknownNumber)
    .join(Order, _IS_ALIKE)
)


def charged_question() -> Question[Total]:
    """How many there are, and their yen, to be asked together with others."""
    return Question(_ALIKE, lambda row: Total(row[0], int(row[1])))


def lost_lines() -> list[LostLine]:
    """The first of them, at most MOST."""
    return [LostLine(*row) for row in db.session.execute(_some()).all()]


def take_for_theirs(question_ids: Collection[int], actor: Actor) -> int:
    """«この注文の決済です» of these, as far as they still are alike; how many were answered so.

    Once more changes nothing (P19).
    """
    wanted = _some().where(among(UnknownNumber.id, list(question_ids)[:MOST]))
    found = [LostLine(*row) for row in db.session.execute(wanted).all()]
    db.session.commit()
    answered = 0
    for line in found:  # each on its own: one that changed, or is busy, stops no other
        try:
            unknown_numbers.answer(line.order_no, line.question_id, actor, Answer.OURS)
        except ShopError:
            continue
        answered += 1
    return answered


def _some() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            UnknownNumber.id,
            Order.order_no,
            Order.buyer_name,
            UnknownNumber.gateway_order_id,
            Order.total,
        )
        .join(Order, _IS_ALIKE)
        .order_by(UnknownNumber.id)
        .limit(MOST)
    )
