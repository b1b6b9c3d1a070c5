"""A random walk of programs over one order after the other: every write of the API, orders handed in
in every form and with every test token, repeated as they like, with lost answers and crashes of the worker.

What is answered is as the document says (tests/api_answers.py), what the table of acts refuses is
refused, one request has one effect, and the gateway's yen are in our books once (P1-P5, P19, P27).
"""

from __future__ import annotations

import os
import re
import secrets
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from sgpshop.domain import order_acts
from sgpshop.domain.order_acts import Act
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Order, utc_now
from sgpshop.services import settings
from sgpshop.services.deliveries import slips
from sgpshop.services.orders.history_check import Verification
from sgpshop.simulator import cards
from tests import own_worker
from tests.factories import authorized_order
from tests.faults.judging import complaints, settle, work_off
from tests.faults.walk import api, fault
from tests.gateway_world import Killed, World
from tests.seeds import seed_of
from tests.services.payments.test_three_ds import OURS, at_bank, back
from tests.web.api_calls import ORDERS, Program, new_order

STEPS = 20
WALKS = int(os.environ.get("SOAK_API_WALKS", "4"))
#: How an order may be handed in besides the plain way, and what it is not paid by.
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "free": {"total": 0, "points_used": 2500, "payment": {"method": "ポイント全額"}},
    "by transfer": {"payment": {"method": "銀行振込"}},
    "prices without tax": {"prices_include_tax": False, "total": 2710},
    "an item without tax": {
        "items": [{"code": "B", "name": "商品券", "unit_price": 2000, "quantity": 1, "tax_rate": 0}]
    },
}
_HELD = ("AUTH", "CAPTURE", "SALES")
ACTS = {
    "capture": Act.CAPTURE,
    "cancel": Act.CANCEL,
    "extend": Act.EXTEND,
    "refund-difference": Act.REFUND_DIFFERENCE,
}


@pytest.fixture
def overrides() -> dict[str, Any]:
    """A look-up proves at once, nobody waits, and nothing is counted."""
    more = {"PUBLIC_URL": OURS, "CHECKOUT_WAIT": 0.0}
    many = ("API_REQUESTS_PER_KEY", "API_REQUESTS_PER_ADDRESS", "API_SEARCHES_PER_KEY")
    more |= {"QUIET_PERIOD": 0.0, "ANSWER_WAIT": 0.0, "CONGESTION_TRIES": 2}
    return more | dict.fromkeys(many, 10**6)


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
        #: orders it left for the next one, and the numbers of those it handed in
        self.left: list[int] = []
        self.handed_in: list[str] = []

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

    @rule(
        form=st.sampled_from(sorted(FORMS)),
        has_hyphens=st.booleans(),
        card=st.sampled_from(sorted(cards.TEST_TOKENS)),
        three_ds=st.sampled_from(["required", "none", None]),
        on_decline=st.sampled_from(["keep", "refuse"]),
        fault=fault,
        api=st.sampled_from(["EntryTran", "ExecTran"]),
    )
    def hand_in(
        self,
        form: str,
        has_hyphens: bool,
        card: str,
        three_ds: str | None,
        on_decline: str,
        fault: str,
        api: str,
    ) -> None:
        body = new_order(self.world, three_ds=three_ds, on_decline=on_decline)
        body |= {"payment": {"token": card}} | FORMS[form]
        if has_hyphens:
            body["order_no"] = f"40-{body['order_no'][-8:]}-1"
        self.handed_in.append(body["order_no"])
        answer = self.send(ORDERS, body, fault, api)
        assert answer.status_code == 201, answer.text
        if form in ("free", "by transfer"):
            assert self.world.requests(body["order_no"]) == []
        order = self.order_of(body["order_no"])
        if order is not None and order.payment_status is PaymentStatus.AUTHORIZED:
            self.left.append(self.id)
            self.id, self.order_no = order.id, order.order_no

    @rule(which=st.integers(0, 30), answer=st.sampled_from(["yes", "no"]))
    def a_buyer_comes_back(self, which: int, answer: str) -> None:
        """From the bank, whose answer SMBC-GP tells us."""
        if not self.handed_in:
            return
        order = self.order_of(self.handed_in[which % len(self.handed_in)])
        if order is None:
            return
        url = self.program.get(f"{ORDERS}/{order.order_no}").get_json()["redirect_url"]
        if url:
            access_id = at_bank(self.world, url, answer)
            back(self.app, order, access_id, self.number_of(order))
            self.work()

    @rule(which=st.integers(0, 30))
    def try_another_card(self, which: int) -> None:
        sent = [
            body for path, body, _ in self.sent if path == ORDERS and "token" in body["payment"]
        ]
        if sent:
            body = sent[which % len(sent)] | {"payment": {"token": "tok_test_good"}}
            self.send(ORDERS, body, "", "ExecTran")

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
            if "version" in body:
                number = path.split("/")[-2]
                now = self.program.get(f"{ORDERS}/{number}").get_json()
                assert body["version"] == now["version"] or answer.status_code in (409, 422)
            self.work()

    @rule()
    def the_worker_works(self) -> None:
        self.work()

    def send(self, path: str, body: dict[str, Any], fault: str, api: str) -> Any:
        if fault.startswith("killed"):
            self.world.wire.die = fault.removeprefix("killed ")
        elif fault:
            self.world.fault(fault, api, order_id=body.get("order_no", self.order_no))
        key = secrets.token_hex(8)
        self.sent.append((path, body, key))
        answer = self.program.post(path, body, again=key)
        self.work()
        self.world.behave()
        return answer

    def work(self) -> None:
        try:
            for order_id in [self.id, *self.left, *self.ids_handed_in()]:
                work_off(order_id)
        except Killed:
            db.session.remove()

    def order_of(self, number: str) -> Order | None:
        db.session.rollback()
        wanted = sa.select(Order).where(Order.order_no == number)
        return db.session.scalar(wanted.execution_options(populate_existing=True))

    def number_of(self, order: Order) -> str:
        assert order.transaction is not None
        return order.transaction.gateway_order_id

    def ids_handed_in(self) -> list[int]:
        return [order.id for number in self.handed_in if (order := self.order_of(number))]

    def teardown(self) -> None:
        self.world.behave()
        for order_id in [self.id, *self.left, *self.ids_handed_in()]:
            settle(order_id)
        while due := slips.due(100):
            slips.process_batch(due[0])
        assert self.now()["open_operation"] is None
        assert [complaints(self.world, order_id) for order_id in [self.id, *self.left]] == [
            [] for _ in [self.id, *self.left]
        ]
        for number in self.handed_in:
            self.judge(number)

    def judge(self, number: str) -> None:
        """What SMBC-GP holds or took for it is in our books, once; of what is not here it has nothing."""
        order = self.order_of(number)
        held = [
            trade["amount"]
            for trade in self.world.ledger()
            if trade["status"] in _HELD and re.fullmatch(rf"{number}(-\d+)?", trade["order_id"])
        ]
        if order is None or order.transaction is None:
            assert held == []
        else:
            ours = order.transaction
            is_paid = order.payment_status in (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED)
            # A capture that was not carried out leaves the hold, and our books say so.
            is_held = (
                order.payment_status is PaymentStatus.CAPTURE_FAILED and ours.gateway_state in _HELD
            )
            assert held == ([ours.gateway_amount] if is_paid or is_held else []), number
        if order is not None:
            assert [found.what for found in Verification([order.id]).problems()] == []


@pytest.mark.alike
def test_whatever_programs_do_every_yen_is_booked_once(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.save("test", extend_auth_enabled=True, enabled=True)
    monkeypatch.setattr("sgpshop.simulator.endpoint.SLOW_SECONDS", 0.0)
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
