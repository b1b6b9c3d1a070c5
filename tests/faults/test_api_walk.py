"""A random walk of programs over one order after the other: every write of the API, repeated as they like,
with lost answers and crashes of the worker.

What is answered is as the document says (tests/web/api_calls.py), what the table of acts refuses is
refused, one request has one effect, and the gateway's yen are in our books once (P1-P5, P19, P27).
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from sgpshop.domain import order_acts
from sgpshop.domain.order_acts import Act
from sgpshop.extensions import db
from sgpshop.models import Order, utc_now
from sgpshop.services import settings, slips
from tests import own_worker
from tests.factories import authorized_order
from tests.faults.judging import complaints, settle, work_off
from tests.faults.walk import api, fault
from tests.gateway_world import Killed, World
from tests.seeds import seed_of
from tests.web.api_calls import ORDERS, Program

STEPS = 20
WALKS = int(os.environ.get("SOAK_API_WALKS", "6"))
ACTS = {
    "capture": Act.CAPTURE,
    "cancel": Act.CANCEL,
    "extend": Act.EXTEND,
    "refund-difference": Act.REFUND_DIFFERENCE,
}


@pytest.fixture
def overrides() -> dict[str, Any]:
    """A look-up proves at once, nobody waits, and nothing is counted."""
    many = ("API_REQUESTS_PER_KEY", "API_REQUESTS_PER_ADDRESS", "API_SEARCHES_PER_KEY")
    return {"QUIET_PERIOD": 0.0, "ANSWER_WAIT": 0.0, "CONGESTION_TRIES": 2} | dict.fromkeys(
        many, 10**6
    )


class Walk(RuleBasedStateMachine):
    """One program and its orders; `app`, `world` and `program` are shared by all walks of a test."""

    app: Flask
    world: World
    program: Program

    def __init__(self) -> None:
        super().__init__()
        db.session.remove()
        order = authorized_order(self.world, total=3000, told=True)
        self.id, self.order_no = order.id, order.order_no
        #: what was sent: address, body, key
        self.sent: list[tuple[str, dict[str, Any], str]] = []

    def now(self) -> dict[str, Any]:
        return dict(self.program.get(f"{ORDERS}/{self.order_no}").get_json())

    @rule(act=st.sampled_from(sorted(ACTS)), fault=fault, api=api)
    def act(self, act: str, fault: str, api: str) -> None:
        now = self.now()
        body = {"version": now["version"], "amount": now["total"]}
        if act in ("cancel", "refund-difference"):
            body["refund"] = True
        db.session.rollback()
        order = db.session.get_one(Order, self.id, populate_existing=True)
        may = order_acts.button(ACTS[act], order, settings.load(), utc_now()).is_enabled
        db.session.rollback()
        answer = self.send(f"{ORDERS}/{self.order_no}/{act}", body, fault, api)
        assert (answer.status_code in (200, 202)) == may, answer.text

    @rule(total=st.integers(1, 12).map(lambda n: n * 500), fault=fault)
    def change_the_amount(self, total: int, fault: str) -> None:
        now = self.now()
        body = {"version": now["version"], "amount": now["total"], "new_amount": total}
        path = f"{ORDERS}/{self.order_no}/amount"
        self.send(path, body | {"confirm_increase": True}, fault, "ChangeTran")

    @rule(
        status=st.sampled_from(["preparing", "delivered", "returned"]),
        capture=st.booleans(),
        fault=fault,
    )
    def tell_of_the_parcel(self, status: str, capture: bool, fault: str) -> None:
        now = self.now()
        parcel = {"status": status, "slip_numbers": [str(now["version"])]}
        order = {"order_no": self.order_no, "amount": now["total"], "parcels": [parcel]}
        body = {"orders": [order], "capture": capture}
        self.send("/api/v1/fulfilments", body, fault, "AlterTran")

    @rule(which=st.integers(0, 30))
    def repeat_something(self, which: int) -> None:
        """The same request again, whenever: its own answer, or how it stands by now."""
        if self.sent:
            path, body, key = self.sent[which % len(self.sent)]
            self.program.post(path, body, again=key)

    @rule(which=st.integers(0, 30))
    def repeat_without_the_key(self, which: int) -> None:
        """It was done, or it was not: it is never done again as it stands."""
        if self.sent:
            path, body, _key = self.sent[which % len(self.sent)]
            answer = self.program.post(path, body)
            is_new = path.endswith("fulfilments") or body["version"] == self.now()["version"]
            assert is_new or answer.status_code in (409, 422)

    @rule()
    def the_worker_works(self) -> None:
        self.work()

    def send(self, path: str, body: dict[str, Any], fault: str, api: str) -> Any:
        if fault.startswith("killed"):
            self.world.wire.die = fault.removeprefix("killed ")
        elif fault:
            self.world.fault(fault, api, order_id=self.order_no)
        key = secrets.token_hex(8)
        self.sent.append((path, body, key))
        answer = self.program.post(path, body, again=key)
        self.work()
        self.world.behave()
        return answer

    def work(self) -> None:
        try:
            work_off(self.id)
        except Killed:
            db.session.remove()

    def teardown(self) -> None:
        self.world.behave()
        settle(self.id)
        while due := slips.due(100):
            slips.process_batch(due[0])
        assert self.now()["open_operation"] is None
        assert complaints(self.world, self.id) == []


def test_whatever_programs_do_every_yen_is_booked_once(app: Flask, shop: World) -> None:
    settings.save("test", extend_auth_enabled=True)
    own_worker.of(app).how = "off"  # the walk itself is what works

    class Here(Walk):
        pass

    Here.app, Here.world, Here.program = app, shop, Program(app)
    seed(seed_of("API_WALK_SEED"))(Here)
    run_state_machine_as_test(
        Here,
        settings=how(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
