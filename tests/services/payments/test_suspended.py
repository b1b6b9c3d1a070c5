"""A machine that stands still between «we send now» and the first byte, and wakes up later (P17)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import only_while
from sgpshop.models import Attempt, AttemptState, Operation
from sgpshop.services.payments import journal
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.acting import correct, effects, last_attempt, press
from tests.services.payments.test_preorders import charges, preorder

#: What others do meanwhile, told to `suspend`.
Suspend = Callable[[Callable[[], object]], None]

pytestmark = pytest.mark.postgresql


@pytest.fixture
def suspend(monkeypatch: pytest.MonkeyPatch) -> Suspend:
    """The next payment stands still before its first byte; the clocks of its machine as well."""

    def suspend(others: Callable[[], object]) -> None:
        ask = journal.may_still_send

        def wakes_up(claimed: journal.ClaimedAttempt) -> bool:
            monkeypatch.setattr(journal, "may_still_send", ask)
            with only_while(lambda: True):
                others()
            return ask(claimed)

        monkeypatch.setattr(journal, "may_still_send", wakes_up)

    return suspend


def wait(attempt: Attempt, **time: int) -> None:
    """So much time goes by for everybody but the machine that stands still."""
    with writing() as session:
        ago = {
            "sent_at": attempt.sent_at - timedelta(**time) if attempt.sent_at else None,
            "due_at": attempt.due_at - timedelta(**time) if attempt.due_at else None,
        }
        session.execute(sa.update(Attempt).where(Attempt.id == attempt.id).values(ago))


def test_for_a_moment_it_tries_again(shop: World, suspend: Suspend) -> None:
    order = authorized_order(shop)
    suspend(lambda: wait(last_attempt(order), seconds=20))
    press(order, Operation.CAPTURE)
    assert effects(shop, order) == []
    assert last_attempt(order).state is AttemptState.QUEUED
    settle(order.id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert effects(shop, order) == [("SALES", 3_000)]


def test_a_change_of_amount_does_not_undo_the_sale(shop: World, suspend: Suspend) -> None:
    order = correct(authorized_order(shop), 2_000)

    def others() -> None:
        """Another worker takes it for lost and sends it; then the order is sold."""
        lost = last_attempt(order)
        wait(lost, minutes=5)
        journal.give_up_lost(lost.id)
        settle(order.id)
        press(order, Operation.CAPTURE)

    suspend(others)
    press(order, Operation.CHANGE_AMOUNT)
    assert effects(shop, order) == [("CHANGE", 2_000), ("SALES", 2_000)]
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_a_preorder_is_not_paid_under_a_second_number(shop: World, suspend: Suspend) -> None:
    order = preorder(shop)

    def others() -> None:
        """It was not carried out, a person corrects the total and captures again."""
        lost = last_attempt(order)
        wait(lost, minutes=5)
        shop.wire.cut_off("ExecTran")
        journal.give_up_lost(lost.id)
        settle(order.id)
        shop.wire.cut_off("nothing")
        press(correct(order, 2_000), Operation.CAPTURE)

    suspend(others)
    press(order, Operation.CAPTURE)
    assert charges(shop, order) == {
        f"{order.order_no}-1": "UNPROCESSED",
        f"{order.order_no}-2": "CAPTURE",
    }
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
