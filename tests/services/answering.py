"""A person who says «この注文の決済です» of every payment that an order is asked about (R141)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.domain.errors import OrderBusy
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, UnknownNumber, utc_now
from sgpshop.services.payments import runner, transaction_lookup, unknown_numbers
from sgpshop.services.payments.unknown_numbers import Answer
from tests.services.acting import TANAKA

_look_up = transaction_lookup.look_up


def say_ours(*, is_ours: bool = True) -> int:
    """Answer every question that is open, and look up what that makes due; how many there were.

    Those of what is unpaid, and beside an act that is under way, cannot be answered so, and stay.
    """
    said = Answer.OURS if is_ours else Answer.OTHERS
    db.session.rollback()
    asked = db.session.execute(
        sa.select(Order, UnknownNumber)
        .join(Order, Order.id == UnknownNumber.order_id)
        .where(UnknownNumber.is_open)
        .order_by(UnknownNumber.sequence)
    ).all()
    asked = [
        (order.id, order.order_no, row.id)
        for order, row in asked
        if said in unknown_numbers.answers_to(order.kind, row)
    ]
    for one in list(asked):
        try:
            unknown_numbers.answer(*one[1:], TANAKA, said)
        except OrderBusy:
            asked.remove(one)
    due = sa.select(CardTransaction.id).where(
        CardTransaction.order_id.in_([row[0] for row in asked]),
        CardTransaction.next_look_at <= utc_now(),
    )
    for transaction_id in db.session.scalars(due).all() if is_ours else ():
        _look_up(transaction_id)
    db.session.rollback()
    return len(asked)


def say_left(order_no: str) -> None:
    """Answer that the buyer did not pay, of every number of which that can be said."""
    db.session.rollback()
    asked = db.session.execute(
        sa.select(Order.kind, UnknownNumber)
        .join(Order, Order.id == UnknownNumber.order_id)
        .where(UnknownNumber.is_open, Order.order_no == order_no)
    ).all()
    left = [row.id for kind, row in asked if Answer.LEFT in unknown_numbers.answers_to(kind, row)]
    for question in left:
        unknown_numbers.answer(order_no, question, TANAKA, Answer.LEFT)


@pytest.fixture
def says_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked is answered at once: what follows is as if the books had known it."""

    def and_answer(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*arguments: Any) -> Any:
            ended = act(*arguments)
            say_ours()
            return ended

        return acted

    monkeypatch.setattr(transaction_lookup, "look_up", and_answer(_look_up))
    monkeypatch.setattr(runner, "run_operation", and_answer(runner.run_operation))
