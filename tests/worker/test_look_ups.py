"""Look-ups go one after the other without waiting for a sweep, and captures go first (P23)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Queue
from sgpshop.services.installation.health import due_work
from sgpshop.services.installation.health.due_work import AnyDue
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.queue import Messages, Task, Urgency, decode, messages
from sgpshop.worker import house as module
from sgpshop.worker.house import House
from sgpshop.worker.pace import Throttle
from sgpshop.worker.told import Key, Told
from tests.factories import authorized_order
from tests.gateway_world import World

CONNECTIONS = 4


class Threads:
    """A worker whose threads do nothing by themselves."""

    pace = Throttle(6)
    share = CONNECTIONS
    is_paused = is_busy = False

    def is_at(self, _key: Key) -> bool:
        return False

    def is_resting(self, _key: Key) -> bool:
        return False

    def has_place_for(self, _task: Task) -> bool:
        return True

    def links_under_way(self) -> int:
        return 0


@pytest.fixture
def told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What the queue is told: task, row, urgency."""
    found: list[tuple[str, int, int]] = []

    def send(letters: Sequence[tuple[bytes, int]]) -> bool:
        found.extend((*decode(data), urgency) for data, urgency in letters)
        return True

    with app.app_context():
        monkeypatch.setattr(messages(), "send", send)
    return found


@pytest.fixture
def due(shop: World) -> list[int]:
    """Nine transactions to look up."""
    orders = [authorized_order(shop) for _ in range(9)]
    ids = list(
        db.session.scalars(
            sa.select(CardTransaction.id)
            .where(CardTransaction.order_id.in_([order.id for order in orders]))
            .order_by(CardTransaction.id)
        )
    )
    transaction_lookup.look_soon_at(ids)
    return ids


def looked_up(transaction_id: int) -> None:
    transaction_lookup.look_up(transaction_id)
    db.session.rollback()


@pytest.mark.alike
def test_the_end_of_one_tells_of_the_next_without_a_sweep(
    app: Flask, due: list[int], told: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SWEEP_EVERY", "_SWEEP_AFTER_WORK"):
        monkeypatch.setattr(module, name, 3600.0)
    house = House(app, "test", 6, Threads())
    told.clear()
    house.loop()
    assert len(told) == CONNECTIONS - 1  # one is left for captures
    sweeps: list[int] = []
    monkeypatch.setattr(
        due_work, "any_due", lambda: AnyDue(bool(sweeps.append(1)), texts=False, others=False)
    )
    done = 0
    while done < len(told):
        assert len(told) - done <= CONNECTIONS - 1
        task, row_id, urgency = told[done]
        assert (task, urgency) == (Task.LINK, Urgency.LATER)
        looked_up(row_id)
        house.is_done((Queue.LOOK_UP, row_id))
        done += 1
    assert sorted(row_id for _, row_id, _ in told) == due
    assert not sweeps
    house.loop()
    assert sweeps  # the last one asked for it at once


@pytest.mark.alike
def test_of_two_workers_each_goes_on_with_what_the_other_told(
    app: Flask, due: list[int], told: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SWEEP_EVERY", "_SWEEP_AFTER_WORK"):
        monkeypatch.setattr(module, name, 3600.0)
    houses = [House(app, name, 6, Threads()) for name in "ab"]
    told.clear()
    houses[0].loop()
    houses[1].loop()
    senders = [0] * (CONNECTIONS - 1) + [1] * (CONNECTIONS - 1)
    monkeypatch.setattr(due_work, "any_due", lambda: AnyDue(work=False, texts=False, others=False))
    done = 0
    while done < len(told):
        _, row_id, _ = told[done]
        looked_up(row_id)
        taker = 1 - senders[done]
        houses[taker].is_done((Queue.LOOK_UP, row_id))
        senders += [taker] * (len(told) - len(senders))
        done += 1
        assert len(told) - done <= 2 * (CONNECTIONS - 1)
    assert {row_id for _, row_id, _ in told} == set(due)


@pytest.mark.alike
def test_while_captures_wait_one_look_up_goes_after_the_other_among_them(
    app: Flask, due: list[int], told: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Messages, "size", lambda _self: 1000)
    house = House(app, "test", 6, Threads())
    told.clear()
    house.loop()
    assert told == [(Task.LINK, due[0], Urgency.FOUND)]
    house.is_done((Queue.LOOK_UP, due[0]))
    assert told[1:] == [(Task.LINK, due[1], Urgency.FOUND)]


def test_what_was_found_and_runs_low_asks_for_the_next_sweep(
    app: Flask, told: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There were more than a sweep tells of: it does not wait until the last of them is done."""
    for name in ("_SWEEP_EVERY", "_SWEEP_AFTER_WORK"):
        monkeypatch.setattr(module, name, 3600.0)
    threads, limits = 2, []

    def many(limit: int, **_: object) -> due_work.DueWork:
        limits.append(limit)
        ids = list(range(1, limit + 1))
        return due_work.DueWork([], [], ids, [], [], [], [], frozenset(), is_more=True)

    monkeypatch.setattr(due_work, "any_due", lambda: AnyDue(work=True, texts=False, others=False))
    monkeypatch.setattr(due_work, "due_work", many)
    house = House(app, "test", threads, Threads())
    house.loop()
    for row_id in range(1, limits[0] - threads):
        house.is_done((Queue.ATTEMPT, row_id))
    house.loop()
    assert len(limits) == 1
    house.is_done((Queue.ATTEMPT, limits[0] - threads))
    house.loop()
    assert len(limits) == 2


def test_none_is_told_of_twice_while_it_is_not_done() -> None:
    told = Told(lambda count: 2 - count)
    assert told.line_up([1, 2, 3]) == [1, 2]
    assert told.line_up([1, 2, 3]) == []
    assert told.done((Queue.LOOK_UP, 2)) == (True, [3])
    assert told.left() == 2
    assert told.done((Queue.LOOK_UP, 9)) == (False, [])
