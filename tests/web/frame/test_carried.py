"""The session was over when a form came: it is kept for the same person, and nothing is done by itself (B3)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import LoginSession, Order, Role
from sgpshop.web.frame import carried
from sgpshop.web.frame.security import right_of
from tests.factories import authorized_order
from tests.forms import Form, form_of, forms_of, hidden_of, token_of
from tests.gateway_world import World
from tests.signing_in import PASSWORD, make_person, signed_in

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/slips"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser in which 田中 is signed in, with a form of their session open."""
    return signed_in(app, Role.OPERATOR, "田中")


def end_sessions(app: Flask) -> None:
    with app.app_context():
        db.session.execute(sa.delete(LoginSession))
        db.session.commit()


def enter(client: FlaskClient, page: TestResponse, name: str = "田中") -> TestResponse:
    form = hidden_of(page) | {"name": name, "password": PASSWORD}
    return client.post("/login?next=/slips", data=form)


def paste(client: FlaskClient, **more: Any) -> TestResponse:
    lines = "P1,0,002,1234\r\nP2,0,002,5678\r\nP3,0,999,1"
    terms = {"on_capture_failure": "skip"}
    secret = {"current_password": "geheim", "csrf_token": "old"}
    return client.post("/slips", data={"pasted": lines} | terms | secret, **more)


def test_every_form_has_words_or_is_asked_for_anew(app: Flask) -> None:
    forms = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ()) and isinstance(right_of(app, rule.endpoint), Role)
    }
    assert forms - {"auth.logout", "auth.extend"} == carried.ACTS.keys() | carried.MONEY.keys()
    assert all(screen in app.view_functions for _, screen in carried.MONEY.values())


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_pasted_slip_lines_are_there_after_signing_in_again(
    app: Flask, client: FlaskClient, headers: dict[str, str]
) -> None:
    end_sessions(app)
    page = paste(client, headers=headers)
    assert page.status_code == 401
    assert "しばらく操作がなかったか、ほかで終了されたため" in page.text
    assert "1234" not in page.text  # whoever sits down now reads nothing
    again = enter(client, page)
    assert "「伝票番号の読み込み」はまだ行っていません" in again.text
    form = hidden_of(again)
    assert form["pasted"].split() == ["P1,0,002,1234", "P2,0,002,5678", "P3,0,999,1"]
    assert "current_password" not in form
    preview = client.post("/slips", data=form, follow_redirects=True)
    assert preview.status_code == 200
    assert "5678" in preview.text


def test_somebody_else_who_signs_in_gets_nothing(app: Flask, client: FlaskClient) -> None:
    end_sessions(app)
    page = paste(client)
    with app.app_context():
        make_person("鈴木")
    entered = enter(client, page, "鈴木")
    assert (entered.status_code, entered.location) == (303, "/slips")


def test_strangers_are_only_sent_to_the_login(app: Flask) -> None:
    answer = paste(app.test_client())
    assert (answer.status_code, answer.location) == (303, "/login")


def test_what_was_sealed_opens_only_unaltered(app: Flask, client: FlaskClient) -> None:
    end_sessions(app)
    form = hidden_of(paste(client))
    form["carried"] = form["carried"][:-8] + "AAAAAAA="
    entered = client.post("/login", data=form | {"name": "田中", "password": PASSWORD})
    assert entered.status_code == 303


def test_what_another_version_sealed_keeps_nobody_out(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_sessions(app)
    monkeypatch.setattr(carried, "asdict", lambda form: asdict(form) | {"of_another": True})
    entered = enter(client, paste(client))
    assert (entered.status_code, entered.location) == (303, "/slips")


def test_a_wrong_password_loses_nothing(app: Flask, client: FlaskClient) -> None:
    end_sessions(app)
    form = hidden_of(paste(client)) | {"name": "田中", "password": "wrong"}
    page = client.post("/login", data=form)
    assert page.status_code == 422
    assert "はまだ行っていません" in enter(client, page).text


def test_a_file_or_too_much_can_only_be_chosen_again(app: Flask, client: FlaskClient) -> None:
    end_sessions(app)
    page = client.post("/slips", data={"pasted": "x" * (carried.MOST + 1)})
    assert page.status_code == 401
    again = enter(client, page)
    assert "引き継げません" in again.text
    assert "xxx" not in again.text


def test_a_capture_is_asked_for_again_and_nothing_was_sent(
    app: Flask, client: FlaskClient, world: World
) -> None:
    with app.app_context():
        number = authorized_order(world).order_no
    asked = client.get(f"/orders/{number}/capture")
    form = form_of(asked, f"/orders/{number}/capture").fields
    end_sessions(app)
    again = enter(client, client.post(f"/orders/{number}/capture", data=form))
    assert "SMBC-GPには何も送信していません" in again.text
    assert f'href="/orders/{number}/capture"' in again.text
    assert "request_token" not in again.text
    assert world.sales(number) == 0


def test_what_was_typed_into_an_order_is_saved_only_when_said_so(
    app: Flask, client: FlaskClient, world: World
) -> None:
    with app.app_context():
        number = authorized_order(world).order_no
    asked = client.get(f"/orders/{number}/edit/total")
    form = dict(form_of(asked, f"/orders/{number}/edit/total").fields) | {"total": "1200"}
    end_sessions(app)
    again = enter(client, client.post(f"/orders/{number}/edit/total", data=form))
    assert total_of(app, number) != 1200
    client.post(f"/orders/{number}/edit/total", data=hidden_of(again))
    assert total_of(app, number) == 1200


def total_of(app: Flask, number: str) -> int:
    with app.app_context():
        return db.session.scalars(sa.select(Order.total).where(Order.order_no == number)).one()


def test_the_token_of_the_page_that_goes_on_is_a_fresh_one(app: Flask, client: FlaskClient) -> None:
    end_sessions(app)
    page = paste(client)
    assert token_of(enter(client, page)) != token_of(page)


def forms_of_screens(app: Flask, client: FlaskClient, order: str) -> dict[str, tuple[str, Form]]:
    """Every form that is posted from some screen, by its endpoint, and the screen it is on."""
    found: dict[str, tuple[str, Form]] = {}
    addresses = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not isinstance(right_of(app, rule.endpoint), Role):
            continue
        if rule.arguments - {"order_no", "act"}:
            continue
        path = rule.rule.replace("<order_no>", order)
        with client.get(path) as page:
            if page.status_code != 200 or page.mimetype != "text/html":
                continue
            for form in forms_of(page):
                if form.method == "post":
                    form.action = form.action or path
                    endpoint, _ = addresses.match(urlsplit(form.action).path, "POST")
                    found.setdefault(str(endpoint), (path, form))
    return found


def test_each_form_of_each_screen_is_kept_and_asked_about(app: Flask, world: World) -> None:
    with app.app_context():
        number = authorized_order(world, total=2000).order_no
    owner = signed_in(app, Role.OWNER, "店長")
    forms = forms_of_screens(app, owner, number)
    assert {"order_edit.change_content", "order_detail.notes", "settings.save_sgp"} <= forms.keys()
    assert {
        "bulk_runs.prepare",
        "slips.fill",
        "slips.upload",
        "order_detail.capture",
    } <= forms.keys()
    assert len(forms) >= 25
    for endpoint in sorted(forms.keys() - {"auth.logout", "auth.extend"}):
        path, form = forms[endpoint]
        end_sessions(app)
        page = owner.post(form.action, data=form.every)
        assert (endpoint, page.status_code) == (endpoint, 401), path
        again = enter(owner, page, "店長")
        assert "はまだ行っていません" in again.text, (endpoint, path)
        if endpoint in carried.MONEY:
            continue
        [kept] = [one for one in forms_of(again) if one.action == form.action]
        typed = {name: had for name, had in form.every.items() if not carried.is_secret(name)}
        assert {name: had for name, had in kept.every.items() if name != "csrf_token"} == typed
