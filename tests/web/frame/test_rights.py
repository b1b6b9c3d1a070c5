"""Every route names its right and keeps to it (S4, R150, R152)."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from sgpshop.cli import commands
from sgpshop.domain.rights import HOLDS, MAY, holds
from sgpshop.models import Role
from sgpshop.web.frame.security import list_rights, public, requires, right_of
from tests.signing_in import signed_in

_WRITING = {"POST", "PUT", "PATCH", "DELETE"}


def address(rule: Rule) -> str:
    """A URL of the rule; the things named in it do not exist."""
    return re.sub(r"<(?:int:)?[^>]+>", "1", rule.rule)


def test_every_route_names_the_right_it_needs(app: Flask) -> None:  # S4
    silent = [rule for _, rule, right in list_rights(app) if right is None]
    assert silent == []


def test_strangers_see_only_what_everybody_may_see(app: Flask) -> None:
    open_to_all = {rule for _, rule, right in list_rights(app) if right == "public"}
    assert open_to_all == {
        "/healthz",
        "/readyz",
        "/metrics",  # 404 without its setting, then a token of its own opens it
        "/login",
        "/setup",  # the first owner, while there is nobody; a link opens it (S1a)
        "/login/passkey",  # a device that knows its owner, in place of the password (S1)
        "/login/code",  # the step after the password: opened by what the password gave (S2)
        "/session",  # tells whoever asks when their own session ends
        "/notify/<secret>",  # has no session and no token; S15
        "/api/v1/openapi.json",  # says what the source says; T7
        "/three-ds/<gateway_order_id>/<mark>",  # a buyer's browser; our own mark opens it
        "/static/<path:filename>",
    }


def test_settings_are_the_owners(app: Flask) -> None:  # R86
    settings = [row for row in list_rights(app) if row[1].startswith("/settings")]
    others = [row for row in settings if row[2] != Role.OWNER]
    # The picture alone: it is on the delivery notes that every role sees.
    assert others == [("GET", "/settings/files/paper/logo", Role.VIEWER)]


def test_all_routes_for_all_roles(app: Flask) -> None:  # S4
    app.config["WTF_CSRF_ENABLED"] = False  # so that the right alone decides
    app.config["PROPAGATE_EXCEPTIONS"] = False
    browsers: dict[Role | None, FlaskClient] = {role: signed_in(app, role) for role in Role}
    browsers[None] = app.test_client()
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "auth.logout"]
    assert rules
    for rule in rules:
        right = right_of(app, rule.endpoint)
        if str(right).startswith("api:"):
            continue  # by key, not by role: tests.web.api.test_api_access.py
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            for role, browser in browsers.items():
                with browser.open(address(rule), method=method) as answer:
                    status, location = answer.status_code, answer.location or ""
                case = f"{method} {rule.rule} by {role}"
                if right == "public":
                    assert status != 403, case
                elif role is None:
                    assert status == 303, case
                    assert location.startswith("/login"), case
                elif right not in HOLDS[role]:
                    assert status == 403, case
                else:
                    assert status not in (401, 403, 500), case


def test_a_view_that_names_no_right_stays_shut(app: Flask) -> None:  # S4
    owner = signed_in(app, Role.OWNER)
    app.view_functions["help_page.show"] = lambda: "open"
    assert owner.get("/help").status_code == 403
    app.view_functions["help_page.show"] = requires(Role.OWNER)(lambda: "open")
    assert owner.get("/help").text == "open"
    app.view_functions["help_page.show"] = public(lambda: "open")
    assert app.test_client().get("/help").text == "open"


def test_opening_a_page_is_never_the_way_to_change_something(app: Flask) -> None:  # R152
    for rule in app.url_map.iter_rules():
        methods = rule.methods or set()
        assert not ("GET" in methods and methods & _WRITING), rule.rule


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OWNER])
def test_who_has_no_right_reads_why(app: Flask, role: Role) -> None:
    answer = signed_in(app, role).get("/settings/sgp")
    assert answer.status_code == 403
    assert "この操作をする権限がありません" in answer.text


def test_the_command_prints_every_route_with_its_right(app: Flask) -> None:
    result = app.test_cli_runner().invoke(commands, ["routes-and-rights"])
    assert result.exit_code == 0
    table = {tuple(line.split()) for line in result.stdout.splitlines()}
    assert ("POST", "/settings/sgp", "owner") in table
    assert ("GET", "/healthz", "public") in table
    assert ("GET", "/orders", "viewer") in table
    assert ("POST", "/api/v1/orders", "api:intake") in table


#: What needs the right of who ships, or of who does the books; all else is for others (R150).
_OF_SHIPPER = """
    GET /slips GET /slips/file GET /slips/history GET /slips/template.csv POST /slips
    GET /slips/grid POST /slips/grid GET /slips/grid/check POST /slips/grid/check
    GET /slips/<run_id> GET /slips/<run_id>/errors.csv
    GET /slips/<run_id>/start POST /slips/<run_id>/start
    GET /slips/<run_id>/retry POST /slips/<run_id>/retry
    GET /slips/<run_id>/terms POST /slips/<run_id>/terms
    POST /orders/bulk POST /orders/bulk/<run_id>/start
    POST /orders/bulk/labels POST /orders/bulk/labels/file
    POST /orders/bulk/print POST /orders/bulk/picking
    GET /orders/<order_no>/deliver POST /orders/<order_no>/deliver
    GET /orders/<order_no>/return POST /orders/<order_no>/return
    GET /orders/<order_no>/statuses POST /orders/<order_no>/statuses
    GET /orders/<order_no>/ship POST /orders/<order_no>/slips POST /orders/<order_no>/notes
    POST /approvals/<int:approval_id>/withdraw
"""
_OF_ACCOUNTANT = """
    POST /journals POST /sales POST /subscriptions/export
    POST /orders/export POST /orders/bulk/export GET /orders/export/files GET /orders/export/files/<token>
"""


@pytest.mark.parametrize(
    ("role", "wanted"), [(Role.SHIPPER, _OF_SHIPPER), (Role.ACCOUNTANT, _OF_ACCOUNTANT)]
)
def test_what_is_open_to_who_ships_and_to_who_does_the_books(
    app: Flask, role: Role, wanted: str
) -> None:  # R150
    words = wanted.split()
    found = {(methods, rule) for methods, rule, right in list_rights(app) if right == role}
    assert found == set(zip(words[::2], words[1::2], strict=True))


def test_the_table_of_rights_is_shown_as_it_is_asked(app: Flask) -> None:  # R150
    for page in ("/settings/people", "/help"):
        text = signed_in(app, Role.OWNER, page).get(page).text
        table = text[text.index("data-rights") : text.index("</table>", text.index("data-rights"))]
        assert table.count("○") == sum(len(held) for held in HOLDS.values())
        assert all(words in table for words in MAY.values())


def test_a_role_of_another_version_opens_nothing(app: Flask) -> None:
    assert not holds("king", Role.VIEWER)
