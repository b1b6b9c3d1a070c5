"""`POST /api/v1/orders`: orders handed in by a shop front, read without tolerance (S11, S14, S25, P27)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import ActorKind, Attempt, Order
from sgpshop.services import settings
from sgpshop.services.orders.history_check import Verification
from sgpshop.simulator import cards
from sgpshop.web.api import examples
from sgpshop.web.api.document import TEST_TOKENS, document
from tests.factories import order_number
from tests.gateway_world import DECLINED_CARD, World
from tests.web.api_calls import ORDERS, Program, new_order, problem, token

CARD = "4111111111111111"


@pytest.fixture
def program(app: Flask, world: World) -> Program:
    with app.app_context():
        settings.save("test", enabled="True", subscription_enabled="True")
    return Program(app)


def orders(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count(Order.id))) or 0


def kept(app: Flask) -> Order:
    db.session.rollback()
    return db.session.query(Order).one()


@pytest.mark.parametrize("prefix", ["sgpshop", "SgpShop"])
@pytest.mark.parametrize("field", ["/payment/member_id", "/buyer/member_id"])
def test_a_card_that_we_keep_for_another_order_pays_nothing(
    app: Flask, world: World, program: Program, field: str, prefix: str
) -> None:
    """The id of its member follows from that order's number, which its buyer knows."""
    first = new_order(world) | {"kind": "preorder"}
    assert program.post(ORDERS, first).status_code == 201
    member = f"{prefix}.tshop00000001.{first['order_no']}"
    body = new_order(world)
    if field.startswith("/payment"):
        body["payment"] = {"member_id": member, "card_seq": 0}
    else:
        body["buyer"] = body["buyer"] | {"member_id": member}
    refused = problem(program.post(ORDERS, body), 422, "invalid")
    assert [error["pointer"] for error in refused["errors"]] == [field]
    assert "カードの保管に使います" in refused["errors"][0]["detail"]
    assert orders(app) == 1
    assert [entry["status"] for entry in world.ledger()] == ["CHECK"]


class TestTakenIn:
    def test_an_order_is_authorized(self, app: Flask, world: World, program: Program) -> None:  # T1
        body = new_order(world, memo="のし\n希望", discount=100, total=2400)
        answer = program.post(ORDERS, body)
        assert answer.status_code == 201
        said = answer.get_json()
        assert said["order_no"] == body["order_no"]
        assert (said["payment_status"], said["gateway_amount"]) == ("authorized", 2400)
        assert said["redirect_url"] is None
        assert world.trade(body["order_no"])["status"] == "AUTH"
        with app.app_context():
            order = kept(app)
            assert (order.buyer_name, order.note, order.discount) == (
                "佐藤 花子", "のし\n希望", 100
            )  # fmt: skip
            assert db.session.query(Attempt).one().actor_kind is ActorKind.API_KEY

    def test_the_same_order_again_is_the_first(
        self, app: Flask, world: World, program: Program
    ) -> None:  # P27
        body = new_order(world)
        assert program.post(ORDERS, body).status_code == 201
        assert program.post(ORDERS, body).status_code == 200
        other = body | {"memo": "別の内容"}
        problem(program.post(ORDERS, other), 409, "order_no_taken")
        assert orders(app) == 1

    def test_the_same_request_again_gets_the_first_answer(
        self, app: Flask, world: World, program: Program
    ) -> None:  # P27
        body = new_order(world)
        first = program.post(ORDERS, body, again="cart-1")
        reordered = dict(reversed(body.items()))  # spelling is not content
        second = program.post(ORDERS, reordered, again="cart-1")
        assert (second.status_code, second.get_json()) == (201, first.get_json())
        problem(program.post(ORDERS, new_order(world), again="cart-1"), 422, "key_reused")
        assert orders(app) == 1

    def test_a_declined_card_leaves_nothing(
        self, app: Flask, world: World, program: Program
    ) -> None:
        body = new_order(world, DECLINED_CARD.number)
        first = program.post(ORDERS, body, again="cart-1")
        said = problem(first, 402, "declined")
        assert said["codes"] == ["42G020000"]
        assert said["buyer_text"] == "カードが承認されませんでした。別のカードをご利用ください。"
        assert orders(app) == 0
        second = program.post(ORDERS, body, again="cart-1")
        assert second.get_json() == said  # the card is not asked again

    def test_a_member_nobody_knows_is_the_shop_fronts_mistake(
        self, app: Flask, world: World, program: Program
    ) -> None:
        body = new_order(world) | {"payment": {"member_id": "nobody", "card_seq": 0}}
        said = problem(program.post(ORDERS, body), 422, "payment_refused")
        assert said["codes"] == ["E01390002"]
        assert "会員" in said["detail"]
        assert "請求はされていません" in said["buyer_text"]
        assert orders(app) == 0

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("42G020000", 402),
            ("E21030202", 402),  # the buyer was not authenticated
            ("E01390002", 422),  # what was handed in
            ("E01030002", 422),  # for the shop to mend
            ("E92000001", 503),  # passes by itself
        ],
    )
    def test_only_what_passes_by_itself_is_to_be_sent_again(
        self, app: Flask, world: World, program: Program, code: str, status: int
    ) -> None:
        app.config["CONGESTION_TRIES"] = 1
        world.fault(f"error:{code}", "EntryTran", times=9)
        answer = program.post(ORDERS, new_order(world))
        assert answer.status_code == status
        assert ("本人認証" in answer.get_json()["buyer_text"]) == (code == "E21030202")
        assert orders(app) == 0

    def test_a_declined_card_may_be_kept_as_unfinished(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R18
        body = new_order(world, DECLINED_CARD.number, on_decline="keep")
        answer = program.post(ORDERS, body)
        assert (answer.status_code, answer.get_json()["payment_status"]) == (201, "needs_review")

    def test_several_parcels(self, app: Flask, world: World, program: Program) -> None:  # R59
        parcel = {
            "name": "鈴木 一郎",
            "wish_date": "2026-12-01",
            "items": [{"code": "A-1", "quantity": 1}],
        }
        body = new_order(world, deliveries=[parcel, parcel | {"name": "高橋 次郎"}])
        assert program.post(ORDERS, body).status_code == 201
        with app.app_context():
            assert [d.name for d in kept(app).deliveries] == ["鈴木 一郎", "高橋 次郎"]

    def test_an_item_that_bears_no_tax(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R77
        item = {"code": "B-1", "name": "商品券", "unit_price": 1000, "quantity": 2, "tax_rate": 0}
        body = new_order(world, items=[item], prices_include_tax=False, total=2550)
        said = program.post(ORDERS, body).get_json()
        assert (said["total"], said["items"][0]["tax_rate"]) == (2550, 0), "its carriage does"

    def test_a_shop_that_takes_none_says_so(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R87
        with app.app_context():
            settings.save("test", enabled="False")
        problem(program.post(ORDERS, new_order(world)), 403, "intake_closed")
        assert orders(app) == 0


#: What does not fit, and the place that is named.
UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"order_no": "-1"}, "/order_no"),
    ({"order_no": "#1001"}, "/order_no"),
    ({"order_no": "P" * 28}, "/order_no"),
    ({"ordered_at": "2026-11-23 10:15"}, "/ordered_at"),
    ({"ordered_at": "2026-11-23T10:15:00"}, "/ordered_at"),
    ({"ordered_at": "2026-02-30T10:15:00+09:00"}, "/ordered_at"),
    ({"kind": "gift"}, "/kind"),
    ({"total": 0}, "/total"),
    ({"total": 10_000_000}, "/total"),
    ({"total": True}, "/total"),
    ({"total": "2500"}, "/total"),
    ({"shipping_fee": -1}, "/shipping_fee"),
    ({"memo": "x" * 2001}, "/memo"),
    ({"memo": "\x1b"}, "/memo"),
    ({"items": []}, "/items"),
    ({"items": [{"name": "煎茶", "unit_price": 1, "quantity": 0}]}, "/items/0/quantity"),
    ({"items": [{"name": " ", "unit_price": 1, "quantity": 1}]}, "/items/0/name"),
    ({"items": [{"name": "a", "unit_price": 1, "quantity": 1, "tax_rate": 5}]}, "/items/0/tax_rate"),
    ({"buyer": {"name": "佐藤\n花子"}}, "/buyer/name"),
    ({"buyer": {"name": "佐藤", "role": "owner"}}, "/buyer/role"),
    ({"payment_status": "captured"}, "/payment_status"),
    ({"payment": {"token": "t", "member_id": "m"}}, "/payment/member_id"),
    ({"payment": {"member_id": "m"}}, "/payment/card_seq"),
    ({"payment": {"card_no": "1"}}, "/payment/member_id"),
    ({"kind": "subscription"}, "/subscription"),
    ({"subscription": {"id": "T-1", "round": 1}}, "/subscription"),
    ({"return_url": "javascript:alert(1)"}, "/return_url"),
    ({"return_url": "https://shop.example.jp/#/thanks"}, "/return_url"),
    ({"return_url": "http://shop.example.jp/"}, "/return_url"),
    ({"return_url": "https://user@shop.example.jp/"}, "/return_url"),
    ({"return_url": "https://\\evil.example/"}, "/return_url"),
    ({"return_url": "https://shop..example.jp/"}, "/return_url"),
    ({"return_url": f"https://{'a' * 64}.jp/"}, "/return_url"),
    ({"return_url": "https://shop.example.jp:70000/"}, "/return_url"),
    ({"deliveries": [{"name": "a", "items": [{"code": "A-1", "quantity": 1}]}]}, "/deliveries"),
    ({"deliveries": [{"name": "a", "items": [{"code": "B", "quantity": 2}]}]}, "/deliveries"),
]  # fmt: skip


def test_what_does_not_fit_is_named_and_changes_nothing(
    app: Flask, world: World, program: Program
) -> None:  # S14, S25
    for change, pointer in UNFIT:
        said = problem(program.post(ORDERS, new_order(world) | change), 422, "invalid")
        assert pointer in [error["pointer"] for error in said["errors"]], said
        assert all(error["detail"] for error in said["errors"])
        assert orders(app) == 0, change


def test_a_total_that_is_not_the_sum_is_told_with_both(
    app: Flask, world: World, program: Program
) -> None:  # R77a
    said = problem(program.post(ORDERS, new_order(world, total=2501)), 422, "total_mismatch")
    assert (said["total"], said["calculated"]) == (2501, 2500)
    assert orders(app) == 0


def test_what_is_no_json_of_ours(app: Flask, program: Program) -> None:  # S14
    for body in (
        b"",
        b"{",
        b"null1",
        b'{"a": 1, "a": 2}',
        b'{"total": NaN}',
        b'{"total": Infinity}',
        b'{"total": 2500.0}',
        b'{"total": 1e3}',
        b'{"total": 99999999999999999999}',
        b'{"memo": "\\u0000"}',
        b'{"memo": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'{"memo": "\xff"}',
        b'\xef\xbb\xbf{"memo": ""}',
        b"[" * 21 + b"]" * 21,
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ):
        answer = program.post(ORDERS, data=body, content_type="application/json")
        problem(answer, 400, "bad_request")


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"a"', b"[" * 20 + b"]" * 20])
def test_json_that_is_no_object(program: Program, body: bytes) -> None:  # S14
    problem(program.post(ORDERS, data=body, content_type="application/json"), 422, "invalid")


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_only_json(program: Program, media_type: str) -> None:  # S14
    problem(program.post(ORDERS, data=b"{}", content_type=media_type), 415, "not_json")


def test_a_body_may_have_256_kib(program: Program) -> None:  # S14
    for size, status, code in ((256 * 1024, 422, "invalid"), (256 * 1024 + 1, 413, "too_large")):
        body = b'{"x":"' + b"a" * (size - 8) + b'"}'
        answer = program.post(ORDERS, data=body, content_type="application/json")
        problem(answer, status, code)


@pytest.mark.parametrize(
    "change",
    [
        {"memo": f"カードは{CARD}です"},
        {"memo": "４１１１ １１１１ １１１１ １１１１"},
        {"payment": {"token": CARD}},
        {"payment": {"token": "4111-1111-1111-1111"}},
        {"buyer": {"name": "佐藤", "tel": CARD}},
        {"card": {"number": int(CARD)}},
        {CARD: 1},
        {"items": [{"name": "x", "code": "3530111333300000", "unit_price": 1, "quantity": 1}]},
    ],
)
def test_a_card_number_is_refused_wherever_it_stands(
    app: Flask, world: World, program: Program, change: dict[str, Any], tmp_path: Path
) -> None:  # S11
    answer = program.post(ORDERS, new_order(world) | change, again="cart-1")
    problem(answer, 422, "card_number")
    assert CARD not in answer.text
    with app.app_context():
        db.session.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    assert CARD.encode() not in (tmp_path / "sgpshop.db").read_bytes()


def test_a_card_number_in_a_query_or_header_is_refused(program: Program) -> None:  # S11
    problem(program.get(f"{ORDERS}?item={CARD}"), 422, "card_number")
    problem(program.get(f"{ORDERS}?{CARD}=1"), 422, "card_number")
    answer = program.post(f"{ORDERS}/P1/capture", {"version": 1, "amount": 1}, again=CARD)
    problem(answer, 422, "card_number")


def test_ordinary_numbers_pass(world: World, program: Program) -> None:  # S11
    body = new_order(
        world,
        order_no="P171323551145213731",
        buyer={"name": "佐藤", "tel": "0312345678", "postal_code": "1000001"},
        items=[{"code": "4901234567894", "name": "煎茶", "unit_price": 2000, "quantity": 1}],
        memo="伝票 1234-5678-9012",
    )
    assert program.post(ORDERS, body).status_code == 201


def test_the_example_of_the_document_is_taken_in(world: World, program: Program) -> None:  # T7
    body = examples.NEW_ORDER | {"payment": {"token": token(world)}, "order_no": order_number()}
    assert program.post(ORDERS, body).status_code == 201


def test_the_document_holds_no_secret_and_needs_no_key(app: Flask) -> None:  # T7
    answer = app.test_client().get("/api/v1/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json() == json.loads(json.dumps(document()))
    operations = [
        operation
        for path in answer.get_json()["paths"].values()
        for name, operation in path.items()
        if name in ("get", "post")
    ]
    assert len(operations) == 11
    for operation in operations:
        assert {"400", "401", "403", "422", "429", "500", "503"} <= operation["responses"].keys()


def test_a_number_with_hyphens_is_as_good_as_another(
    app: Flask, world: World, program: Program
) -> None:
    for number in ("20261128-001", "400001-20261128-00123456789"):
        body = new_order(world, order_no=number)
        assert program.post(ORDERS, body).status_code == 201
        assert program.get(f"{ORDERS}/{number}").get_json()["payment_status"] == "authorized"
        assert world.trade(number)["status"] == "AUTH"


def test_tokens_by_name_do_what_the_document_says(world: World, program: Program) -> None:
    assert set(TEST_TOKENS) == set(cards.TEST_TOKENS)
    for name, about in TEST_TOKENS.items():
        body = new_order(world, payment={"token": name})
        if "3-D Secure" in about or name == "tok_test_slow":  # that one: tests/simulator
            continue
        for status in (201, 200) if "approved" in about and "lost" not in about else ():
            assert program.post(ORDERS, body).status_code == status, name
        if "declined, " in about:
            declined = program.post(ORDERS, body | {"on_decline": "keep"}).get_json()
            assert declined["last_error"]["codes"] == [about.removeprefix("declined, ")]


class TestNotByCard:
    """Orders of other ways of payment are written down, and nothing is charged."""

    FREE = {"total": 0, "points_used": 2500, "payment": {"method": "ポイント全額"}}

    def test_one_that_costs_nothing_and_one_by_bank_transfer(
        self, app: Flask, world: World, program: Program
    ) -> None:
        for more in (self.FREE, {"payment": {"method": "銀行振込"}}):
            body = new_order(world, **more)
            made = program.post(ORDERS, body)
            said = made.get_json()
            assert (made.status_code, said["payment_status"]) == (201, None)
            assert said["total"] == body["total"]
            assert program.post(ORDERS, body).status_code == 200
            assert program.get(f"{ORDERS}/{body['order_no']}").status_code == 200
            assert world.requests(body["order_no"]) == []
            seen = {"version": said["version"], "amount": said["total"]}
            if said["total"]:
                problem(
                    program.post(f"{ORDERS}/{body['order_no']}/capture", seen), 422, "not_possible"
                )
            card = body | {"payment": {"token": token(world)}, "points_used": 0, "total": 2500}
            problem(program.post(ORDERS, card), 409, "order_no_taken")
        with app.app_context():
            assert [found.what for found in Verification().problems()] == []

    @pytest.mark.parametrize(
        ("more", "pointer"),
        [
            (FREE | {"kind": "preorder"}, "/kind"),
            (FREE | {"payment": {"token": "tok_x"}}, "/total"),
            (FREE | {"payment": {"method": ""}}, "/payment/method"),
            (FREE | {"payment": {"method": "x", "token": "tok_x"}}, "/payment/token"),
        ],
    )
    def test_what_does_not_fit(
        self, world: World, program: Program, more: dict[str, Any], pointer: str
    ) -> None:
        said = problem(program.post(ORDERS, new_order(world, **more)), 422, "invalid")
        assert [one["pointer"] for one in said["errors"]] == [pointer]

    def test_our_card_payment_under_its_name_is_no_other(
        self, app: Flask, world: World, program: Program
    ) -> None:
        body = new_order(world, payment={"method": "SGP:クレジットカード決済"})
        assert program.post(ORDERS, body).status_code == 422
        assert orders(app) == 0


def test_prices_without_tax_are_kept_with_the_order(
    app: Flask, world: World, program: Program
) -> None:
    # 2,000 at 8 % and 500 at 10 %
    body = new_order(world, prices_include_tax=False, total=2710)
    assert program.post(ORDERS, body).status_code == 201
    assert world.trade(body["order_no"])["amount"] == 2710
    with app.app_context():
        order = db.session.scalars(sa.select(Order)).one()
        assert (order.total, order.prices_include_tax) == (2710, False)
    problem(program.post(ORDERS, new_order(world, prices_include_tax=False)), 422, "total_mismatch")
