"""SMBC-GP answers, but slowly: many questions together last longer than any claim on the work (P17)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import AttemptState, CardTransaction, Operation, Order, utc_now
from sgpshop.services.payments import acts, journal, runner, transaction_lookup
from sgpshop.services.payments.journal import RunResult
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.faults.judging import settle
from tests.gateway_world import World
from tests.services.acting import TANAKA, last_attempt, press, seen
from tests.services.payments.test_preorders import charges, preorder

#: Lets every answer to a look-up take so many seconds, and `meanwhile` happen.
Slow = Callable[..., list[str]]

pytestmark = pytest.mark.postgresql


@pytest.fixture
def slow(shop: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    ask = shop.gateway.search_trade

    with time_machine.travel(utc_now(), tick=True) as clock:

        def slow(seconds: int, meanwhile: Callable[[], object] = lambda: None) -> list[str]:
            asked: list[str] = []

            def answer(number: str) -> Any:
                asked.append(number)
                found = ask(number)
                clock.shift(timedelta(seconds=seconds))
                meanwhile()
                return found

            monkeypatch.setattr(shop.gateway, "search_trade", answer)
            return asked

        yield slow


def opened(order: Order) -> int:
    """SGPカード実売上処理 is pressed, and no worker has come yet."""
    return acts.open_attempt(order.id, acts.CAPTURE, seen(order), TANAKA)


def test_a_preorder_is_charged_however_long_the_questions_before_it_take(
    shop: World, slow: Slow
) -> None:
    order = preorder(shop)
    with time_machine.travel(utc_now() - timedelta(days=1)):
        for number in range(1, 9):  # somebody may still pay under these: each is asked first
            shop.gateway.enter(f"{order.order_no}-{number}", Job.CAPTURE, 3_000)
    attempt_id = opened(order)
    # Another worker looks for what was lost, at every moment.
    asked = slow(20, lambda: journal.give_up_lost(attempt_id))
    settle(order.id)
    assert len(asked) > 8
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert list(charges(shop, order).values()).count("CAPTURE") == 1


def test_what_is_older_than_a_lease_is_asked_again_and_never_counts_as_another_payment(
    shop: World, slow: Slow
) -> None:
    order = preorder(shop)
    attempt_id = opened(order)
    slow(61)  # a machine that stands still at every answer
    for _ in range(14):
        assert runner.run_operation(attempt_id) is RunResult.POSTPONED
        assert last_attempt(order).state is AttemptState.QUEUED
    assert set(charges(shop, order).values()) <= {"UNPROCESSED"}
    slow(0)
    settle(order.id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_a_look_up_of_many_numbers_is_not_begun_anew_by_another_worker(
    shop: World, slow: Slow
) -> None:
    order = preorder(shop)
    with writing() as session:
        transaction_lookup.make_due(session, CardTransaction.order_id == order.id)
    [row_id] = db.session.scalars(
        sa.select(CardTransaction.id).where(CardTransaction.order_id == order.id)
    )
    db.session.commit()
    others: list[RunResult] = []
    asked = slow(20, lambda: others.append(transaction_lookup.look_up(row_id)))
    assert transaction_lookup.look_up(row_id) is RunResult.ENDED
    assert len(asked) == 4  # its own, and three after it
    assert set(others) == {RunResult.NOT_OURS}
    found = db.session.get_one(CardTransaction, row_id, populate_existing=True)
    assert (found.looks, found.next_look_at) == (1, None)


def test_what_failed_once_is_captured_however_long_the_questions_before_it_take(
    shop: World, slow: Slow
) -> None:
    order = authorized_order(shop)
    shop.fault("error:42G120000", "AlterTran")
    press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED
    attempt_id = opened(fresh(order))
    slow(6)
    assert runner.run_operation(attempt_id) is RunResult.ENDED
    assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_a_worker_that_dies_in_the_questions_has_sent_nothing(shop: World, slow: Slow) -> None:
    order = authorized_order(shop)
    shop.fault("error:42G120000", "AlterTran")
    press(order, Operation.CAPTURE)
    attempt_id = opened(fresh(order))
    sent: list[object] = []
    slow(1, lambda: sent.append(last_attempt(order).sent_at))
    runner.run_operation(attempt_id)
    assert sent[:2] == [None, None]
