"""Who may call the JSON API, how often, and what else it answers (S4, S6, S8, S13, S22, S23)."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from sgpshop import environment
from sgpshop.models import Role, Scope
from sgpshop.services.access import api_keys
from sgpshop.web.frame.security import for_machines, right_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.api_calls import ORDERS, Program, make_key, problem
from tests.web.frame.test_rights import address


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"API_REQUESTS_PER_KEY": 30, "API_REQUESTS_PER_ADDRESS": 60, "API_SEARCHES_PER_KEY": 5}


def test_every_route_for_every_scope(app: Flask) -> None:  # S4
    programs: dict[Scope | None, Program] = {scope: Program(app, scope) for scope in Scope}
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and right_of(app, rule.endpoint) != "public"
    ]
    assert len(rules) == 11
    for rule in rules:
        right = str(right_of(app, rule.endpoint))
        for scope, program in programs.items():
            send = program.get if "GET" in (rule.methods or ()) else program.post
            answer = send(address(rule))
            if right == f"api:{scope}":
                assert answer.status_code not in (401, 403, 500), rule
            else:
                problem(answer, 403, "forbidden")


def test_without_a_good_key_nobody_enters(app: Flask) -> None:  # S13
    key = make_key(app)
    for sent in (
        None, "", "Bearer", "Bearer x", key, f"Basic {base64.b64encode(key.encode()).decode()}",
        f"Bearer {key}x", f"Bearer {key[:-1]}", f"Bearer {key.swapcase()}", "Bearer \xff",
    ):  # fmt: skip
        headers = {} if sent is None else {"Authorization": sent}
        answer = app.test_client().get(ORDERS, headers=headers)
        problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert app.test_client().get(f"{ORDERS}?key={key}").status_code == 401


def test_a_session_opens_nothing_here(app: Flask) -> None:  # S6
    owner = signed_in(app, Role.OWNER)
    answer = owner.get(ORDERS)
    problem(answer, 401, "unauthorized")
    assert "Set-Cookie" not in answer.headers
    problem(owner.post(f"{ORDERS}/P1/capture", json={}), 401, "unauthorized")


def test_a_key_needs_neither_token_nor_origin(app: Flask) -> None:  # S6
    answer = Program(app).post(
        f"{ORDERS}/P1/capture",
        {"version": 1, "amount": 1},
        headers={"Origin": "https://cart.example.jp", "Sec-Fetch-Site": "cross-site"},
    )
    problem(answer, 404, "not_found")


def test_a_revoked_key_ends_at_the_next_request(app: Flask) -> None:  # S13
    program = Program(app)
    assert program.get(ORDERS).status_code == 200
    with app.app_context():
        api_keys.revoke(program.key.rpartition("_")[0][:13], by="店長")
    problem(program.get(ORDERS), 401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/orders/", 404, "not_found"),
        ("DELETE", ORDERS, 405, "method_not_allowed"),
        ("GET", f"{ORDERS}/P1/capture", 405, "method_not_allowed"),
        ("POST", "/api/v1/openapi.json", 405, "method_not_allowed"),
    ],
)
def test_whatever_goes_wrong_is_json(
    app: Flask, method: str, path: str, status: int, code: str
) -> None:  # S22
    answer = app.test_client().open(path, method=method)
    problem(answer, status, code)
    assert answer.headers["Content-Security-Policy"]  # S8
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_fault_of_ours_says_nothing_of_itself(app: Flask) -> None:  # S22
    program = Program(app)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.view_functions["api_orders.search"] = for_machines(lambda: 1 / 0)
    answer = program.get(ORDERS)
    problem(answer, 500, "error")
    assert "division" not in answer.text


def test_another_host_is_refused_in_json_too(app: Flask) -> None:  # S24
    answer = app.test_client().get(ORDERS, headers={"Host": "evil.example"})
    problem(answer, 400, "bad_request")


def refused(ask: Callable[[], int], most: int) -> bool:
    """Whether more than `most` are too many, though a new span may begin on the way."""
    return any(ask() == 429 for _ in range(2 * most + 2))


class TestLimits:  # S23
    def test_of_a_key(self, app: Flask) -> None:
        program = Program(app)
        path = f"{ORDERS}/P1"
        assert refused(lambda: program.get(path).status_code, 30)
        answer = program.get(path)
        problem(answer, 429, "too_many_requests")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert Program(app).get(path).status_code == 404  # another key

    def test_what_is_left_is_told(self, app: Flask) -> None:
        program = Program(app)
        left = []
        for path in (f"{ORDERS}/P1", f"{ORDERS}/P1"):  # also by refusals
            headers = program.get(path).headers
            assert headers["RateLimit-Policy"] == '"key";q=30;w=60'
            left.append(int(headers["RateLimit"].split(";r=")[1].split(";")[0]))
        assert left[0] in (left[1] + 1, 29)
        assert program.get(ORDERS).headers["RateLimit"].startswith('"search";r=')

    def test_of_searches(self, app: Flask) -> None:
        program = Program(app)
        assert refused(lambda: program.get(ORDERS).status_code, 5)
        assert program.get(f"{ORDERS}/P1").status_code == 404

    def test_of_an_address_whatever_the_key(self, app: Flask) -> None:
        assert app.test_client().get(ORDERS).status_code == 401
        assert refused(lambda: app.test_client().get(ORDERS).status_code, 60)
        assert (
            Program(app)
            .get(f"{ORDERS}/P1", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
            .status_code
            == 404
        )

    def test_the_default_lets_ten_orders_a_second_pass(self) -> None:
        values = environment.load({})
        assert values["API_REQUESTS_PER_KEY"] >= 2 * 10 * 60
        assert values["API_REQUESTS_PER_ADDRESS"] >= values["API_REQUESTS_PER_KEY"]


def test_a_locked_database_still_lets_read(app: Flask, world: World) -> None:  # P32
    program = Program(app)
    assert program.get(ORDERS).status_code == 200
    path = app.config["SQLALCHEMY_DATABASE_URI"].removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert program.get(ORDERS).status_code == 200
    finally:
        other.execute("ROLLBACK")
        other.close()
