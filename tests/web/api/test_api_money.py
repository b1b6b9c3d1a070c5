"""What programs do with the money of an order, beside capture and cancel (R64, R67, R83, R100)."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.order_rules import Refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import ApiRequest, Attempt, Delivery, HistoryEntry, Order, Scope, utc_now
from sgpshop.services import settings
from sgpshop.services.orders import alerts
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.web.api_calls import ORDERS, Program, problem


@pytest.fixture
def program(app: Flask) -> Program:
    return Program(app)


def order_in(app: Flask, world: World, **more: Any) -> Order:
    with app.app_context():
        return authorized_order(world, told=True, **more)


def post(program: Program, order: Order, act: str, *, again: str = "", **more: Any) -> Any:
    path = f"{ORDERS}/{order.order_no}"
    now = program.get(path).get_json()
    body = {"version": now["version"], "amount": now["total"]} | more
    return program.post(f"{path}/{act}", body, again=again)


class TestChangingTheAmount:
    def test_here_and_there(self, app: Flask, world: World, program: Program) -> None:
        order = order_in(app, world)
        said = post(program, order, "amount", new_amount=2000).get_json()
        assert (said["total"], said["gateway_amount"], said["authorized_amount"]) == (2000,) * 3
        assert world.trade(order.order_no)["amount"] == 2000
        assert post(program, order, "capture").get_json()["captured_amount"] == 2000

    def test_more_is_confirmed_first_and_nothing_is_half_done(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        problem(post(program, order, "amount", new_amount=3001), 422, "increase_not_confirmed")
        with app.app_context():
            assert (fresh(order).total, fresh(order).version) == (3000, 1)
            assert db.session.query(Attempt).count() == 0
        said = post(program, order, "amount", new_amount=3001, confirm_increase=True).get_json()
        assert (said["total"], said["gateway_amount"]) == (3001, 3001)

    def test_once_however_often_it_is_sent(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        body = {"version": 1, "amount": 3000, "new_amount": 2000}
        path = f"{ORDERS}/{order.order_no}/amount"
        world.fault("drop_after", "ChangeTran")
        first = program.post(path, body, again="a")
        assert (first.status_code, first.get_json()["open_operation"]["state"]) == (202, "unknown")
        again = program.post(path, body, again="a")
        assert again.status_code in (200, 202)
        with app.app_context():
            assert db.session.query(Attempt).count() == 1
            told = db.session.scalars(sa.select(HistoryEntry.event)).all()
            assert told.count("total_corrected") == 1

    def test_what_was_declined_is_taken_back(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        world.fault("error:42G550000", "ChangeTran")
        declined = post(program, order, "amount", new_amount=5000, confirm_increase=True)
        said = problem(declined, 422, "operation_failed")["order"]
        assert (said["total"], said["gateway_amount"]) == (5000, 3000)
        world.behave()
        path = f"{ORDERS}/{order.order_no}/amount"
        body = {"version": said["version"], "amount": 5000, "new_amount": 3000}
        back = program.post(path, body, again="a")
        assert back.status_code == 200
        said = back.get_json()
        assert (said["total"], said["gateway_amount"], said["last_error"]) == (3000, 3000, None)
        assert program.post(path, body, again="a").get_json() == said
        with app.app_context(), writing() as session:  # the answer was lost with its process
            session.execute(
                sa.update(ApiRequest).values(status=None, body="", busy_until=utc_now())
            )
        assert program.post(path, body, again="a").get_json() == said
        problem(program.post(path, body), 409, "stale")
        with app.app_context():
            assert db.session.query(Attempt).count() == 1  # nothing was sent
        assert post(program, order, "capture").get_json()["captured_amount"] == 3000

    def test_an_edit_that_was_not_sent_is_taken_back(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        with app.app_context(), writing() as session:
            session.execute(sa.update(Order).where(Order.id == order.id).values(total=2500))
        said = post(program, order, "amount", new_amount=3000).get_json()
        assert (said["total"], said["gateway_amount"], said["open_operation"]) == (3000, 3000, None)
        again = problem(post(program, order, "amount", new_amount=3000), 422, "not_possible")
        assert again["reason"] == "nothing_to_send"

    def test_while_a_change_goes_on_it_is_busy(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        world.fault("drop_after", "ChangeTran")
        world.fault("drop_before", "SearchTrade", times=9)
        assert post(program, order, "amount", new_amount=2000).status_code == 202
        problem(post(program, order, "amount", new_amount=3000), 409, "busy")

    def test_what_was_begun_is_found_by_a_repeat_though_it_is_held_by_now(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        with app.app_context(), writing() as session:
            session.execute(sa.update(Order).where(Order.id == order.id).values(total=2500))
        body = {"version": 1, "amount": 2500, "new_amount": 2500}
        path = f"{ORDERS}/{order.order_no}/amount"
        assert program.post(path, body, again="a").get_json()["gateway_amount"] == 2500
        with app.app_context(), writing() as session:  # the answer was lost with its process
            session.execute(
                sa.update(ApiRequest).values(status=None, body="", busy_until=utc_now())
            )
        again = program.post(path, body, again="a")
        assert (again.status_code, again.get_json()["gateway_amount"]) == (200, 2500)

    def test_of_a_captured_order_it_says_why_not(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        post(program, order, "capture")
        said = problem(post(program, order, "amount", new_amount=2000), 422, "not_possible")
        assert (said["reason"], said["order"]["total"]) == ("payment_status", 3000)

    def test_needs_the_scope(self, app: Flask, world: World) -> None:
        order = order_in(app, world)
        seller = Program(app, Scope.READ, Scope.FULFIL, Scope.INTAKE, Scope.CAPTURE)
        for act, more in (("amount", {"new_amount": 1}), ("extend", {})):
            problem(post(seller, order, act, **more), 403, "forbidden")
        changer = Program(app, Scope.READ, Scope.FULFIL, Scope.INTAKE, Scope.CHANGE)
        for act in ("capture", "cancel", "refund-difference"):  # money comes or goes back
            problem(post(changer, order, act, refund=True), 403, "forbidden")


def test_the_hold_is_made_anew(app: Flask, world: World, program: Program) -> None:  # R83
    order = order_in(app, world)
    said = problem(post(program, order, "extend"), 422, "not_possible")
    assert said["reason"] == "switched_off"
    assert "利用しない設定" in said["detail"]
    with app.app_context():
        settings.save("test", extend_auth_enabled=True)
    said = post(program, order, "extend").get_json()
    assert said["payment_status"] == "authorized"
    assert [event["action"] for event in said["payment_events"]][-1] == "extend_done"


def test_what_was_taken_too_much_goes_back(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    post(program, order, "capture")
    refused = post(program, order, "refund-difference", refund=True)
    assert problem(refused, 422, "not_possible")["reason"] == "nothing_to_refund"
    with app.app_context(), writing() as session:
        session.execute(sa.update(Order).where(Order.id == order.id).values(total=2500))
    problem(post(program, order, "refund-difference"), 422, "refund_not_confirmed")
    said = post(program, order, "refund-difference", refund=True).get_json()
    assert (said["captured_amount"], said["refunded_amount"]) == (2500, 500)


def test_after_delivery_the_return_comes_first(
    app: Flask, world: World, program: Program
) -> None:  # R94, R95
    order = order_in(app, world)
    post(program, order, "capture")
    for status in ("delivered", "returned"):
        program.post(
            "/api/v1/fulfilments",
            {"orders": [{"order_no": order.order_no, "parcels": [{"status": status}]}]},
        )
        refused = post(program, order, "cancel", refund=True)
        if status == "delivered":
            said = problem(refused, 422, "not_possible")
            assert said["reason"] == "delivered"
            assert "返送処理" in said["detail"]
        else:
            assert refused.get_json()["refunded_amount"] == 3000


@pytest.mark.parametrize(
    ("status", "act", "reason"),
    [
        (PaymentStatus.CANCELLED, "capture", "cancelled"),
        (PaymentStatus.NEEDS_REVIEW, "capture", "needs_review"),
        (PaymentStatus.CANCELLED, "cancel", "payment_status"),
        (PaymentStatus.BILLING_REPORTED, "cancel", "payment_status"),
    ],
)
def test_why_not_is_one_word(
    app: Flask, world: World, program: Program, status: PaymentStatus, act: str, reason: str
) -> None:
    with app.app_context():
        order = make_order(status=status, told=True)
    more = {"refund": True} if act == "cancel" else {}
    assert problem(post(program, order, act, **more), 422, "not_possible")["reason"] == reason


@pytest.mark.parametrize(
    ("act", "more"), [("capture", {}), ("amount", {"new_amount": 2000}), ("extend", {})]
)
def test_what_a_file_called_off_is_named_so(
    app: Flask, world: World, program: Program, act: str, more: dict[str, Any]
) -> None:
    order = order_in(app, world)
    with app.app_context():
        settings.save("test", extend_auth_enabled=True)
        with writing() as session:
            alerts.raise_cancelled_in_file(session, session.get_one(Order, order.id))
    said = problem(post(program, order, act, **more), 422, "not_possible")
    assert (said["reason"], said["detail"]) == ("called_off", Refusal.CALLED_OFF.sentence)
    assert said["order"]["total"] == 3000


def test_an_unsent_amount_is_not_captured(app: Flask, world: World, program: Program) -> None:
    order = order_in(app, world)
    with app.app_context(), writing() as session:
        session.execute(sa.update(Order).where(Order.id == order.id).values(total=2500))
        session.execute(sa.update(Delivery).values(name="x"))
    said = problem(post(program, order, "capture"), 422, "not_possible")
    assert said["reason"] == "unsent_amount"
