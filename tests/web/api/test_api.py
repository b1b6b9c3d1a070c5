"""The JSON API's orders: looked up, searched, captured, cancelled (interfaces.md §5, T4, P19, P20)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation
from sgpshop.models import (
    ActorKind,
    ApiRequest,
    Attempt,
    CardTransaction,
    HistoryEntry,
    Order,
    OrderKind,
    utc_now,
)
from sgpshop.services.access import idempotency
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.web.api_calls import ORDERS, Program, problem
from tests.web.test_once_a_page import asked


@pytest.fixture
def program(app: Flask) -> Program:
    return Program(app)


def order_in(app: Flask, world: World, **more: object) -> Order:
    with app.app_context():
        return authorized_order(world, **more)  # type: ignore[arg-type]


def seen(order: Order) -> dict[str, int]:
    return {"version": order.version, "amount": order.total}


def test_an_order_as_it_stands(app: Flask, world: World, program: Program) -> None:  # T4
    order = order_in(app, world, total=2500)
    answer = program.get(f"{ORDERS}/{order.order_no}")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"  # S9
    said = answer.get_json()
    assert (
        said
        | {
            "order_no": order.order_no,
            "payment_status": "authorized",
            "buyer_text": "ご注文を承りました。",  # R27
            "kind": "normal",
            "total": 2500,
            "gateway_amount": 2500,
            "captured_amount": None,
            "open_operation": None,
            "version": 1,
            "last_error": None,
            "other_transactions": [],
        }
        == said
    )


def test_an_order_paid_otherwise_has_no_payment_status(app: Flask, program: Program) -> None:
    with app.app_context():
        order = make_order(method="銀行振込")
    assert program.get(f"{ORDERS}/{order.order_no}").get_json()["payment_status"] is None


@pytest.mark.parametrize("number", ["P404", "a-b", "4111111111111111", "x" * 25, "佐藤"])
def test_an_unknown_order_is_a_problem(app: Flask, program: Program, number: str) -> None:
    said = problem(program.get(f"{ORDERS}/{number}"), 404, "not_found")
    assert number not in said["detail"]


class TestSearching:
    def test_by_the_conditions_of_the_screen(self, app: Flask, program: Program) -> None:  # R35
        with app.app_context():
            failed = make_order(status=PaymentStatus.CAPTURE_FAILED, total=5000)
            make_order(status=PaymentStatus.CAPTURED, total=5000)
            make_order(status=PaymentStatus.CAPTURE_FAILED, total=100)
            make_order(status=PaymentStatus.CAPTURE_FAILED, kind=OrderKind.PREORDER, total=5000)
        query = (
            "status=capture_failed&status=authorized&amount_min=4000&kind=normal&from=2000-01-01"
        )
        page = program.get(f"{ORDERS}?{query}").get_json()
        assert [order["order_no"] for order in page["orders"]] == [failed.order_no]
        assert page["next_cursor"] is None

    def test_by_numbers_of_any_spelling(self, app: Flask, program: Program) -> None:
        with app.app_context():
            for number in ("40-12345678-1", "40-12345678-2", "#1001", "P7"):
                make_order(order_no=number)

        def found(query: str) -> list[str]:
            answer = program.get(f"{ORDERS}?order_no={query}").get_json()
            return sorted(order["order_no"] for order in answer["orders"])

        assert found("40-12345678") == ["40-12345678-1", "40-12345678-2"]
        assert found("40-12345678-1,%231001 P7") == ["#1001", "40-12345678-1", "P7"]

    def test_page_by_page(self, app: Flask, program: Program) -> None:  # S20
        with app.app_context():
            numbers = [
                make_order(ordered_at=utc_now() - timedelta(hours=hours)).order_no
                for hours in range(5)
            ]
        found, cursor = [], ""
        while True:
            page = program.get(f"{ORDERS}?size=2&cursor={cursor}").get_json()
            found += [order["order_no"] for order in page["orders"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == numbers

    def test_without_conditions_the_last_seven_days(self, app: Flask, program: Program) -> None:
        with app.app_context():
            recent = make_order(ordered_at=utc_now() - timedelta(days=5))
            old = make_order(ordered_at=utc_now() - timedelta(days=8))
        numbers = [order["order_no"] for order in program.get(ORDERS).get_json()["orders"]]
        assert numbers == [recent.order_no]
        found = program.get(f"{ORDERS}?order_no={old.order_no}").get_json()["orders"]
        assert [order["order_no"] for order in found] == [old.order_no]

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("foo=1", "?foo"),
            ("size=201", "?size"),
            ("size=0", "?size"),
            ("size=1_0", "?size"),
            ("status=paid", "?status/0"),
            ("from=2026-02-30", "?from"),
            ("from=2026-02-02&to=2026-02-01", "?to"),
            ("from=1999-12-31", "?from"),
            ("amount_min=2&amount_max=1", "?amount_max"),
            ("amount_min=-1", "?amount_min"),
            ("item=%00", "?item"),
            ("size=1&size=2", "?size"),
            ("kw[]=x", "?kw[]"),
            ("order_no=" + ",".join(f"P{n}" for n in range(201)), "?order_no"),
        ],
    )
    def test_what_it_cannot_read_it_refuses(
        self, program: Program, query: str, pointer: str
    ) -> None:  # S14
        said = problem(program.get(f"{ORDERS}?{query}"), 422, "invalid")
        assert [error["pointer"] for error in said["errors"]] == [pointer]

    def test_a_cursor_of_its_own_making(self, program: Program) -> None:
        said = problem(program.get(f"{ORDERS}?cursor=abc"), 422, "invalid_cursor")
        assert "表示" not in said["detail"], "nothing is shown to a program"

    def test_the_number_of_queries_does_not_depend_on_the_page(
        self, app: Flask, program: Program
    ) -> None:
        counts = []
        program.get(ORDERS)  # what a process asks once
        for _ in range(2):
            with app.app_context():
                for _ in range(3):
                    make_order()
            with asked(app) as statements:
                assert program.get(ORDERS).status_code == 200
            counts.append(len(statements))
        assert counts[0] == counts[1]


class TestCapturing:
    def test_an_order_is_captured_by_the_key(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R55
        order = order_in(app, world)
        answer = program.post(f"{ORDERS}/{order.order_no}/capture", seen(order))
        assert answer.status_code == 200
        said = answer.get_json()
        assert (said["payment_status"], said["captured_amount"]) == ("captured", 3000)
        assert world.trade(order.order_no)["status"] == "SALES"
        with app.app_context():
            entry = db.session.query(HistoryEntry).filter_by(event="capture_done").one()
            assert entry.actor_kind is ActorKind.API_KEY  # P5
            assert entry.who.startswith("APIキー「カート")

    @pytest.mark.parametrize(
        ("change", "code"), [({"version": 2}, "stale"), ({"amount": 2999}, "amount_differs")]
    )
    def test_what_was_not_seen_so_is_not_captured(
        self, app: Flask, world: World, program: Program, change: dict[str, int], code: str
    ) -> None:  # P20
        order = order_in(app, world)
        answer = program.post(f"{ORDERS}/{order.order_no}/capture", seen(order) | change)
        said = problem(answer, 409, code)
        assert said["order"]["version"] == order.version
        assert world.requests(order.order_no) == []

    def test_what_cannot_be_captured_says_why(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R42
        order = order_in(app, world, status=PaymentStatus.CAPTURED)
        said = problem(
            program.post(f"{ORDERS}/{order.order_no}/capture", seen(order)), 422, "not_possible"
        )
        assert said["detail"] == "すでに決済完了しています。"
        assert said["reason"] == "captured"

    def test_what_the_gateway_refused_is_no_200(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R14, R15
        order = order_in(app, world)
        world.fault("error:E01060010")
        path = f"{ORDERS}/{order.order_no}/capture"
        said = problem(program.post(path, seen(order), again="k"), 422, "operation_failed")
        assert said["codes"] == ["E01060010"]
        now = said["order"]
        assert (now["payment_status"], now["captured_amount"]) == ("capture_failed", None)
        assert now["last_error"]["code"] == "E01060010"
        assert said["detail"] == now["last_error"]["sentence"]
        again = program.post(path, seen(order), again="k")  # SMBC-GP is not asked again
        assert (again.status_code, again.get_json()) == (422, said)

    def test_what_somebody_cancelled_meanwhile_is_no_200(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        trade = world.gateway.search_trade(order.order_no)
        assert trade is not None
        world.gateway.cancel(trade.access, Cancellation.VOID)
        answer = program.post(f"{ORDERS}/{order.order_no}/capture", seen(order))
        said = problem(answer, 422, "operation_failed")
        assert said["order"]["payment_status"] in ("cancelled", "needs_review", "capture_failed")

    def test_who_repeats_without_a_key_is_told_what_it_did(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}/capture"
        assert program.post(path, seen(order)).status_code == 200
        said = problem(program.post(path, seen(order)), 409, "stale")
        assert said["order"]["payment_status"] == "captured"
        assert world.sales(order.order_no) == 1

    def test_a_lost_answer_is_never_a_guess(
        self, app: Flask, world: World, program: Program
    ) -> None:  # P3
        order = order_in(app, world)
        world.fault("drop_after")
        answer = program.post(f"{ORDERS}/{order.order_no}/capture", seen(order))
        said = answer.get_json()
        assert (answer.status_code, said["unfinished_payment"]) == (202, "outcome_unknown")
        assert said["payment_status"] == "needs_review"
        assert said["open_operation"]["operation"] == "capture"
        assert said["open_operation"]["state"] == "unknown"
        assert said["captured_amount"] is None
        with app.app_context():
            now = seen(fresh(order))
        problem(program.post(f"{ORDERS}/{order.order_no}/capture", now), 409, "busy")

    def test_the_same_request_again_gets_the_first_answer(
        self, app: Flask, world: World, program: Program
    ) -> None:  # P19
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}/capture"
        first = program.post(path, seen(order), again="key-1")
        second = program.post(path, seen(order), again="key-1")
        assert (second.status_code, second.get_json()) == (200, first.get_json())
        assert second.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert world.sales(order.order_no) == 1
        problem(program.post(path, seen(order) | {"amount": 1}, again="key-1"), 422, "key_reused")

    def test_a_crash_before_the_answer_was_kept_repeats_nothing(
        self, app: Flask, world: World, program: Program
    ) -> None:  # P1
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}/capture"
        assert program.post(path, seen(order), again="key-1").status_code == 200
        with app.app_context(), writing() as session:
            kept = session.query(ApiRequest).one()
            kept.status, kept.body = None, ""  # as if the process had died just before
        still = program.post(path, seen(order), again="key-1")
        problem(still, 409, "in_progress")
        assert still.headers["Retry-After"]
        with app.app_context(), writing() as session:
            session.query(ApiRequest).one().busy_until = utc_now()
        again = program.post(path, seen(order), again="key-1")
        assert (again.status_code, again.get_json()["payment_status"]) == (200, "captured")
        assert world.sales(order.order_no) == 1
        with app.app_context():
            assert db.session.query(Attempt).count() == 1

    def test_what_was_refused_may_come_again_mended(
        self, app: Flask, world: World, program: Program
    ) -> None:
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}/capture"
        problem(program.post(path, seen(order) | {"version": 9}, again="key-1"), 409, "stale")
        assert program.post(path, seen(order), again="key-1").status_code == 200

    def test_after_a_day_the_key_is_new(self, app: Flask, world: World, program: Program) -> None:
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}/capture"
        program.post(path, seen(order), again="key-1")
        with app.app_context(), writing() as session:
            session.query(ApiRequest).one().created_at = utc_now() - idempotency.KEPT
        problem(program.post(path, seen(order), again="key-1"), 409, "stale")

    @pytest.mark.parametrize("key", ["", "あ", "a b", "x" * 201])
    def test_an_idempotency_key_that_is_none(self, program: Program, key: str) -> None:
        answer = program.post(
            f"{ORDERS}/P1/capture",
            {"version": 1, "amount": 1},
            headers={"Idempotency-Key": key.encode().decode("latin-1")},
        )
        problem(answer, 400, "bad_request")


class TestCancelling:
    def test_what_is_reserved_is_released(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R91
        order = order_in(app, world)
        answer = program.post(f"{ORDERS}/{order.order_no}/cancel", seen(order), again="c")
        assert answer.get_json()["payment_status"] == "cancelled"
        assert world.trade(order.order_no)["status"] == "VOID"

    def test_a_refund_wants_a_second_confirmation(
        self, app: Flask, world: World, program: Program
    ) -> None:  # S21, R99
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}"
        now = program.post(f"{path}/capture", seen(order)).get_json()
        body = {"version": now["version"], "amount": 3000}
        problem(program.post(f"{path}/cancel", body), 422, "refund_not_confirmed")
        assert world.trade(order.order_no)["status"] == "SALES"
        said = program.post(f"{path}/cancel", body | {"refund": True}).get_json()
        assert (said["payment_status"], said["captured_amount"]) == ("cancelled", None)

    def test_a_stale_caller_is_not_asked_about_a_refund(
        self, app: Flask, world: World, program: Program
    ) -> None:  # P20
        order = order_in(app, world)
        path = f"{ORDERS}/{order.order_no}"
        program.post(f"{path}/capture", seen(order))
        problem(program.post(f"{path}/cancel", seen(order)), 409, "stale")

    def test_what_stays_under_another_number_is_named(
        self, app: Flask, world: World, program: Program
    ) -> None:
        """As the screen does: no cancel touches it."""
        order = order_in(app, world)
        with app.app_context(), writing() as session:
            session.execute(
                sa.insert(CardTransaction).values(
                    order_id=order.id, sequence=1, gateway_order_id=f"{order.order_no}-1",
                    gateway_state="AUTH", gateway_amount=1200, is_current=False,
                )
            )  # fmt: skip
        held = {"gateway_order_id": f"{order.order_no}-1", "is_captured": False, "amount": 1200}
        path = f"{ORDERS}/{order.order_no}"
        assert program.get(path).get_json()["other_transactions"] == [held]
        cancelled = program.post(f"{path}/cancel", seen(order)).get_json()
        assert cancelled["payment_status"] == "cancelled"
        assert cancelled["other_transactions"] == [held]

    def test_an_order_not_billed_yet_is_cancelled_once(
        self, app: Flask, world: World, program: Program
    ) -> None:  # R103
        with app.app_context():  # its card check is not known there any more
            order = make_order(status=PaymentStatus.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
        path = f"{ORDERS}/{order.order_no}/cancel"
        first = program.post(path, seen(order), again="c")
        assert first.get_json()["payment_status"] == "cancelled"
        with app.app_context(), writing() as session:  # the answer was not kept: a crash
            kept = session.query(ApiRequest).one()
            kept.status, kept.busy_until = None, utc_now()
        assert program.post(path, seen(order), again="c").get_json() == first.get_json()
        assert world.requests(order.order_no) == []
