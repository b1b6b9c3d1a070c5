"""The random walk in its short form; `make soak` walks 10,000 steps on each database."""

from __future__ import annotations

import os
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from sgpshop.domain import order_rules
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.services.payments import outcomes
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.operations.capture import CapturePlan
from sgpshop.services.payments.operations.plan import Step
from tests.faults.walk import Walk
from tests.gateway_world import World
from tests.seeds import seed_of
from tests.services.acting import effects

STEPS = 25
WALKS = int(os.environ.get("SOAK_WALKS", "6"))


@pytest.fixture
def overrides() -> dict[str, Any]:
    """A look-up proves at once, and no time passes between tries."""
    return {
        "QUIET_PERIOD": 0.0,
        "ANSWER_WAIT": 0.0,
        "CONGESTION_TRIES": 2,
        "NOTIFY_LOOK_PAUSE": 0.0,
        "NOTIFY_LOOKS_PER_MINUTE": 10**6,
    }


def walk(app: Flask, world: World, number: int) -> None:
    class Here(Walk):
        pass

    Here.app, Here.world = app, world
    seed(number)(Here)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.explicit, Phase.generate),  # a walk that fails tells enough as it is
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_walk_ends_with_another_amount_or_a_second_effect(app: Flask, shop: World) -> None:
    walk(app, shop, seed_of("WALK_SEED"))


@pytest.fixture
def walker(app: Flask, shop: World) -> Walk:
    """A walk whose steps are told: without one of the guards it ends in a complaint."""
    Walk.app, Walk.world = app, shop
    return Walk()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_it_would_notice_a_lost_answer_taken_for_a_refusal(
    walker: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "unknown", outcomes.rejected)
    walker.capture("drop_after", "AlterTran")
    with pytest.raises(AssertionError):
        walker.teardown()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_nothing_moves_before_a_second_person_said_yes(walker: Walk) -> None:
    order = walker.order
    walker.the_shop_wants_a_second_look(1)
    walker.capture("", "AlterTran")
    walker.tick_it_for_a_run("sgp_capture", "", "AlterTran")
    walker.a_warehouse_tells_of_the_parcel(DeliveryStatus.DELIVERED, True, "", "AlterTran")
    walker.pump()
    assert effects(walker.world, order) == []
    walker.a_second_person_decides("", "AlterTran", True)
    walker.cancel("", "AlterTran")
    walker.pump()
    assert effects(walker.world, order) == [("SALES", 3000)]
    for _ in range(3):  # the run and the parcel are void by now
        walker.a_second_person_decides("drop_after", "AlterTran", True)
    assert [job for job, _ in effects(walker.world, order)] == ["SALES"]
    assert walker.order != order  # the walk went on with another one


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_it_would_notice_a_capture_of_an_amount_that_was_not_sent(
    walker: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whatever_is_held(
        _plan: CapturePlan, _trade: object, work: ClaimedAttempt, *_: object
    ) -> list[Step]:
        return [Step("SALES", lambda gateway, access: gateway.capture(access, work.held or 0))]

    monkeypatch.setattr(order_rules, "is_unsent", lambda _order: False)
    monkeypatch.setattr(CapturePlan, "steps", whatever_is_held)
    walker.edit(2_500)
    walker.capture("", "AlterTran")
    with pytest.raises(AssertionError):
        walker.teardown()
