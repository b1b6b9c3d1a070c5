"""A clock set back by hours: no queue stands still until it has caught up (P13, P30)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.billing_calendar import month_of
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    AttemptState,
    Billing,
    BillingFile,
    BillingState,
    CardTransaction,
    LoginAttempt,
    Order,
    Queue,
    Scope,
    utc_now,
)
from sgpshop.models.base import set_clock_ahead
from sgpshop.services.access import api_keys, idempotency
from sgpshop.services.installation.health import replanning
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, checkouts, journal, runner
from sgpshop.services.subscriptions.billing import files
from sgpshop.storage import setbacks, shared_clock
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.seeds import LATER
from tests.waiting import wait_until, working

Later = Callable[[], AbstractContextManager[None]]
TANAKA = Actor.person("田中")


@pytest.fixture(
    params=[pytest.param(1, marks=LATER, id="an hour"), pytest.param(9, id="nine hours")]
)
def before(request: pytest.FixtureRequest) -> Iterator[Later]:
    """Within the block the clock is ahead; it is set back at its end."""

    @contextmanager
    def clock_ahead() -> Iterator[None]:
        set_clock_ahead(request.param * 3600)
        yield
        set_clock_ahead(0)

    yield clock_ahead
    set_clock_ahead(0)


@pytest.fixture
def overrides() -> dict[str, object]:
    return {"QUIET_PERIOD": 0.2, "RESOLVE_SCHEDULE": (0.0, 0.3, 0.6), "LEASE_SECONDS": 1.0}


def open_capture(order: Order) -> int:
    return acts.open_capture(order.id, Seen(1, order.total, f"t{order.id}"), TANAKA)


def test_a_queued_capture_is_made(app: Flask, shop: World, before: Later) -> None:
    order = authorized_order(shop)
    with before():
        open_capture(order)
    Worker(app).run(until_idle=True)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert shop.sales(order.order_no) == 1


@pytest.mark.alike
@pytest.mark.parametrize(
    ("fault", "ends"),
    [("drop_after", PaymentStatus.CAPTURED), ("drop_before", PaymentStatus.CAPTURE_FAILED)],
)
def test_a_lost_answer_is_looked_up_and_its_quiet_period_ends(
    app: Flask, shop: World, before: Later, fault: str, ends: PaymentStatus
) -> None:
    order = authorized_order(shop)
    shop.fault(fault)
    with before():
        runner.run_operation(open_capture(order))
    with working(app):
        wait_until(lambda: fresh(order).payment_status is ends)
    assert shop.sales(order.order_no) == (ends is PaymentStatus.CAPTURED)


@pytest.mark.alike
def test_a_capture_whose_worker_was_lost_is_found_out_about(
    app: Flask, shop: World, before: Later
) -> None:
    order = authorized_order(shop)
    with before():
        assert journal.claim(open_capture(order))  # SENDING, and nobody there any more
    with working(app):
        wait_until(lambda: fresh(order).payment_status is PaymentStatus.CAPTURED)
    assert shop.sales(order.order_no) == 1


def test_whoever_sends_now_keeps_the_whole_lease(app: Flask, shop: World, before: Later) -> None:
    with before():
        attempt_id = open_capture(authorized_order(shop))
        journal.claim(attempt_id)
    earliest = utc_now() + shared_clock.lease_time()
    assert replanning.replan() == 1
    attempt = db.session.get_one(Attempt, attempt_id, populate_existing=True)
    assert attempt.state is AttemptState.SENDING
    assert attempt.due_at
    assert earliest <= attempt.due_at <= utc_now() + shared_clock.lease_time()


def plan_look(order: Order, after: timedelta, **more: Any) -> int:
    with writing() as session:
        transaction = session.get_one(Order, order.id).transaction
        assert transaction
        transaction.first_look_at = utc_now()
        transaction.next_look_at = utc_now() + after
        for name, value in more.items():
            setattr(transaction, name, value)
        return transaction.id


def transaction_of(transaction_id: int) -> CardTransaction:
    return db.session.get_one(CardTransaction, transaction_id, populate_existing=True)


@pytest.mark.alike
def test_a_planned_look_at_a_transaction_is_made(app: Flask, shop: World, before: Later) -> None:
    order = authorized_order(shop)
    with before():
        transaction_id = plan_look(order, timedelta(seconds=30))
    Worker(app).run(until_idle=True)
    db.session.rollback()
    transaction = transaction_of(transaction_id)
    assert transaction.next_look_at is None
    assert transaction.looks == 1


@pytest.mark.alike
def test_a_buyer_at_the_bank_keeps_their_time_and_no_more(shop: World, before: Later) -> None:
    with before():
        transaction_id = plan_look(
            authorized_order(shop), checkouts.BUYER_TIME, challenge_url="https://bank.example/"
        )
    earliest = utc_now() + checkouts.BUYER_TIME
    assert replanning.replan() == 1
    due = transaction_of(transaction_id).next_look_at
    assert due
    assert earliest <= due <= utc_now() + checkouts.BUYER_TIME


@pytest.mark.parametrize(
    ("column", "pause"),
    [("due_at", timedelta(minutes=10)), ("results_due_at", timedelta(hours=6))],
)
def test_a_monthly_file_is_gone_on_with(
    shop: World, before: Later, column: str, pause: timedelta
) -> None:
    with before(), writing() as session:
        window = month_of(utc_now() - timedelta(days=62))  # its results were due long ago
        file = BillingFile(window=window, content="", lines=0, yen=0, sent_at=utc_now())
        setattr(file, column, utc_now() + pause)
        session.add(file)
    assert replanning.replan() == 1
    db.session.refresh(file)
    longest = files.lease_time() if column == "due_at" else pause
    assert getattr(file, column) <= utc_now() + longest


@pytest.mark.alike
def test_a_sale_that_was_put_off_is_tried_again(shop: World, before: Later) -> None:
    order = authorized_order(shop)
    with before():
        attempt_id = open_capture(order)
        with writing() as session:
            billing = Billing(
                order_id=order.id,
                month=month_of(utc_now()),
                gateway_order_id=order.order_no,
                amount=order.total,
                state=BillingState.POSTPONED,
                attempt_id=attempt_id,
                by_file=False,
                postponed=1,
                retry_at=utc_now() + timedelta(minutes=10),
            )
            session.add(billing)
    assert replanning.replan() == 2  # and the attempt
    db.session.refresh(billing)
    assert billing.retry_at
    assert billing.retry_at <= utc_now()


def test_what_broke_off_is_tried_again(shop: World, before: Later) -> None:
    with before():
        setbacks.note(Queue.SLIP_RUN, [7], ValueError())
    assert setbacks.is_resting(Queue.SLIP_RUN, 7)
    assert replanning.replan() == 1
    assert not setbacks.is_resting(Queue.SLIP_RUN, 7)


@pytest.mark.alike
def test_wrong_passwords_are_counted_no_longer_than_otherwise(shop: World, before: Later) -> None:
    with before(), writing() as session:
        session.add(LoginAttempt(account="tanaka", address="192.0.2.1"))
    assert replanning.replan() == 1
    at = db.session.scalars(sa.select(LoginAttempt.at)).one()
    assert at <= utc_now()


@pytest.mark.alike
def test_a_request_of_the_api_that_broke_off_may_come_again(shop: World, before: Later) -> None:
    api_keys.create("カート", [Scope.CAPTURE], by="店長")
    key_id = api_keys.all_keys()[0].id
    with before():
        begun = idempotency.begin(key_id, "POST /x", "k", b"1")
    assert idempotency.begin(key_id, "POST /x", "k", b"1").token == begun.token


@pytest.mark.alike
def test_plans_of_our_own_clock_stay_as_they_are(app: Flask, shop: World) -> None:
    shop.fault("drop_after")
    waiting, lost = authorized_order(shop), authorized_order(shop)
    runner.run_operation(open_capture(lost))
    open_capture(waiting)
    plan_look(waiting, checkouts.BUYER_TIME, challenge_url="https://bank.example/")
    plan_look(lost, timedelta(seconds=0.5))
    setbacks.note(Queue.SLIP_RUN, [7], ValueError())
    with writing() as session:
        session.add(LoginAttempt(account="tanaka", address="192.0.2.1"))
        in_a_month = utc_now() + timedelta(days=40)
        file = BillingFile(window=month_of(in_a_month), content="", lines=0, yen=0)
        file.results_due_at = in_a_month
        session.add(file)
    assert replanning.replan() == 0
