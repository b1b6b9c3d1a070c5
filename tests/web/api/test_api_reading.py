"""What the API tells of orders: all that was handed in, what was sent, money, and what changed since."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import ApiRequest, CardTransaction, Order, Scope, utc_now
from sgpshop.services import settings
from sgpshop.services.orders import alerts
from sgpshop.storage.database import writing
from tests.gateway_world import World
from tests.web.api_calls import ORDERED_AT, ORDERS, Program, new_order, problem

EVENTS = "/api/v1/events"


@pytest.fixture
def shop(app: Flask, world: World) -> World:
    with app.app_context():
        settings.save("test", enabled="True")
    return world


@pytest.fixture
def program(app: Flask, shop: World) -> Program:
    return Program(app)


def placed(world: World, program: Program, **more: Any) -> dict[str, Any]:
    """An order as it was handed in; it is authorized."""
    body = new_order(world, **more)
    answer = program.post(ORDERS, body)
    assert answer.status_code == 201, answer.text
    return body


def shown(program: Program, body: dict[str, Any]) -> dict[str, Any]:
    return dict(program.get(f"{ORDERS}/{body['order_no']}").get_json())


def test_an_order_tells_what_was_handed_in(shop: World, program: Program) -> None:
    to = {"name": "田中 一郎", "postal_code": "5300001", "prefecture": "大阪府", "address": "北区1",
          "tel": "06-1234-5678", "wish_date": "2026-12-01", "wish_time": "午前中"}  # fmt: skip
    buyer = {"name": "佐藤 花子", "kana": "サトウ", "email": "h@example.jp", "member_id": "m-1"}
    body = placed(
        shop,
        program,
        buyer=buyer,
        deliveries=[to | {"items": [{"code": "A-1", "quantity": 2}]}],
        memo="のし",
    )
    said = shown(program, body)
    assert said["buyer"] | buyer == said["buyer"]
    [item] = said["items"]
    assert item | body["items"][0] == item
    [parcel] = said["deliveries"]
    assert parcel | to == parcel
    assert (parcel["number"], parcel["status"], parcel["slip_numbers"]) == (0, "unprocessed", [])
    assert (said["shipping_fee"], said["memo"]) == (500, "のし")
    assert said["ordered_at"] == ORDERED_AT.astimezone(UTC).isoformat()


def test_an_order_tells_its_money_over_its_whole_life(shop: World, program: Program) -> None:
    body = placed(shop, program)
    path = f"{ORDERS}/{body['order_no']}"

    def money() -> tuple[Any, ...]:
        now = shown(program, body)
        return now["authorized_amount"], now["captured_amount"], now["refunded_amount"]

    def press(act: str, **more: Any) -> None:
        version = shown(program, body)["version"]
        answer = program.post(f"{path}/{act}", {"version": version, "amount": 2500, **more})
        assert answer.status_code == 200, answer.text

    assert money() == (2500, None, 0)
    assert shown(program, body)["hold_expires_at"] > utc_now().isoformat()
    press("capture")
    assert money() == (None, 2500, 0)
    assert shown(program, body)["hold_expires_at"] is None
    press("cancel", refund=True)
    assert money() == (None, None, 2500)
    told = [
        (one["action"], one["payment_status"]) for one in shown(program, body)["payment_events"]
    ]
    assert told[0] == ("received", "needs_review") or told[0][1] == "authorized"
    assert told[-2:] == [("capture_done", "captured"), ("cancel_done", "cancelled")]


def test_what_changed_since(app: Flask, shop: World, program: Program) -> None:
    first, second = placed(shop, program), placed(shop, program)
    page = program.get(f"{ORDERS}?changed_since=").get_json()
    numbers = [order["order_no"] for order in page["orders"]]
    assert numbers == [first["order_no"], second["order_no"]]
    assert page["next_cursor"] is None
    with app.app_context(), writing() as session:
        session.execute(
            sa.update(Order).where(Order.order_no == first["order_no"]).values(note="変更")
        )
    page = program.get(f"{ORDERS}?changed_since={page['changed_cursor']}").get_json()
    assert [order["order_no"] for order in page["orders"]] == [first["order_no"]]
    again = program.get(f"{ORDERS}?changed_since={page['changed_cursor']}").get_json()
    assert (again["orders"], again["changed_cursor"]) == ([], page["changed_cursor"])


def test_what_changed_comes_page_by_page(shop: World, program: Program) -> None:
    numbers = [placed(shop, program)["order_no"] for _ in range(3)]
    before = (utc_now() - timedelta(hours=1)).isoformat().replace("+", "%2B")
    found, cursor = [], ""
    while cursor is not None:
        page = program.get(f"{ORDERS}?changed_since={before}&size=2&cursor={cursor}").get_json()
        found += [order["order_no"] for order in page["orders"]]
        cursor = page["next_cursor"]
    assert found == numbers


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("changed_since=abc", 422, "invalid_cursor"),
        ("changed_since=00000000-1", 410, "cursor_lost"),
        ("changed_since=2026-11-23T10:15:00", 422, "invalid"),
        ("changed_since=&status=captured", 422, "invalid"),
    ],
)
def test_where_it_cannot_read_on_it_says_so(
    program: Program, query: str, status: int, code: str
) -> None:
    problem(program.get(f"{ORDERS}?{query}"), status, code)


def test_what_happened_one_after_the_other(app: Flask, shop: World, program: Program) -> None:
    body = placed(shop, program)
    now = shown(program, body)
    seen = {"version": now["version"], "amount": 2500}
    program.post(f"{ORDERS}/{body['order_no']}/capture", seen)
    with app.app_context(), writing() as session:
        order = session.scalars(sa.select(Order)).one()
        alerts.raise_once(session, order, AlertKind.UNCOLLECTED, found="未決済")
    said = program.get(EVENTS).get_json()
    types = [event["type"] for event in said["events"]]
    assert types[0] == "received"
    assert types[-2:] == ["payment_status", "alert"]
    assert {event["order_no"] for event in said["events"]} == {body["order_no"]}
    assert said["events"][-1]["alert"] == "uncollected"
    assert said["events"][-1]["id"] == said["next_after"]
    assert said["has_more"] is False
    after = program.get(f"{EVENTS}?after={said['events'][0]['id']}&size=1").get_json()
    assert after["events"] == [said["events"][1]]
    assert after["has_more"] is True
    assert program.get(f"{EVENTS}?after={said['next_after']}").get_json()["events"] == []


def test_only_a_key_that_may_read_is_told(app: Flask, shop: World) -> None:
    writer = Program(app, Scope.INTAKE, Scope.CAPTURE)
    for path in (EVENTS, f"{ORDERS}?changed_since="):
        problem(writer.get(path), 403, "forbidden")


CONTENT = {
    *("buyer", "items", "deliveries", "memo"),
    *("subscription", "stored_card", "payment_events"),
}


def told_no_content(said: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether this answer about the order handed in as `body` tells figures alone."""
    order = said.get("order") or said
    assert (order["order_no"], order["total"]) == (body["order_no"], 2500)
    is_empty = all(order[name] is None for name in CONTENT)
    return is_empty and "佐藤" not in str(said)


@pytest.mark.parametrize("scope", [Scope.CAPTURE, Scope.CHANGE])
def test_a_key_that_may_not_read_is_told_figures_alone(
    app: Flask, shop: World, program: Program, scope: Scope
) -> None:  # S13
    body = placed(shop, program, memo="のし")
    seller, path = Program(app, scope), f"{ORDERS}/{body['order_no']}"
    acts: list[tuple[str, dict[str, Any]]] = [
        ("capture", {}),
        ("cancel", {}),
        ("refund-difference", {}),
    ]
    if scope is Scope.CHANGE:
        acts = [("amount", {"new_amount": 2500}), ("extend", {})]
    for act, more in acts:
        said = seller.post(f"{path}/{act}", {"version": 99, "amount": 1} | more)
        assert told_no_content(problem(said, 409, "stale"), body)
        assert (
            program.post(f"{path}/{act}", {"version": 99, "amount": 1} | more).get_json()["order"][
                "buyer"
            ]["name"]
            == "佐藤 花子"
        )


def test_what_is_kept_for_such_a_key_is_no_more(app: Flask, shop: World, program: Program) -> None:
    body = placed(shop, program)
    seller, path = Program(app, Scope.CAPTURE), f"{ORDERS}/{body['order_no']}"
    seen = {"version": shown(program, body)["version"], "amount": 2500}
    shop.fault("error:42G550000", "AlterTran")
    failed = seller.post(f"{path}/capture", seen, again="a")
    assert told_no_content(problem(failed, 422, "operation_failed"), body)
    shop.behave()
    seen["version"] = shown(program, body)["version"]
    done = seller.post(f"{path}/capture", seen, again="b")
    assert (done.status_code, done.get_json()["captured_amount"]) == (200, 2500)
    assert told_no_content(done.get_json(), body)
    assert seller.post(f"{path}/capture", seen, again="b").get_json() == done.get_json()
    with app.app_context():
        kept = db.session.scalars(sa.select(ApiRequest.body)).all()
    assert len(kept) == 2
    assert not [one for one in kept if "佐藤" in one or "h@example.jp" in one]


def test_a_key_for_intake_is_told_figures_alone(app: Flask, shop: World) -> None:
    front, body = Program(app, Scope.INTAKE), new_order(shop, memo="のし")
    for status in (201, 200):
        answer = front.post(ORDERS, body)
        assert answer.status_code == status
        assert told_no_content(answer.get_json(), body)


def test_the_card_we_keep_for_an_order_is_not_named(
    app: Flask, shop: World, program: Program
) -> None:
    body = placed(shop, program)
    for member, told in (("sgpshop.x", None), ("m-7", {"member_id": "m-7", "card_seq": 0})):
        with app.app_context(), writing() as session:
            session.execute(sa.update(CardTransaction).values(member_id=member, card_seq=0))
        assert shown(program, body)["stored_card"] == told
