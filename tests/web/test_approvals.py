"""承認待ち: the list, one request, yes and no, and who sees what (R157)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Operation, Order, Role, Scope, utc_now
from sgpshop.services import approvals, settings
from sgpshop.services.bulk import runs
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh
from tests.forms import form_of, forms_of, hidden_of, token_of
from tests.gateway_world import World
from tests.services.acting import correct, effects, press
from tests.services.slip_files import slip, slip_file
from tests.signing_in import signed_in
from tests.web.api_calls import Program
from tests.web.order_detail.test_one_token import form_on
from tests.web.test_slips import Browser, address

LIMIT = 5000


@pytest.fixture
def asker(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def other(app: Flask, asker: FlaskClient) -> FlaskClient:
    """The second person; the shop wants one from ¥5,000 on."""
    client = signed_in(app, Role.OPERATOR, "鈴木")
    with app.app_context():
        settings.save("店長", approve_refunds_from=LIMIT, approve_captures_from=LIMIT)
    return client


def flat(page: TestResponse) -> str:
    """What a person reads of it."""
    return " ".join(re.sub(r"<[^>]*>", "", page.text).split())


def order_of(app: Flask, world: World, *, total: int = 8000, captured: bool = False) -> Order:
    with app.app_context():
        order = authorized_order(world, total=total)
        if not captured:
            return order
        before = settings.load().approve_captures_from
        settings.save("店長", approve_captures_from=0)
        order = press(order, Operation.CAPTURE)
        settings.save("店長", approve_captures_from=before)
        return order


def state(app: Flask, order: Order) -> PaymentStatus | None:
    Worker(app).run(until_idle=True)
    with app.app_context():
        return fresh(order).payment_status


def request_on(page: str) -> str:
    found = re.search(r'href="(/approvals/\d+)"', page)
    assert found is not None, page
    return found[1]


def decide(client: FlaskClient, path: str, act: str, **more: str) -> TestResponse:
    """Press the button of `act` on that request."""
    fields = form_of(client.get(path), f"{path}/{act}").fields
    return client.post(f"{path}/{act}", data=fields | more)


def test_a_refund_is_asked_for_and_agreed_to(
    app: Flask, world: World, asker: FlaskClient, other: FlaskClient
) -> None:
    order = order_of(app, world, captured=True)
    url = f"/orders/{order.order_no}"
    ask = asker.get(f"{url}/cancel").text
    assert 'data-needs-approval="8000"' in ask
    assert "承認を依頼する</button>" in ask
    form = form_on(ask, f"{url}/cancel") | {"refund_confirmed": "1"}
    sent = asker.post(f"{url}/cancel", data=form, follow_redirects=True)
    assert "承認を依頼しました" in flat(sent)
    assert "承認待ち:注文キャンセル(返金) ¥8,000(田中さん" in flat(sent)
    assert state(app, order) is PaymentStatus.CAPTURED
    path = request_on(sent.text)
    own = flat(asker.get(path))
    assert "ご自身の依頼は承認できません。承認できる人:鈴木" in own
    assert "承認して実行する" not in own
    seen = {"count": "1", "yen": "8000"}
    token = {"csrf_token": token_of(asker.get("/account"))}
    assert asker.post(f"{path}/approve", data=seen | token).status_code == 422
    assert state(app, order) is PaymentStatus.CAPTURED
    home = other.get("/")
    assert "承認待ち" in flat(home)
    assert path in other.get("/approvals").text
    done = decide(other, path, "approve")
    assert (done.status_code, done.location) == (303, url)
    assert state(app, order) is PaymentStatus.CANCELLED
    history = flat(other.get(url))
    assert "鈴木さんが、田中さんの依頼した注文キャンセル(返金)(8,000円)を承認しました" in history
    assert "(承認 鈴木さん)" in history
    with app.app_context():
        assert [job for job, _ in effects(world, order)] == ["SALES", "VOID"]
    over = other.get(path)
    assert "承認済み(鈴木さん" in flat(over)
    assert not [form for form in forms_of(over) if path in form.action]
    token = {"csrf_token": token_of(other.get("/account"))}
    assert other.post(f"{path}/approve", data=seen | token).status_code == 303  # twice (P19)


def test_no_other_role_decides(
    app: Flask, world: World, asker: FlaskClient, other: FlaskClient
) -> None:
    order = order_of(app, world)
    url = f"/orders/{order.order_no}"
    form = form_on(asker.get(f"{url}/capture").text, f"{url}/capture")
    path = request_on(asker.post(f"{url}/capture", data=form, follow_redirects=True).text)
    for role in (Role.VIEWER, Role.SHIPPER, Role.ACCOUNTANT):
        client = signed_in(app, role)
        page = client.get(path)
        assert (page.status_code, "承認できるのは、オーナーと担当者です" in flat(page)) == (
            200,
            True,
        )
        token = {"csrf_token": token_of(client.get("/account"))}
        for act in ("approve", "refuse"):
            data = token | {"count": "1", "yen": "8000", "reason": "x"}
            assert client.post(f"{path}/{act}", data=data).status_code == 403
        refused = client.post(f"{path}/withdraw", data=token)
        assert refused.status_code in (403, 422)
    assert state(app, order) is PaymentStatus.AUTHORIZED
    empty = decide(other, path, "refuse", reason="")
    assert (empty.status_code, "却下の理由を" in flat(empty)) == (422, True)
    assert decide(other, path, "refuse", reason="数量を確認").status_code == 303
    assert "却下(鈴木さん)" in flat(asker.get("/approvals"))
    assert "数量を確認" in flat(asker.get(url))
    assert state(app, order) is PaymentStatus.AUTHORIZED


def test_what_changed_is_void_in_words(
    app: Flask, world: World, asker: FlaskClient, other: FlaskClient
) -> None:
    order = order_of(app, world)
    url = f"/orders/{order.order_no}"
    form = form_on(asker.get(f"{url}/capture").text, f"{url}/capture")
    path = request_on(asker.post(f"{url}/capture", data=form, follow_redirects=True).text)
    shown = form_of(other.get(path), f"{path}/approve").fields
    with app.app_context():
        correct(order, 7000)
    void = other.post(f"{path}/approve", data=shown)
    assert (void.status_code, "依頼したあとで注文が変わりました" in flat(void)) == (409, True)
    assert "無効" in flat(other.get(path))
    assert other.post(f"{path}/approve", data=shown).status_code == 409
    assert state(app, order) is PaymentStatus.AUTHORIZED
    for odd in ({"count": "x"}, {"yen": "9" * 30}, {"count": "-1"}):
        assert other.post(f"{path}/approve", data=shown | odd).status_code in (409, 422)
    assert other.get("/approvals/999999").status_code == 404
    token = {"csrf_token": token_of(other.get("/account"))}
    assert other.post("/approvals/999999/approve", data=token).status_code in (404, 422)


def test_who_asked_is_told_of_what_nobody_agreed_to(
    app: Flask, world: World, asker: FlaskClient, other: FlaskClient
) -> None:
    """A note of a colleague is enough to make it void: a refund would be forgotten then."""
    order = order_of(app, world, captured=True)
    url = f"/orders/{order.order_no}"

    def ask() -> None:
        form = form_on(asker.get(f"{url}/cancel").text, f"{url}/cancel")
        asker.post(f"{url}/cancel", data=form | {"refund_confirmed": "1"})

    def is_told(who: FlaskClient) -> bool:
        return "承認されなかった依頼" in flat(who.get("/"))

    ask()
    assert not is_told(asker)
    note = form_of(other.get(url), f"{url}/notes").fields | {"memo": "至急"}
    assert other.post(f"{url}/notes", data=note).status_code == 303
    with app.app_context():
        approvals.tidy()
    assert (is_told(asker), is_told(other)) == (True, False)
    ask()
    assert not is_told(asker)
    assert decide(other, "/approvals/2", "refuse", reason="数量を確認").status_code == 303
    assert is_told(asker)
    assert state(app, order) is PaymentStatus.CAPTURED
    with app.app_context():  # the asker went on in another way
        settings.save("店長", approve_refunds_from=0)
    ask()
    assert not is_told(asker)
    with app.app_context():
        settings.save("店長", approve_refunds_from=LIMIT)
    assert not is_told(asker)


def test_a_run_and_a_slip_file_wait(
    app: Flask, world: World, asker: FlaskClient, other: FlaskClient
) -> None:
    orders = [order_of(app, world, total=3000) for _ in range(2)]
    page = asker.get("/orders")
    data = hidden_of(page) | {"action": "sgp_capture", "order_no": [o.order_no for o in orders]}
    asked = asker.post("/orders/bulk", data=data, follow_redirects=True)
    assert 'data-needs-approval="6000"' in asked.text
    [start] = [form for form in forms_of(asked) if form.action.endswith("/start")]
    run = start.action.removesuffix("/start")
    sent = asker.post(start.action, data=start.fields)
    assert sent.location.startswith("/approvals/")
    by_htmx = asker.post(start.action, data=start.fields, headers={"HX-Request": "true"})
    assert by_htmx.headers["HX-Redirect"] == sent.location
    assert asker.get(run).location == sent.location
    assert state(app, orders[0]) is PaymentStatus.AUTHORIZED
    shown = flat(other.get(sent.location))
    assert all(order.order_no in shown for order in orders)
    done = decide(other, sent.location, "approve")
    assert done.location == run
    assert [state(app, order) for order in orders] == [PaymentStatus.CAPTURED] * 2


def test_the_owner_sets_the_amounts(app: Flask, world: World, asker: FlaskClient) -> None:
    owner = signed_in(app, Role.OWNER, "店長")
    page = owner.get("/settings/second-look")
    assert "店長" in flat(page)
    assert "田中" in flat(page)
    data = hidden_of(page) | {"approve_refunds_from": "10,000", "approve_captures_from": "0"}
    assert owner.post("/settings/second-look", data=data).status_code == 303
    with app.app_context():
        assert settings.load().approve_refunds_from == 10_000
    bad = owner.post("/settings/second-look", data=data | {"approve_refunds_from": "たくさん"})
    assert bad.status_code == 422
    assert asker.get("/settings/second-look").status_code == 403


def test_one_alone_is_told_why_not(app: Flask, world: World) -> None:
    owner = signed_in(app, Role.OWNER, "店長")
    data = hidden_of(owner.get("/settings/second-look"))
    refused = owner.post("/settings/second-look", data=data | {"approve_refunds_from": "1"})
    assert (refused.status_code, "2人以上必要です" in flat(refused)) == (422, True)


class TestPrograms:
    @pytest.fixture
    def program(self, app: Flask, other: FlaskClient) -> Program:
        return Program(app, Scope.READ, Scope.CAPTURE, Scope.FULFIL)

    def test_it_is_answered_202_and_told_what_became_of_it(
        self, app: Flask, world: World, program: Program, other: FlaskClient
    ) -> None:
        order = order_of(app, world, captured=True)
        with app.app_context():
            now = fresh(order)
            body = {"version": now.version, "amount": now.total, "refund": True}
        url, key = f"/api/v1/orders/{order.order_no}/cancel", {"Idempotency-Key": "k1"}
        for _ in range(2):
            answer = program.post(url, json=body, headers=key)
            said = answer.get_json()
            assert (answer.status_code, said["code"]) == (202, "needs_approval")
            assert (said["approval_yen"], said["payment_status"]) == (8000, "captured")
        assert state(app, order) is PaymentStatus.CAPTURED
        other_tab = program.post(url, json=body)
        assert other_tab.get_json()["reason"] == "needs_approval"
        assert decide(other, request_on(other.get("/approvals").text), "approve").status_code == 303
        assert state(app, order) is PaymentStatus.CANCELLED
        ended = program.post(url, json=body, headers=key)
        assert (ended.status_code, ended.get_json()["payment_status"]) == (200, "cancelled")

    def test_who_says_no_is_told_to_the_program(
        self, app: Flask, world: World, program: Program, other: FlaskClient
    ) -> None:
        order = order_of(app, world)
        body = {"version": 1, "amount": 8000}
        url, key = f"/api/v1/orders/{order.order_no}/capture", {"Idempotency-Key": "k1"}
        assert program.post(url, json=body, headers=key).status_code == 202
        decide(other, request_on(other.get("/approvals").text), "refuse", reason="在庫なし")
        no = program.post(url, json=body, headers=key)
        assert (no.status_code, no.get_json()["reason"]) == (422, "not_approved")
        assert "在庫なし" in no.get_json()["detail"]

    def test_parcels_with_big_captures_wait(
        self, app: Flask, world: World, program: Program, other: FlaskClient
    ) -> None:
        order = order_of(app, world)
        parcel = {"number": 0, "status": "delivered", "carrier_code": "002", "slip_numbers": ["1"]}
        body = {
            "capture": True,
            "orders": [{"order_no": order.order_no, "amount": 8000, "parcels": [parcel]}],
        }
        for n, (act, more) in enumerate((("refuse", {"reason": "まだ"}), ("approve", {}))):
            asked = program.post(
                "/api/v1/fulfilments", json=body, headers={"Idempotency-Key": f"k{n}"}
            )
            said = asked.get_json()
            assert (asked.status_code, said["code"], said["is_finished"]) == (
                202,
                "needs_approval",
                False,
            )
            assert (
                program.get(f"/api/v1/fulfilments/{said['id']}").get_json()["code"]
                == "needs_approval"
            )
            decide(other, request_on(other.get("/approvals").text), act, **more)
            Worker(app).run(until_idle=True)
            ended = program.get(f"/api/v1/fulfilments/{said['id']}")
            [result] = ended.get_json()["orders"][0]["parcels"]
            if act == "refuse":
                with app.app_context(), time_machine.travel(utc_now() + timedelta(days=2)):
                    runs.tidy()  # of a file only looked at nothing would be left
                asked_again = program.get(f"/api/v1/fulfilments/{said['id']}")
                assert asked_again.get_json() == ended.get_json()
                assert (ended.status_code, result["code"]) == (200, "not_approved")
                assert state(app, order) is PaymentStatus.AUTHORIZED
            else:
                assert (ended.status_code, result["result"]) == (200, "done")
        assert state(app, order) is PaymentStatus.CAPTURED


def test_who_only_ships_may_ask_and_withdraw(app: Flask, world: World, other: FlaskClient) -> None:
    with app.app_context():
        settings.save("店長", capture_on_slip=True)
    order = order_of(app, world)
    shipper = Browser(app, Role.SHIPPER)
    run = address(shipper.hand_in(slip_file(slip(order)), capture_on_slip="1"))
    page = shipper.get(run)
    assert 'data-needs-approval="8000"' in page.text
    sent = shipper.client.post(f"{run}/start", data=hidden_of(page))
    assert sent.location.startswith("/approvals/")
    assert shipper.get(run).location == sent.location
    assert decide(shipper.client, sent.location, "withdraw").status_code == 303
    assert state(app, order) is PaymentStatus.AUTHORIZED
    assert "取り下げ" in flat(other.get("/approvals"))
