"""Look-ups that overtake each other, or a capture: the newest truth stays (P13, P17, P18)."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.errors import ContractMissing
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import GatewayUnreachable, TradeState
from sgpshop.models import (
    Attempt,
    AttemptState,
    CardTransaction,
    MoneyMovement,
    Operation,
    Order,
    utc_now,
)
from sgpshop.services.installation.health import readiness
from sgpshop.services.order_detail.detail import get_detail
from sgpshop.services.orders import acting, money_movements
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import (
    acts,
    attempt_lookup,
    gateway_access,
    journal,
    outcomes,
    record,
    runner,
    transaction_lookup,
)
from sgpshop.services.payments.journal import RunResult
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.waiting import is_anybody_locked_out

#: What it asks of the database, both answer differently or in another order.
pytestmark = pytest.mark.postgresql

TANAKA = Actor.person("田中")


def open_capture(order: Order, token: str = "t1") -> int:
    order = fresh(order)
    return acts.open_capture(order.id, Seen(order.version, order.total, token), TANAKA)


def press(order: Order, token: str = "t1") -> int:
    attempt_id = open_capture(order, token)
    runner.run_operation(attempt_id)
    return attempt_id


def attempt(attempt_id: int) -> Attempt:
    return db.session.get_one(Attempt, attempt_id, populate_existing=True)


def test_a_slow_linking_look_up_does_not_undo_a_capture_made_meanwhile(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = authorized_order(shop)
    with writing() as session:
        transaction = session.query(CardTransaction).filter_by(order_id=order.id).one()
        transaction.next_look_at = utc_now()
    ask = shop.gateway.search_trade

    def slow(order_no: str) -> Any:
        seen_before = ask(order_no)
        press(order)
        return seen_before

    monkeypatch.setattr(shop.gateway, "search_trade", slow)
    transaction_lookup.look_up(transaction.id)
    order = fresh(order)
    assert order.payment_status is PaymentStatus.CAPTURED  # P3, P18
    assert order.transaction is not None
    assert order.transaction.captured_at is not None
    assert order.transaction.next_look_at is not None  # and looked up once more


def test_watching_does_not_take_the_look_up_away_from_the_one_under_way(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    attempt_id = press(order)
    ask = shop.gateway.search_trade

    def slow(order_no: str) -> Any:
        found = ask(order_no)
        assert journal.claim_look(attempt_id) is None  # somebody else wants to look meanwhile
        return found

    monkeypatch.setattr(shop.gateway, "search_trade", slow)
    attempt_lookup.hurry(attempt_id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED  # P13


class TestRepeats:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"QUIET_PERIOD": 0.0}

    def test_a_repeat_that_cannot_look_first_ends_as_communication_error(
        self, shop: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = authorized_order(shop)
        shop.fault("drop_before")
        attempt_lookup.look_up(press(order))
        again = open_capture(order, "t2")

        def nobody_there(_: str) -> None:
            raise GatewayUnreachable("connect:refused")

        monkeypatch.setattr(shop.gateway, "search_trade", nobody_there)
        ran = [runner.run_operation(again) for _ in range(3)]
        assert ran == [RunResult.POSTPONED, RunResult.POSTPONED, RunResult.ENDED]
        assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED  # R14

    def test_a_lost_worker_is_noticed_without_a_worker(self, shop: World) -> None:
        order = authorized_order(shop)
        attempt_id = open_capture(order)
        journal.claim(attempt_id)
        with writing() as session:
            session.execute(
                sa.update(Attempt)
                .where(Attempt.id == attempt_id)
                .values(due_at=utc_now() - timedelta(seconds=1))
            )
        assert attempt_lookup.is_uncertain(attempt(attempt_id))
        assert readiness.check().uncertain == 1
        attempt_lookup.resolve_all()  # `app.py resolve`, or somebody opens the order
        assert attempt(attempt_id).state is not AttemptState.SENDING  # P13


def test_a_refusal_of_a_transaction_that_is_not_there_says_so_and_looks_on(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = authorized_order(shop)
    shop.fault("error:E11010003")
    monkeypatch.setattr(shop.gateway, "search_trade", lambda _: None)
    press(order)
    order = fresh(order)
    assert order.payment_status is PaymentStatus.NEEDS_REVIEW  # R120
    assert order.transaction is not None
    assert order.transaction.next_look_at is not None
    problem = get_detail(order.order_no).problem
    assert problem is not None
    assert "見つかりません" in problem.headline


def test_without_a_usable_contract_nothing_is_accepted(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    gateway_access.init_app(app, None)
    with pytest.raises(ContractMissing):  # R2
        open_capture(order)
    assert db.session.query(Attempt).count() == 0


def test_congestion_of_a_look_up_slows_the_worker_down(shop: World) -> None:
    order = authorized_order(shop)
    with writing() as session:
        transaction = session.query(CardTransaction).filter_by(order_id=order.id).one()
        transaction.next_look_at = utc_now()
    shop.fault("error:E92000001", "SearchTrade")
    assert transaction_lookup.look_up(transaction.id) is RunResult.CONGESTED
    soon = fresh(order).transaction
    assert soon is not None
    assert soon.next_look_at is not None
    assert soon.next_look_at - utc_now() < timedelta(seconds=10)
    assert soon.look_problem == ""


def test_a_frozen_thread_does_not_send_late(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order = authorized_order(shop)
    attempt_id = open_capture(order)
    monkeypatch.setattr(journal, "may_still_send", lambda _: False)
    assert runner.run_operation(attempt_id) is RunResult.POSTPONED
    assert shop.requests(order.order_no) == []  # P17
    assert attempt(attempt_id).state is AttemptState.QUEUED


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_what_was_booked_while_an_answer_waited_for_the_order_is_booked_once(
    app: Flask, shop: World
) -> None:
    """PostgreSQL gives what stands beside the order as it was before the wait."""
    order = authorized_order(shop)
    order_id, total = order.id, order.total
    work = journal.claim(open_capture(order))
    assert work is not None
    receipt = shop.gateway.capture(work.access(), work.amount)
    done = outcomes.done(Operation.CAPTURE, receipt, TradeState.SALES)

    def close() -> None:
        with app.app_context():
            record.close(work.attempt_id, work.lease, done)
            db.session.remove()

    answer = threading.Thread(target=close)
    with writing() as session:
        acting.lock_order(session, order_id)
        there = session.query(CardTransaction).filter_by(order_id=order_id).one()
        there.gateway_state, there.captured_amount = "SALES", total
        session.flush()
        money_movements.book(order_id, there.id, 0, total, utc_now())
        answer.start()
        while not is_anybody_locked_out():
            assert answer.is_alive()
    answer.join()
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    moved = sa.func.sum(MoneyMovement.kept_after - MoneyMovement.kept_before)
    assert db.session.scalar(sa.select(moved)) == total
