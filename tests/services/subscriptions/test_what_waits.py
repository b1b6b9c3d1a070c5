"""定期購入 asks few orders, and finds what asking every one of them finds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.orm import Session

from sgpshop.domain.billing_calendar import due_month, next_month
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    Attempt,
    AttemptState,
    Billing,
    BillingState,
    CardTransaction,
    DailyJob,
    Delivery,
    HistoryEntry,
    Operation,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.services import settings, subscriptions
from sgpshop.services.order_search.totals import Total, more_taken
from sgpshop.services.subscriptions import stages
from sgpshop.services.subscriptions.billing import planning, selecting
from sgpshop.services.subscriptions.stages import IS_SUBSCRIPTION
from sgpshop.storage.database import writing
from sgpshop.storage.questions import answer
from tests.gateway_world import World
from tests.services.subscribing import jst

pytestmark = pytest.mark.postgresql

S, P, B = PaymentStatus, ProcessingClass, BillingState
ORDERS = 200
#: of the month that was registered last, of the one before, of this one, and of the next
MOMENTS = (
    jst(2026, 9, 14),
    jst(2026, 10, 3),
    jst(2026, 10, 31, 23, 59),
    jst(2026, 11, 1),
    jst(2026, 11, 9),
    jst(2026, 11, 12),
    jst(2026, 12, 1),
)
NOW = jst(2026, 12, 3, 12)


@pytest.fixture(autouse=True)
def _now(shop: World) -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def an_order(session: Session, chance: random.Random, number: int) -> None:
    """One of any kind and stage, possible or not, and what may hang on it."""
    order = Order(
        order_no=f"W{number:05}",
        ordered_at=jst(2026, 9, 1) + timedelta(hours=number),
        kind=chance.choice((*[OrderKind.SUBSCRIPTION] * 9, OrderKind.NORMAL)),
        method="SGP",
        payment_status=chance.choice(
            (*[S.AWAITING_BILLING] * 6, *[S.BILLING_REPORTED] * 3, S.CAPTURE_FAILED, S.NEEDS_REVIEW)
        ),
        processing_class=chance.choice(
            (*[P.DELIVERED] * 4, *[P.UNPROCESSED] * 2, *[P.RETURNED] * 2)
        ),
        total=2**number % 1_000_003,  # no two sums are the same
        cancel_waived_at=chance.choice((*[None] * 7, *MOMENTS)),
        updated_at=chance.choice(MOMENTS),
        deliveries=[
            Delivery(
                number=one,
                delivered_at=chance.choice((None, *MOMENTS)),
                slip_no=chance.choice(("", "", "123")),
                status=chance.choice(list(DeliveryStatus)),
            )
            for one in range(chance.choice((1, 1, 2)))
        ],
    )
    session.add(order)
    session.flush()
    its = CardTransaction(order_id=order.id, gateway_order_id=order.order_no)
    its.gateway_state = chance.choice((*["CHECK"] * 6, None, None, None, "AUTH", "VOID"))
    its.looks, its.member_id = chance.choice((0, 1)), chance.choice(("", "", "", "M1"))
    session.add(its)
    if chance.random() < 0.1:
        session.add(
            CardTransaction(
                order_id=order.id,
                sequence=1,
                is_current=False,
                gateway_order_id=f"{order.order_no}-1",
                gateway_state=chance.choice(("SALES", "VOID")),
            )
        )
    session.flush()
    if chance.random() < 0.9:
        for one in sorted(chance.sample(MOMENTS, 2)):
            session.add(
                HistoryEntry(
                    order_id=order.id,
                    at=one,
                    actor_kind="worker",
                    actor="x",
                    event="delivered",
                    processing_class=chance.choice((*[P.DELIVERED] * 3, *P)),
                )
            )
    if chance.random() < 0.15:
        session.add(
            Alert(
                order_id=order.id,
                kind=chance.choice(
                    (AlertKind.DUPLICATE_ROUND, AlertKind.CANCELLED_IN_FILE, AlertKind.CARD_UNFIT)
                ),
                facts="",
                acknowledged_at=chance.choice((None, None, NOW)),
            )
        )
    for month in range(9, chance.choice((9, 9, 9, 10, 11))):
        attempt = an_attempt(session, order, its, AttemptState.DONE)
        session.add(
            Billing(
                order_id=order.id,
                month=date(2026, month, 1),
                gateway_order_id=order.order_no,
                amount=1,
                by_file=True,
                attempt_id=attempt.id,
                state=chance.choice(list(B)),
                planned_at=chance.choice(MOMENTS),
            )
        )
    if chance.random() < 0.1:
        an_attempt(session, order, its, AttemptState.QUEUED)


def an_attempt(
    session: Session, order: Order, its: CardTransaction, state: AttemptState
) -> Attempt:
    attempt = Attempt(
        order_id=order.id,
        transaction_id=its.id,
        operation=Operation.CHANGE_AMOUNT,
        state=state,
        amount=1,
        gateway_order_id=order.order_no,
        actor_kind="worker",
        actor="x",
        status_before=S.AWAITING_BILLING,
    )
    session.add(attempt)
    session.flush()
    return attempt


def of_every(*conditions: Any) -> Total:
    figures = sa.func.count(), sa.func.sum(Order.total)
    count, yen = db.session.execute(sa.select(*figures).where(IS_SUBSCRIPTION, *conditions)).one()
    return Total(count, int(yen or 0))


@pytest.mark.parametrize("was_registered", [True, False])
def test_the_few_that_are_asked_say_what_all_of_them_say(was_registered: bool) -> None:
    chance = random.Random(was_registered)
    with writing() as session:
        for number in range(ORDERS):
            an_order(session, chance, number)
        for month in (10, 11) if was_registered else ():
            job = DailyJob(name=selecting.JOB, day=date(2026, month, 1))
            job.started_at = jst(2026, month, 10, 6)
            session.add(job)
    day = settings.load().billing_day
    over = due_month(NOW, day)
    upcoming, last = next_month(over), planning.due_last(utc_now())
    due, causes = selecting.to_register(upcoming), stages.causes_of_attention(*last)
    is_any = sa.or_(*causes.values())
    more = db.session.scalar(sa.select(more_taken([IS_SUBSCRIPTION, stages.NEEDS_REFUND]))) or 0
    assert not more
    expected = {
        "next": of_every(due, selecting.IS_FREE),
        "earlier": of_every(due, selecting.is_of(over), selecting.IS_FREE),
        "later": of_every(selecting.IS_BILLABLE, selecting.IS_FREE, ~due),
        "under_way": of_every(selecting.IS_BILLABLE, ~selecting.IS_FREE),
        "undelivered": of_every(stages.IS_UNDELIVERED),
        "delivered": of_every(selecting.IS_BILLABLE),
        "reminder": of_every(stages.NEEDS_REMINDER),
        "in_review": of_every(Order.payment_status == S.NEEDS_REVIEW),
        "attention": of_every(is_any),
        **{
            name: of_every(condition)
            for name, condition in causes.items()
            if name not in ("held_up", "passed_over")
        },
    }
    found = subscriptions.outlook(day, NOW)
    assert {name: getattr(found, name) for name in expected} == expected
    assert [
        name for name, total in expected.items() if not total.count
    ] == []  # there are all kinds
    left_behind = of_every(causes["passed_over"])
    assert (left_behind.count > 0) is was_registered
    urgent = answer(subscriptions.urgent_question(NOW))
    assert (urgent.undelivered, urgent.attention) == (found.undelivered, found.attention)
    wanted = set(db.session.scalars(sa.select(Order.id).where(IS_SUBSCRIPTION, is_any)))
    listed = sa.select(Order.id).where(stages.needs_attention())
    assert set(db.session.scalars(listed)) == wanted
    again = of_every(stages.CAN_BE_TAKEN_AGAIN)
    months = subscriptions.failed_months()
    assert sum(one.total.count for one in months) == again.count > 0
    assert sum(one.total.yen for one in months) == again.yen
    assert answer(subscriptions.failed_question())


def test_no_order_is_asked_of_which_nothing_is_to_be_said() -> None:
    with writing() as session:
        for number in range(6):
            an_order(session, random.Random(9), number)
        session.execute(
            sa.update(Order).values(
                kind=OrderKind.SUBSCRIPTION,
                payment_status=S.AWAITING_BILLING,
                processing_class=P.DELIVERED,
            )
        )
        session.execute(sa.update(Delivery).values(delivered_at=jst(2026, 11, 20)))
        session.execute(sa.update(CardTransaction).values(gateway_state="CHECK"))
        session.execute(sa.delete(Alert))
        session.execute(sa.delete(Billing))
    found = [*stages.suspects(planning.due_last(utc_now())[0])]
    assert db.session.scalars(sa.union_all(*found)).all() == []
