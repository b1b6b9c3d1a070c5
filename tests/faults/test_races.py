"""Double click, two tabs, two processes: one order, one capture (P1, P7, P19).

Each guard is taken away once, to show that the test would notice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.models import Attempt, Operation, Order, utc_now
from sgpshop.models.attempt import ActorKind, AttemptState
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import acts, journal, outcomes, runner
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.faults.oracle import violations
from tests.gateway_world import World

TANAKA = Actor.person("田中")
AT_ONCE = 8


def all_at_once(app: Flask, action: Callable[[int], Any], number: int = AT_ONCE) -> list[Any]:
    """What `action(n)` gave in that many threads that start together; refusals as exceptions."""
    results: list[Any] = [None] * number
    barrier = threading.Barrier(number)

    def one(n: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                results[n] = action(n)
            except ShopError as refusal:
                results[n] = refusal
            finally:
                db.session.remove()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def judge(world: World, order: Order) -> list[str]:
    control = world.simulator.test_client()
    return violations(
        [world.trade(order.order_no)],
        control.get(f"/_control/requests?order_id={order.order_no}").get_json(),
        {order.order_no: fresh(order).payment_status},
    )


def click(order_id: int, seen: Seen) -> int:
    attempt_id = acts.open_capture(order_id, seen, TANAKA)
    runner.run_operation(attempt_id)
    return attempt_id


def test_a_double_click_is_one_capture(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    seen = Seen(order.version, order.total, "one form")
    results = all_at_once(app, lambda _: click(order.id, seen))
    assert len(set(results)) == 1  # P19: everybody gets the first result
    assert len(shop.requests(order.order_no)) == 1
    assert judge(shop, order) == []


def test_many_tabs_are_one_capture(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    results = all_at_once(
        app, lambda n: click(order.id, Seen(order.version, order.total, f"tab {n}"))
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert len(shop.requests(order.order_no)) == 1  # P7
    assert judge(shop, order) == []


def test_many_workers_carry_an_attempt_out_once(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, Seen(order.version, order.total, "t"), TANAKA)
    all_at_once(app, lambda _: runner.run_operation(attempt_id))
    assert len(shop.requests(order.order_no)) == 1
    assert judge(shop, order) == []


def test_without_the_claim_many_workers_would_send_it_again(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard removed: everybody who asks gets the attempt."""
    order = authorized_order(shop)
    attempt_id = acts.open_capture(order.id, Seen(order.version, order.total, "t"), TANAKA)
    work = journal.claim(attempt_id)
    monkeypatch.setattr(journal, "claim", lambda _: work)
    everybody, ask = threading.Barrier(3, timeout=60), journal.may_still_send

    def ask_with_the_others(claimed: journal.ClaimedAttempt) -> bool:
        may_send = ask(claimed)
        everybody.wait()  # none has its answer before the last has passed every other guard, this one too
        return may_send

    monkeypatch.setattr(journal, "may_still_send", ask_with_the_others)
    all_at_once(app, lambda _: runner.run_operation(attempt_id), number=3)
    assert len(shop.requests(order.order_no)) == 3


def test_the_database_itself_refuses_a_second_open_attempt(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    assert order.id
    acts.open_capture(order.id, Seen(order.version, order.total, "t"), TANAKA)

    def another() -> None:
        with writing() as session:
            session.add(
                Attempt(
                    order_id=order.id,
                    transaction_id=fresh(order).transaction.id,  # type: ignore[union-attr]
                    operation=Operation.CAPTURE,
                    state=AttemptState.QUEUED,
                    amount=order.total,
                    gateway_order_id=order.order_no,
                    actor_kind=ActorKind.PERSON,
                    actor="鈴木",
                    due_at=utc_now(),
                )
            )

    with pytest.raises(IntegrityError):
        another()  # P7: not only code
    db.session.execute(sa.text("DROP INDEX uq_attempts_open"))
    db.session.commit()
    another()  # without the guard it would stand there


@pytest.mark.parametrize("is_looked_at", [True, False])
def test_without_the_look_up_a_lost_answer_would_be_sent_again(
    shop: World, monkeypatch: pytest.MonkeyPatch, *, is_looked_at: bool
) -> None:
    """The guard removed: a lost answer is taken for a refusal.  What failed is looked at first all the same."""
    order = authorized_order(shop)
    shop.fault("drop_after")
    claim = journal.claim

    def claim_to_send_at_once(attempt_id: int) -> journal.ClaimedAttempt | None:
        claimed = claim(attempt_id)
        assert claimed is not None
        with writing() as session:
            session.execute(sa.update(Attempt).values(sent_at=utc_now()))
        return replace(claimed, look_first=False, may_be_paid_past_us=False)

    monkeypatch.setattr(outcomes, "unknown", outcomes.rejected)
    if not is_looked_at:
        monkeypatch.setattr(journal, "claim", claim_to_send_at_once)
    for token in ("first", "second"):
        now = fresh(order)
        click(order.id, Seen(now.version, now.total, token))
    assert len(shop.requests(order.order_no)) == (1 if is_looked_at else 2)
    assert (judge(shop, order) == []) is is_looked_at
