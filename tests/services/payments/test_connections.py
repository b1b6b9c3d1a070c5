"""The number of connections is a promise to SMBC-GP for the whole shop (interfaces.md §3)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import requests
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.gateway import GatewayRejected, SmbcGpGateway
from sgpshop.models import GatewayShare, utc_now
from sgpshop.services.payments import connections as module
from sgpshop.services.payments.connections import Connections, connections, share_out
from tests.gateway_world import CREDENTIALS, World

pytestmark = pytest.mark.postgresql
MOST = 4


@pytest.fixture
def overrides() -> dict[str, object]:
    return {"GATEWAY_CONCURRENCY": MOST}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is within the moments of congestion all the same."""
    monkeypatch.setattr(module, "_SAME_MOMENT", timedelta(hours=1))
    monkeypatch.setattr(module, "_FASTER_EVERY", timedelta(hours=1))


@pytest.fixture
def process(app: Flask) -> Iterator[Callable[[], Connections]]:
    """Makes what one more worker would have."""
    made: list[Connections] = []

    def make() -> Connections:
        made.append(Connections(app))
        made[-1].stay()
        return made[-1]

    with app.app_context():
        yield make
        for one in made:
            one.leave()
        db.session.remove()


def take_all(process: Connections) -> int:
    """How many exchanges it may begin now."""
    taken = 0
    while process.acquire(timeout=0.05):
        taken += 1
    return taken


def give_back(process: Connections, number: int) -> None:
    for _ in range(number):
        process.release()


def settle(*processes: Connections) -> None:
    """Each looks at the shares again, as it does every few seconds."""
    for process in processes * 2:
        process.look_again(0.0)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"a": 4}, {"a": 4}),
        ({"a": 1}, {"a": 1}),
        ({"a": 4, "b": 4}, {"a": 2, "b": 2}),
        ({"a": 4, "b": 1}, {"a": 3, "b": 1}),
        ({"a": 4, "b": 4, "c": 4}, {"a": 2, "b": 1, "c": 1}),
        (dict.fromkeys("abcdef", 4), dict(zip("abcdef", [1, 1, 1, 1, 0, 0], strict=True))),
    ],
)
def test_they_are_shared_out_fairly(wanted: dict[str, int], given: dict[str, int]) -> None:
    assert share_out(MOST, wanted) == given


def test_one_process_alone_has_them_all(process: Callable[[], Connections]) -> None:
    assert take_all(process()) == MOST


def test_all_processes_together_have_no_more(
    process: Callable[[], Connections], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHORT_EVERY", 0.0)
    first, second = process(), process()
    assert take_all(first) == MOST
    assert take_all(second) == 0  # all are in use
    settle(first)
    assert take_all(second) == 0  # and stay so until their exchanges are over
    give_back(first, MOST)
    settle(first)
    assert [take_all(first), take_all(second)] == [MOST // 2, MOST // 2]


def test_what_one_does_not_use_another_has(
    process: Callable[[], Connections], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REST_AFTER", 0.0)  # it rests at once
    first, second = process(), process()
    assert first.acquire(timeout=1)
    first.release()
    settle(first)
    assert take_all(second) == MOST - 1


def test_who_is_no_worker_gives_all_back_after_its_last_exchange(
    app: Flask, process: Callable[[], Connections], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHORT_EVERY", 0.0)
    web, worker = Connections(app), process()
    assert take_all(web) == MOST
    give_back(web, MOST - 1)
    assert take_all(worker) == 0
    give_back(web, 1)
    assert take_all(worker) == MOST
    assert take_all(web) == 0  # it waited in vain, and wants none any more
    give_back(worker, MOST)
    settle(worker)
    assert take_all(worker) == MOST


def test_a_process_that_ends_leaves_them_to_the_others(process: Callable[[], Connections]) -> None:
    first, second = process(), process()
    give_back(first, take_all(first))
    first.leave()
    assert take_all(second) == MOST


def test_those_of_a_killed_process_of_this_machine_are_free_at_once(
    process: Callable[[], Connections],
) -> None:
    dead = f"{module._machine()}/{_pid_of_nobody()}/0"
    _hold(dead, MOST, utc_now() + timedelta(seconds=30))
    assert take_all(process()) == MOST


def test_those_of_another_machine_are_free_when_its_time_is_over(
    process: Callable[[], Connections],
) -> None:
    _hold("elsewhere/0/1/0", MOST, utc_now() + timedelta(seconds=30))
    assert take_all(process()) == 0
    db.session.execute(sa.update(GatewayShare).values(until=utc_now() - timedelta(seconds=1)))
    db.session.commit()
    assert take_all(process()) == MOST


def test_a_process_that_was_frozen_begins_nothing_before_it_has_looked(
    process: Callable[[], Connections], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = process()
    give_back(first, take_all(first))
    frozen = time.monotonic() + module._TRUST + 1
    monkeypatch.setattr(time, "monotonic", lambda: frozen)
    assert not first._has_free()


@pytest.mark.usefixtures("soon")
def test_congestion_slows_all_of_them_and_passes(process: Callable[[], Connections]) -> None:
    first, second = process(), process()
    first.congested()
    second.congested()  # of the same moment: counts once
    assert take_all(first) + take_all(second) == MOST // 2
    db.session.execute(  # it was a while ago
        sa.update(GatewayShare)
        .where(GatewayShare.holder == "*")
        .values(until=utc_now() - timedelta(hours=2))
    )
    db.session.commit()
    settle(second)
    assert take_all(second) == 1


@pytest.mark.usefixtures("soon")
def test_whoever_hears_of_congestion_slows_all_of_them(
    world: World, process: Callable[[], Connections]
) -> None:
    """Not captures alone: comparisons, monthly files and the command line ask as well (P12)."""
    session = requests.Session()
    session.mount("http://", world.wire)
    gateway = SmbcGpGateway(
        "http://127.0.0.1",
        CREDENTIALS,
        session=session,
        free=connections(),
        allow_loopback_http=True,
    )
    world.fault("error:E92000001", "SearchTrade")
    with pytest.raises(GatewayRejected):
        gateway.search_trade("20261129-001")
    assert take_all(process()) == MOST // 2


def _hold(holder: str, slots: int, until: object) -> None:
    db.session.add(GatewayShare(holder=holder, slots=slots, wanted=slots, until=until))
    db.session.commit()


def _pid_of_nobody() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child
