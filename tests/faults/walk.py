"""A random walk of people through one order after the other: edit, send, capture, extend, cancel, alone and in
runs of many, with faults and crashes.

Notifications come late, twice, in reverse, before the answer they are about, forged or never.
Whatever they do in whatever order, when nothing is open any more what was captured is what the
screen shows, and every act had at most one effect (P1-P5, P24, P26).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.second_look import ApprovalState
from sgpshop.extensions import db
from sgpshop.models import (
    Approval,
    FollowUp,
    ItemResult,
    Operation,
    Order,
    Person,
    Scope,
)
from sgpshop.services import approvals, settings
from sgpshop.services.access import api_keys
from sgpshop.services.approvals import Content
from sgpshop.services.bulk import actions
from sgpshop.services.deliveries import slips
from sgpshop.services.deliveries.slips import handed_in
from sgpshop.services.deliveries.slips.handed_in import OrderNews, OrderResult, ParcelNews
from sgpshop.services.order_detail import editing
from sgpshop.services.orders.acting import Seen
from sgpshop.services.payments import acts, cancelling, journal
from sgpshop.services.payments.acts import OperationRequest
from tests import own_worker
from tests.factories import authorized_order
from tests.faults.judging import complaints, settle, work_off
from tests.gateway_world import Killed, World
from tests.notifying import connect, tell
from tests.services.acting import TANAKA, run_act
from tests.services.running import started
from tests.services.slip_files import tanaka
from tests.signing_in import make_person

FAULTS = (
    "drop_before",
    "drop_after",
    "truncate",
    "garbage",
    "http:500",
    "error:42G550000",
    "error:E92000001",
    "error:E11010003",
    "error:E91019999",
    "error_after:E91019999",
    "error_after:E90010001",
    "killed before",
    "killed after",
)
#: the actions with many orders that ask SMBC-GP
RUNS = [action.word for action in actions.ALL if action.operation is not None]
PARCEL = [DeliveryStatus.PREPARING, DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED]
#: one call in five goes wrong
fault = st.one_of(*[st.just("")] * 4, st.sampled_from(FAULTS))
api = st.sampled_from(["AlterTran", "ChangeTran", "AlterTran", "ChangeTran", "SearchTrade"])


def is_waiting(result: OrderResult) -> bool:
    """Whether something of it has not ended, though nothing is open any more."""
    return any(
        line.row.result in (ItemResult.PENDING, ItemResult.UNCERTAIN) for line in result.rows
    )


class Named(NamedTuple):
    """The order by what never changes; what else it says is read anew each time."""

    id: int
    order_no: str


class Walk(RuleBasedStateMachine):
    """Orders and what happens to them; `app` and `world` are shared by all walks of a test."""

    app: Flask
    world: World

    def __init__(self) -> None:
        super().__init__()
        db.session.remove()
        settings.save("test", extend_auth_enabled=True)
        self.notices = connect(self.app, self.world)
        own_worker.of(self.app).how = "off"  # the walk itself is what works
        for name in ("田中", "鈴木"):
            if db.session.query(Person).filter_by(name=name).one_or_none() is None:
                make_person(name)
        settings.save("test", approve_refunds_from=0, approve_captures_from=0)
        key = api_keys.create("倉庫", [Scope.FULFIL], by="test")
        self.key_id = api_keys.recognize(key).key_id
        self.begin()

    def begin(self) -> None:
        """A new order in 仮売上."""
        made = authorized_order(self.world, total=3000, told=True)
        self.order = Named(made.id, made.order_no)
        self.old = self.seen()
        self.tell: Callable[[], None] | None = None
        self.told: list[str] = []

    def fresh(self) -> Order:
        """The order as the database has it now."""
        db.session.rollback()
        return db.session.get_one(Order, self.order.id, populate_existing=True)

    def seen(self) -> Seen:
        """A form opened now."""
        now = self.fresh()
        return Seen(now.version, now.total, secrets.token_hex(8))

    # ---- what people do -----------------------------------------------------------------------

    @rule(total=st.integers(1, 12).map(lambda n: n * 500))
    def edit(self, total: int) -> None:
        self.attempt(lambda seen: editing.correct_total(self.order.id, total, seen, TANAKA))

    @rule(fault=fault, api=api, follow_up=st.sampled_from([None, FollowUp.CAPTURE]))
    def send(self, fault: str, api: str, follow_up: FollowUp | None) -> None:
        self.press(
            OperationRequest(Operation.CHANGE_AMOUNT, follow_up, is_sum_confirmed=True), fault, api
        )

    @rule(fault=fault, api=api)
    def capture(self, fault: str, api: str) -> None:
        self.press(acts.CAPTURE, fault, api)

    @rule(fault=fault, api=api)
    def cancel(self, fault: str, api: str) -> None:
        wish = cancelling.operation_request(
            self.order.order_no, restock=False, return_points=False, refund_confirmed=True
        )
        assert wish is not None
        self.press(wish, fault, api)

    @rule(fault=fault, api=api)
    def extend(self, fault: str, api: str) -> None:
        self.press(OperationRequest(Operation.EXTEND), fault, api)

    @rule(action=st.sampled_from(RUNS), fault=fault, api=api)
    def tick_it_for_a_run(self, action: str, fault: str, api: str) -> None:
        """一括処理 of the list: confirmed once, then the worker's."""
        self.misbehave(fault, api)
        self.attempt(lambda _seen: started([self.fresh()], tanaka(), action))
        self.run(lambda: work_off(self.order.id))
        self.world.behave()

    @rule(status=st.sampled_from(PARCEL), capture=st.booleans(), fault=fault, api=api)
    def a_warehouse_tells_of_the_parcel(
        self, status: DeliveryStatus, capture: bool, fault: str, api: str
    ) -> None:
        """By the API, once or again after a crash; its capture is the worker's, and so are its rows."""
        self.misbehave(fault, api)

        def act(seen: Seen) -> None:
            parcel = ParcelNews(0, status, "002", (str(seen.version),))
            news = [OrderNews(self.order.order_no, [parcel], seen.version, seen.amount)]
            self.tell = partial(
                handed_in.take, seen.token * 2, self.key_id, "倉庫", news,
                capture=capture, sum_confirmed=True,
            )  # fmt: skip
            self.told.append(seen.token * 2)
            self.tell()

        self.attempt(act)
        self.run(lambda: work_off(self.order.id))
        self.world.behave()

    @rule(limit=st.sampled_from([0, 1, 2_500]))
    def the_shop_wants_a_second_look(self, limit: int) -> None:
        """At refunds and captures from so many yen on, or at none any more."""
        settings.save("test", approve_refunds_from=limit, approve_captures_from=limit)

    @rule(fault=fault, api=api, is_yes=st.sampled_from([True, True, True, False]))
    def a_second_person_decides(self, fault: str, api: str, is_yes: bool) -> None:
        """What waits the longest, as it is shown by now; what changed meanwhile is void."""
        db.session.rollback()
        for one in approvals.waiting()[:1]:
            self.misbehave(fault, api)
            shown = approvals.what_it_is(one)

            def act(_seen: Seen, of: int = one.id, shown: Content = shown) -> None:
                if is_yes:
                    approvals.approve(of, by="鈴木", seen=(shown.count, shown.yen))
                else:
                    approvals.refuse(of, by="鈴木", reason="別の方法で")

            self.attempt(act)
            self.run(lambda: work_off(self.order.id))
            self.world.behave()

    @rule()
    def the_warehouse_repeats_its_last_request(self) -> None:
        if self.tell is not None:
            self.attempt(lambda _seen: self.tell and self.tell())

    @rule()
    def open_a_screen_and_leave_it(self) -> None:
        self.old = self.seen()

    @rule(fault=fault)
    def press_on_that_old_screen(self, fault: str) -> None:
        self.press(acts.CAPTURE, fault, "AlterTran", self.old)

    # ---- what happens by itself ---------------------------------------------------------------

    @rule(days=st.integers(1, 3))
    def time_passes_at_the_gateway(self, days: int) -> None:
        self.world.advance(days * 86_400)

    @rule(
        order=st.sampled_from(["normal", "reverse"]),
        share=st.sampled_from([0.0, 0.5, 1.0]),
        is_early=st.booleans(),
    )
    def notifications_travel_otherwise(self, order: str, share: float, is_early: bool) -> None:
        """From now on: some are lost, some of the others come twice, or before the answer."""
        connect(
            self.app,
            self.world,
            order=order,
            lose=share,
            duplicate=1.0 - share,
            before_answer=is_early,
        )

    @rule()
    def notifications_arrive(self) -> None:
        self.notices.deliver_due()

    @rule(status=st.sampled_from(["AUTH", "SALES", "VOID"]), amount=st.integers(1, 12))
    def somebody_forges_one(self, status: str, amount: int) -> None:
        access = self.fresh().transaction
        assert access is not None
        tell(
            self.order.order_no,
            Status=status,
            JobCd=status,
            Amount=str(amount * 500),
            AccessID=access.access_id or "",
        )

    @rule()
    def the_worker_works(self) -> None:
        self.pump()

    @rule()
    def everything_is_restarted(self) -> None:
        db.session.remove()
        journal.look_soon()

    # ---- how --------------------------------------------------------------------------------

    def attempt(self, act: Callable[[Seen], object], seen: Seen | None = None) -> None:
        has_ended = self.fresh().payment_status in (PaymentStatus.CANCELLED, PaymentStatus.CAPTURED)
        try:
            act(seen or self.seen())
        except ShopError:
            db.session.rollback()  # refused: that is always allowed, and nothing happened
            if has_ended:  # nothing more can become of this one
                self.world.behave()
                self.teardown()
                self.begin()

    def press(self, wish: OperationRequest, fault: str, api: str, seen: Seen | None = None) -> None:
        self.misbehave(fault, api)
        form = seen or self.seen()

        def act(seen: Seen) -> None:
            first = acts.open_attempt(self.order.id, wish, seen, TANAKA)
            self.run(lambda: run_act(first))
            assert acts.open_attempt(self.order.id, wish, seen, TANAKA) == first  # double click

        self.attempt(act, form)
        self.world.behave()

    def misbehave(self, fault: str, api: str) -> None:
        if fault.startswith("killed"):
            self.world.wire.die = fault.removeprefix("killed ")
        elif fault:
            self.world.fault(fault, api, order_id=self.order.order_no)

    def run(self, work: Callable[[], object]) -> None:
        """`work`, in a process that may be killed by it."""
        try:
            work()
        except Killed:
            db.session.remove()

    def pump(self) -> None:
        """What the worker does once every pause and lease is over."""
        self.world.behave()
        self.run(lambda: work_off(self.order.id))

    # ---- what must hold -----------------------------------------------------------------------

    def teardown(self) -> None:
        self.world.behave()
        settle(self.order.id)
        # What nobody agreed to did nothing: an attempt needed nobody, or names who agreed.
        for one in db.session.query(Approval).filter_by(order_id=self.order.id):
            assert (one.attempt_id is not None) is (one.state is ApprovalState.APPROVED)
        for run_id in self.told:
            while due := [row for row in slips.due(100) if row]:
                slips.process_batch(due[0])
            if slips.get(run_id).started_at is not None:
                assert not [r for r in handed_in.results(run_id, self.key_id) if is_waiting(r)]
        assert complaints(self.world, self.order.id) == []
