"""接続元 (`/settings/networks`): screens and API from listed networks only (S4a)."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.cli import commands
from sgpshop.models import Role
from sgpshop.services import settings
from tests.forms import token_of
from tests.signing_in import signed_in
from tests.web.api_calls import ORDERS, Program
from tests.web.frame.test_rights import address
from tests.web.pages import flat

URL = "/settings/networks"
OFFICE, ELSEWHERE = "203.0.113.7", "198.51.100.9"
#: What banks, buyers and machines that watch need from anywhere.
_FOR_ALL = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/notify/<secret>",
    "/three-ds/<gateway_order_id>/<mark>",
    "/static/<path:filename>",
}


def at(where: str) -> dict[str, Any]:
    return {"environ_base": {"REMOTE_ADDR": where}}


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


def save(owner: FlaskClient, where: str = OFFICE, **fields: str) -> TestResponse:
    token = token_of(owner.get(URL, **at(where)))
    return owner.post(URL, data={"csrf_token": token} | fields, **at(where))


def limit(app: Flask, **lists: str) -> None:
    with app.app_context():
        settings.save("test", **lists)


def test_only_from_the_office_are_the_screens_used(app: Flask, owner: FlaskClient) -> None:
    operator = signed_in(app, Role.OPERATOR)
    assert save(owner, screen_networks="203.0.113.0/24\n2001:db8::/48").status_code == 303
    for somebody in (owner, operator, app.test_client()):
        refused = somebody.get("/orders", **at(ELSEWHERE))
        assert refused.status_code == 403
        assert "このネットワークからは利用できません" in flat(refused)
        assert ELSEWHERE in refused.text
        assert "店長" not in refused.text
    assert operator.get("/orders", **at(OFFICE)).status_code == 200  # the session went on
    assert operator.get("/orders", **at("::ffff:203.0.113.7")).status_code == 200
    assert operator.get("/orders", **at("2001:db8::1")).status_code == 200
    assert operator.get("/orders", **at("")).status_code == 403  # a Unix socket: nobody knows
    piece = operator.get("/orders", headers={"HX-Request": "true"}, **at(ELSEWHERE))
    assert (piece.status_code, piece.headers["HX-Retarget"]) == (403, "#messages")


def test_nothing_but_what_is_for_all_answers_to_others(app: Flask, owner: FlaskClient) -> None:
    limit(app, screen_networks=OFFICE, api_networks=OFFICE)
    app.config["WTF_CSRF_ENABLED"] = False
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            with owner.open(address(rule), method=method, **at(ELSEWHERE)) as answer:
                is_shut = answer.status_code == 403
            assert is_shut is (rule.rule not in _FOR_ALL), rule.rule
    assert owner.get("/no-such-page", **at(ELSEWHERE)).status_code == 403


def test_programs_have_a_list_of_their_own(app: Flask, owner: FlaskClient) -> None:
    program = Program(app)
    assert save(owner, screen_networks=OFFICE).status_code == 303
    assert program.get(ORDERS, **at(ELSEWHERE)).status_code == 200
    assert save(owner, api_networks=f"{OFFICE}, 10.1.0.0/16").status_code == 303
    refused = program.get(ORDERS, **at(ELSEWHERE))
    assert (refused.status_code, refused.json and refused.json["code"]) == (403, "wrong_network")
    assert program.get(ORDERS, **at("10.1.2.3")).status_code == 200
    with app.app_context():
        assert settings.load().api_networks == f"{OFFICE}\n10.1.0.0/16"


def test_nobody_shuts_out_himself_and_mistakes_are_named(app: Flask, owner: FlaskClient) -> None:
    for typed, told in (
        ("192.0.2.0/24", f"いまの接続元({OFFICE})が入っていません"),
        ("office", "「office」は、IPアドレスでもネットワークでもありません"),
        ("203.0.113.0/99", "IPアドレスでもネットワークでもありません"),
        ("0.0.0.0/0", "空欄にしてください"),
        ("\n".join(f"10.0.{n}.0/24" for n in range(101)), "100個まで"),
    ):
        answer = save(owner, screen_networks=typed)
        assert answer.status_code == 422
        assert told in flat(answer)
        assert typed.split("\n")[0] in answer.text  # still there to be mended
    assert owner.get("/orders", **at(ELSEWHERE)).status_code == 200
    assert "203.0.113.7" in owner.get(URL, **at(OFFICE)).text


def test_others_than_owners_are_refused(app: Flask) -> None:
    assert signed_in(app, Role.OPERATOR).get(URL).status_code == 403


def test_who_is_locked_out_lifts_it_by_a_command(app: Flask, owner: FlaskClient) -> None:
    limit(app, screen_networks=OFFICE, api_networks=OFFICE)
    assert owner.get("/orders").status_code == 403
    runner = app.test_cli_runner()
    done = runner.invoke(commands, ["allow-all-networks"])
    assert (done.exit_code, "解除しました" in done.output) == (0, True)
    assert owner.get("/orders").status_code == 200
    assert "制限はありません" in runner.invoke(commands, ["allow-all-networks"]).output
    assert "allow-all-networks" in owner.get(URL).text  # 変更履歴


class TestBehindAProxy:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"TRUSTED_PROXIES": (ipaddress.ip_network("10.0.0.0/24"),)}

    @pytest.mark.parametrize(
        ("sender", "forwarded", "status"),
        [
            ("10.0.0.9", OFFICE, 200),
            ("10.0.0.9", ELSEWHERE, 403),
            ("10.0.0.9", f"{OFFICE}, {ELSEWHERE}", 403),  # the first is what the visitor claims
            (ELSEWHERE, OFFICE, 403),  # past the proxy
            ("10.0.0.9", "", 403),
        ],
    )
    def test_what_the_proxy_says_counts_and_what_others_say_does_not(
        self, app: Flask, owner: FlaskClient, sender: str, forwarded: str, status: int
    ) -> None:
        limit(app, screen_networks=OFFICE)
        headers = {"X-Forwarded-Proto": "http"}
        if forwarded:
            headers["X-Forwarded-For"] = forwarded
        assert owner.get("/orders", headers=headers, **at(sender)).status_code == status
