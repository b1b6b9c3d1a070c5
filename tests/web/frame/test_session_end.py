"""Five minutes before log-out it is said, and can be put off; the server decides (part 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.extensions import db
from sgpshop.models import LoginSession, Role, utc_now
from tests.forms import hidden_of
from tests.signing_in import signed_in

HTMX = {"HX-Request": "true"}
POLL = HTMX | {"X-Poll": "1"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return signed_in(app, Role.VIEWER, "佐藤")


def last_used(app: Flask, ago: timedelta, begun: timedelta = timedelta(hours=1)) -> None:
    now = utc_now()
    with app.app_context():
        db.session.execute(
            sa.update(LoginSession).values(seen_at=now - ago, started_at=now - begun)
        )
        db.session.commit()


def test_a_page_asks_once_five_minutes_before_the_end(client: FlaskClient) -> None:
    page = client.get("/help").text
    assert 'hx-get="/session"' in page
    assert any(f"load delay:{seconds}s" in page for seconds in (3298, 3299, 3300))
    assert "ログアウトします" not in page


def test_the_warning_can_be_answered(app: Flask, client: FlaskClient) -> None:
    last_used(app, timedelta(minutes=56))
    warned = client.get("/session", headers=POLL)
    assert "あと約4分で、安全のためログアウトします。" in warned.text
    form = hidden_of(warned)
    extended = client.post("/session", data=form, headers=HTMX)
    assert "ログアウトします" not in extended.text
    last = client.get("/session", headers=POLL)
    assert "ログアウトします" not in last.text


def test_what_renews_itself_keeps_no_session_alive(app: Flask, client: FlaskClient) -> None:
    last_used(app, timedelta(minutes=58))
    client.get("/orders", headers=POLL)
    assert "ログインを延長する" in client.get("/session", headers=POLL).text
    client.get("/orders")
    assert "ログインを延長する" not in client.get("/session", headers=POLL).text


def test_after_twelve_hours_it_cannot_be_put_off(app: Flask, client: FlaskClient) -> None:
    last_used(app, timedelta(minutes=1), begun=timedelta(hours=11, minutes=57))
    warned = client.get("/session", headers=POLL).text
    assert "延長できません" in warned
    assert "ログインを延長する" not in warned


def test_when_it_is_over_the_page_stays_and_says_so(app: Flask, client: FlaskClient) -> None:
    last_used(app, timedelta(hours=2))
    over = client.get("/session", headers=POLL)
    assert "しばらく操作がなかったか、ほかで終了されたため" in over.text
    assert "hx-trigger" not in over.text
    assert "HX-Redirect" not in over.headers


@pytest.mark.parametrize("referer", ["http://[", "http://localhost/help", "//evil.example", ""])
def test_put_off_by_a_plain_form_it_leads_back_to_a_page_of_ours(
    client: FlaskClient, referer: str
) -> None:
    form = hidden_of(client.get("/help"))
    answer = client.post("/session", data=form, headers={"Referer": referer})
    assert answer.status_code == 303
    assert answer.location == ("/help" if referer.endswith("/help") else "/")
