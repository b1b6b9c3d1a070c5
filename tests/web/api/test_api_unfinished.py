"""Payments that are not finished are told apart, and a repeat tells how they stand by now (R18, P27)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Attempt, Scope, utc_now
from sgpshop.services import settings
from sgpshop.storage.database import writing
from tests import own_worker
from tests.gateway_world import DECLINED_CARD, World
from tests.services.acting import run_act
from tests.web.api_calls import ORDERS, Program, new_order, problem, token

CHALLENGE = "4100000000005000"
THANKS = "https://shop.example/thanks"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "PUBLIC_URL": "http://127.0.0.1:5000", "CHECKOUT_WAIT": 5.0}


@pytest.fixture
def program(app: Flask, world: World) -> Program:
    with app.app_context():
        settings.save("test", enabled="True")
    return Program(app)


def now(program: Program, body: dict[str, Any]) -> dict[str, Any]:
    return dict(program.get(f"{ORDERS}/{body['order_no']}").get_json())


def cancelled(program: Program, body: dict[str, Any]) -> Any:
    seen = now(program, body)
    path = f"{ORDERS}/{body['order_no']}/cancel"
    return program.post(path, {"version": seen["version"], "amount": seen["total"]})


def test_a_declined_card_and_its_cancel(world: World, program: Program) -> None:
    body = new_order(world, DECLINED_CARD.number, on_decline="keep")
    said = program.post(ORDERS, body).get_json()
    assert said["unfinished_payment"] == "declined"
    assert "別のカード" in said["buyer_text"]
    assert said["last_error"]["codes"] == ["42G020000"]
    assert said["last_error"]["headline"]
    other = body | {"payment": {"token": token(world)}}
    assert program.post(ORDERS, other).get_json()["unfinished_payment"] is None


def test_the_buyer_at_the_bank(app: Flask, world: World, program: Program) -> None:
    body = new_order(world, CHALLENGE, return_url=THANKS)
    answer = program.post(ORDERS, body, again="c-1")
    said = answer.get_json()
    assert (answer.status_code, said["unfinished_payment"]) == (202, "at_bank")
    assert said["redirect_url"]
    assert len(said["return_key"]) == 40
    assert now(program, body)["redirect_url"] == said["redirect_url"]
    seen = {"version": said["version"], "amount": said["total"]}
    refused = Program(app, Scope.CAPTURE).post(f"{ORDERS}/{body['order_no']}/capture", seen)
    assert refused.get_json()["order"]["unfinished_payment"] == "at_bank"
    assert refused.get_json()["order"]["return_key"] is None
    assert refused.get_json()["order"]["redirect_url"] is None  # not for who sends no buyers on
    again = program.post(ORDERS, body, again="c-1")
    assert (again.status_code, again.get_json()["redirect_url"]) == (202, said["redirect_url"])
    with app.app_context(), writing() as session:
        session.execute(sa.update(Attempt).values(finished_at=utc_now() - timedelta(minutes=61)))
    said = now(program, body)
    assert (said["unfinished_payment"], said["redirect_url"]) == ("abandoned", None)
    assert "もう一度" in said["buyer_text"]


@pytest.mark.parametrize("said", [None, "required"])
def test_who_does_not_say_it_goes_to_the_bank(world: World, program: Program, said: Any) -> None:
    body = new_order(world, CHALLENGE, three_ds=said)
    answer = program.post(ORDERS, body, again="c-1")
    assert (answer.status_code, answer.get_json()["unfinished_payment"]) == (202, "at_bank")
    del body["three_ds"]
    assert program.post(ORDERS, body, again="c-1").get_json() == answer.get_json()


def test_a_shop_that_nobody_could_come_back_to(app: Flask, world: World, program: Program) -> None:
    app.config["PUBLIC_URL"] = ""
    body = new_order(world, three_ds="required")
    said = problem(program.post(ORDERS, body), 409, "three_ds_not_set_up")
    assert "SGPSHOP_PUBLIC_URL" in said["detail"]
    problem(program.get(f"{ORDERS}/{body['order_no']}"), 404, "not_found")
    assert program.post(ORDERS, body | {"three_ds": "none"}).status_code == 201


def test_an_abandoned_one_is_cancelled_without_refund(
    app: Flask, world: World, program: Program
) -> None:
    body = new_order(world, CHALLENGE, return_url=THANKS)
    program.post(ORDERS, body)
    answer = cancelled(program, body)
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["payment_status"] == "cancelled"


def test_a_lost_answer(world: World, program: Program) -> None:
    world.fault("drop_after", "ExecTran")
    body = new_order(world)
    answer = program.post(ORDERS, body, again="c-1")
    said = answer.get_json()
    assert (answer.status_code, said["unfinished_payment"]) == (201, "outcome_unknown")
    assert "二重に請求されることはありません" in said["buyer_text"]
    problem(cancelled(program, body), 422, "refund_not_confirmed")


class TestASlowMoment:
    """The payment takes longer than a request waits: the order is here, and goes on."""

    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"CHECKOUT_WAIT": 0.0, "PUBLIC_URL": "http://127.0.0.1:5000"}

    @pytest.fixture(autouse=True)
    def _nobody_works(self, app: Flask) -> None:
        own_worker.of(app).how = "off"

    def finish(self, app: Flask) -> None:
        with app.app_context():
            for attempt in db.session.scalars(sa.select(Attempt).where(Attempt.is_open)).all():
                run_act(attempt.id)

    def test_then_the_same_request_tells_the_address(
        self, app: Flask, world: World, program: Program
    ) -> None:
        body = new_order(world, CHALLENGE, return_url=THANKS)
        said = program.post(ORDERS, body, again="c-1").get_json()
        assert (said["unfinished_payment"], said["redirect_url"]) == ("processing", None)
        self.finish(app)
        again = program.post(ORDERS, body, again="c-1")
        assert (again.status_code, again.get_json()["unfinished_payment"]) == (202, "at_bank")
        assert again.get_json()["redirect_url"]

    def test_then_a_declined_card_is_still_declined(
        self, app: Flask, world: World, program: Program
    ) -> None:
        body = new_order(world, DECLINED_CARD.number)
        assert program.post(ORDERS, body, again="c-1").status_code == 201
        self.finish(app)
        said = problem(program.post(ORDERS, body, again="c-1"), 402, "declined")
        assert said["codes"] == ["42G020000"]
        problem(program.post(ORDERS, body), 402, "declined")
        assert now(program, body)["unfinished_payment"] == "declined"

    def test_then_a_capture_tells_its_end(self, app: Flask, world: World, program: Program) -> None:
        body = new_order(world)
        program.post(ORDERS, body)
        self.finish(app)
        app.config["ANSWER_WAIT"] = 0.0
        seen = {"version": now(program, body)["version"], "amount": 2500}
        path = f"{ORDERS}/{body['order_no']}/capture"
        first = program.post(path, seen, again="k")
        assert (first.status_code, first.get_json()["captured_amount"]) == (202, None)
        self.finish(app)
        again = program.post(path, seen, again="k")
        assert (again.status_code, again.get_json()["captured_amount"]) == (200, 2500)
        kept = program.post(path, seen, again="k")
        assert kept.headers["Idempotency-Replayed"] == "true"
        assert world.sales(body["order_no"]) == 1


def test_a_token_that_serves_no_more_is_no_declined_card(world: World, program: Program) -> None:
    first = new_order(world)
    program.post(ORDERS, first)
    for payment in (first["payment"], {"token": "tok_nobody_made"}):
        said = problem(
            program.post(ORDERS, new_order(world, payment=payment)), 422, "token_refused"
        )
        assert "新しいトークン" in said["detail"]


def test_a_stored_card_that_is_not_there(world: World, program: Program) -> None:
    payment = {"member_id": "nobody", "card_seq": 3}
    body = new_order(world, payment=payment)
    problem(program.post(ORDERS, body), 422, "payment_refused")


def test_a_stored_card_is_the_buyers_own(world: World, program: Program) -> None:
    body = new_order(
        world, buyer={"name": "佐藤", "member_id": "m-1"},
        payment={"member_id": "m-2", "card_seq": 0},
    )  # fmt: skip
    said = problem(program.post(ORDERS, body), 422, "invalid")
    assert [one["pointer"] for one in said["errors"]] == ["/payment/member_id"]
    assert world.requests(body["order_no"]) == []


def test_a_default_written_out_is_the_same_request(world: World, program: Program) -> None:
    body = new_order(world)
    first = program.post(ORDERS, body, again="c-1")
    second = program.post(ORDERS, body | {"memo": "", "on_decline": "refuse"}, again="c-1")
    assert (second.status_code, second.get_json()) == (201, first.get_json())


def test_titles_are_english_and_details_japanese(program: Program) -> None:
    said = problem(program.get(f"{ORDERS}/P404"), 404, "not_found")
    assert said["title"].isascii()
    assert not said["detail"].isascii()
