"""What look-ups cannot end: late answers, and a person who knows more (P15, P16, S5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask, current_app

from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import NotPossible, OrderBusy
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Job, TradeStatus
from sgpshop.models import (
    ActorKind,
    Attempt,
    AttemptState,
    LateAnswer,
    Operation,
    Order,
    utc_now,
)
from sgpshop.services.access import activities
from sgpshop.services.installation.health import due_work, readiness
from sgpshop.services.orders import history
from sgpshop.services.payments import (
    acts,
    attempt_lookup,
    journal,
    outcomes,
    record,
    runner,
    transaction_lookup,
)
from sgpshop.storage.chain import Chain
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, effects, last_attempt, look, press, seen


@pytest.fixture
def overrides() -> dict[str, object]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def odd(shop: World) -> Order:
    """A capture whose answer was lost, and meanwhile somebody changed the amount in the console."""
    order = authorized_order(shop)
    shop.fault("drop_before")
    press(order, Operation.CAPTURE)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.change_amount(trade.access, 2_000, job=Job.AUTH)
    look(order)
    return fresh(order)


def link(order: Order) -> Order:
    """The look-up that follows, as the worker does it."""
    now = fresh(order)
    assert now.transaction is not None
    transaction_lookup.look_up(now.transaction.id)
    return fresh(order)


@pytest.mark.postgresql
def test_what_does_not_fit_stays_uncertain_with_both_values(shop: World, odd: Order) -> None:
    assert odd.payment_status is PaymentStatus.NEEDS_REVIEW  # P14
    assert last_attempt(odd).look_amount == 2000


def test_a_person_ends_it_and_the_order_follows_the_look_up(shop: World, odd: Order) -> None:
    attempt_lookup.close_by_hand(last_attempt(odd).id, "管理画面で確認", TANAKA)
    assert fresh(odd).payment_status is PaymentStatus.NEEDS_REVIEW  # P3: nothing is guessed
    found = link(odd)
    assert found.payment_status is PaymentStatus.AUTHORIZED  # P18
    assert found.transaction is not None
    assert found.transaction.gateway_amount == 2_000
    assert effects(shop, odd) == [("CHANGE", 2_000)]  # P15: nothing was sent again
    told = [entry for entry in history.entries(odd.id) if entry.event == "closed_by_person"]
    assert [(entry.actor, entry.detail["why"]) for entry in told] == [("田中", "管理画面で確認")]


def test_what_a_slow_answer_shows_is_as_old_as_the_question(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:  # P14
    """Asked within the quiet period and answered after it: SMBC-GP may still have been at it."""
    monkeypatch.setitem(current_app.config, "QUIET_PERIOD", 90.0)
    order = authorized_order(shop)
    shop.fault("drop_before")
    press(order, Operation.CAPTURE)
    search = shop.gateway.search_trade
    with time_machine.travel(utc_now() + timedelta(seconds=80)) as clock:

        def slowly(number: str) -> TradeStatus | None:
            found = search(number)
            clock.shift(20)
            return found

        monkeypatch.setattr(shop.gateway, "search_trade", slowly)
        assert look(order).payment_status is PaymentStatus.NEEDS_REVIEW
        assert look(order).payment_status is PaymentStatus.CAPTURE_FAILED


@pytest.mark.postgresql
def test_a_machine_that_stood_still_for_months(shop: World) -> None:  # P17
    order = authorized_order(shop)
    attempt_id = acts.open_attempt(order.id, acts.CAPTURE, seen(order), TANAKA)
    assert journal.claim(attempt_id)
    then = utc_now() - timedelta(days=60)
    with writing() as session:
        session.execute(
            sa.update(Attempt).where(Attempt.id == attempt_id).values(sent_at=then, due_at=then)
        )
    journal.give_up_lost(attempt_id)
    assert last_attempt(order).state is AttemptState.UNKNOWN


@pytest.mark.postgresql
def test_who_ended_it_is_kept_with_it_or_it_is_not_ended(
    shop: World, odd: Order, monkeypatch: pytest.MonkeyPatch
) -> None:  # P5a
    attempt = last_attempt(odd)
    activities.act_as(ActorKind.PERSON, "田中", "203.0.113.7")
    with monkeypatch.context() as broken:
        broken.setattr(Chain, "add", Mock(side_effect=RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            attempt_lookup.close_by_hand(attempt.id, "管理画面で確認", TANAKA)
    db.session.rollback()
    assert last_attempt(odd).state is AttemptState.UNKNOWN
    attempt_lookup.close_by_hand(attempt.id, "管理画面で確認", TANAKA)
    [entry] = activities.newest(ActivityEvent.UNCERTAIN_CLOSED.kind, 1)
    assert (entry.event, entry.about) == ("uncertain_closed", odd.order_no)
    assert (entry.actor_kind, entry.actor, entry.address) == ("person", "田中", "203.0.113.7")
    assert entry.detail == {"note": "実売上処理", "yen": attempt.amount}


def test_it_is_not_offered_before_look_ups_had_their_time(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    shop.fault("http:503", "SearchTrade", times=9)
    press(order, Operation.CAPTURE)
    look(order)  # not answered: that shows nothing odd
    with pytest.raises(NotPossible):
        attempt_lookup.close_by_hand(last_attempt(order).id, "待てない", TANAKA)
    age(order, timedelta(hours=2))
    attempt_lookup.close_by_hand(last_attempt(order).id, "管理画面で実売上を確認", TANAKA)
    shop.behave()
    assert link(order).payment_status is PaymentStatus.CAPTURED  # by the look-up alone


def test_an_ended_operation_cannot_be_ended_again(shop: World, odd: Order) -> None:
    attempt_id = last_attempt(odd).id
    attempt_lookup.close_by_hand(attempt_id, "一度目", TANAKA)
    with pytest.raises(NotPossible):
        attempt_lookup.close_by_hand(attempt_id, "二度目", TANAKA)


@pytest.mark.postgresql
def test_a_look_up_under_way_meanwhile_changes_nothing(shop: World, odd: Order) -> None:
    claimed = journal.claim_look(last_attempt(odd).id)
    assert claimed is not None
    lease = claimed.lease
    attempt_lookup.close_by_hand(claimed.id, "確認済み", TANAKA)
    late = outcomes.unknown(Operation.CAPTURE, "late")
    assert record.close(claimed.id, lease, late) is False  # P17


class TestLateAnswers:
    """A worker frozen in the call wakes up with an answer (P16, P17)."""

    def frozen(self, shop: World, order: Order, meanwhile: Callable[[], object]) -> None:
        """The capture is carried out there; before its answer is read, others act here."""
        attempt_id = acts.open_capture(order.id, seen(order), TANAKA)
        capture = shop.gateway.capture

        def slow(*arguments: object) -> object:
            receipt = capture(*arguments)  # type: ignore[arg-type]
            age(order, timedelta(minutes=5))
            journal.give_up_lost(attempt_id)
            meanwhile()
            return receipt

        shop.gateway.capture = slow  # type: ignore[method-assign, assignment]
        runner.run_operation(attempt_id)
        shop.gateway.capture = capture  # type: ignore[method-assign]

    def test_one_that_agrees_is_kept_and_nothing_more(self, shop: World) -> None:
        order = authorized_order(shop)
        self.frozen(shop, order, lambda: look(order))
        [kept] = db.session.query(LateAnswer).all()
        assert (kept.state, kept.is_contradiction) == (AttemptState.DONE, False)
        assert fresh(order).payment_status is PaymentStatus.CAPTURED
        assert len(effects(shop, order)) == 1

    def test_one_that_contradicts_raises_a_look_up(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        self.frozen(shop, order, lambda: wrongly_rejected(order))
        [kept] = db.session.query(LateAnswer).all()
        assert kept.is_contradiction
        assert fresh(order).payment_status is PaymentStatus.CAPTURE_FAILED  # never overwritten
        assert link(order).payment_status is PaymentStatus.CAPTURED  # the look-up decides
        assert history.entries(order.id)[1].event == "late_answer"


def wrongly_rejected(order: Order) -> None:
    """Somebody else recorded a refusal."""
    attempt = last_attempt(order)
    record.close(attempt.id, attempt.lease, outcomes.rejected(Operation.CAPTURE, "wrong"))


def age(order: Order, by: timedelta) -> None:
    """Let the open attempt be older than it is."""
    db.session.rollback()
    attempt = db.session.query(Attempt).filter_by(order_id=order.id).populate_existing().one()
    for name in ("due_at", "sent_at", "uncertain_since", "looked_up_at"):
        moment = getattr(attempt, name)
        setattr(attempt, name, moment and moment - by)
    db.session.commit()


class TestBar:
    """Every page says when something does not move (P15)."""

    def test_nothing_to_say(self, shop: World) -> None:
        press(authorized_order(shop), Operation.CAPTURE)
        assert not readiness.warnings()

    def test_an_outcome_unknown_for_long(self, shop: World, odd: Order) -> None:
        assert readiness.warnings().uncertain == 0
        age(odd, timedelta(minutes=11))
        self.forget()
        assert readiness.warnings().uncertain == 1

    def test_a_silent_worker_with_work_to_do(self, shop: World) -> None:
        order = authorized_order(shop)
        acts.open_capture(order.id, seen(order), TANAKA)
        age(order, timedelta(minutes=3))
        assert readiness.warnings().is_worker_silent
        due_work.beat("worker")
        self.forget()
        assert not readiness.warnings().is_worker_silent

    def forget(self) -> None:
        current_app.extensions.pop("sgpshop.warnings")


def test_cancelling_waits_for_a_doubt_to_end(shop: World, odd: Order) -> None:
    with pytest.raises(OrderBusy):
        cancel(odd)  # R98
