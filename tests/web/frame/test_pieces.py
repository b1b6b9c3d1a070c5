"""Pieces of pages are made once for what they show, and never shown to somebody else (web/frame/pieces.py)."""

from __future__ import annotations

import re

import jinja2
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from markupsafe import Markup

from sgpshop.extensions import db
from sgpshop.models import Person, Role
from sgpshop.services import settings
from sgpshop.web.frame.pieces import piece
from tests.signing_in import signed_in


def kept(app: Flask) -> str:
    """All that is kept, in one text."""
    pieces: dict[bool, dict[object, Markup]] = app.extensions["sgpshop.pieces"]
    return "".join(f"{key} {made}" for some in pieces.values() for key, made in some.items())


def shown(client: FlaskClient, path: str = "/orders") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.text


def test_each_sees_their_own_menu_and_a_right_taken_away_takes_it_at_once(app: Flask) -> None:
    owner, other = signed_in(app, Role.OWNER, "主"), signed_in(app, Role.OPERATOR, "担当")
    for _ in range(2):
        of_owner, of_other = shown(owner), shown(other)
        assert "<bdi>主</bdi>" in of_owner
        assert 'href="/settings/sgp"' in of_owner
        assert "<bdi>担当</bdi>" in of_other
        assert 'href="/settings/sgp"' not in of_other
        tokens = [re.findall(r'name="csrf_token" value="([^"]+)"', p) for p in (of_owner, of_other)]
        assert len(set(tokens[0])) == len(set(tokens[1])) == 1
        assert tokens[0][0] != tokens[1][0]
    with app.app_context():
        db.session.execute(sa.update(Person).where(Person.name == "主").values(role=Role.VIEWER))
        db.session.commit()
    assert 'href="/settings/sgp"' not in shown(owner)


def test_the_name_of_the_shop_changes_at_once(app: Flask) -> None:
    client = signed_in(app, Role.OPERATOR)
    for name in ("まえ商店", "あと商店"):
        with app.app_context():
            settings.save("test", shop_name=name)
        assert f'title="{name}"' in shown(client)


def test_a_piece_that_is_long_for_its_address_is_not_kept(app: Flask) -> None:  # S23
    client = signed_in(app, Role.VIEWER)
    for days in range(3):
        shown(client, f"/orders?{'status=authorized&' * 800}auth_days_left={days}")
    assert len(kept(app)) < 100_000


def test_what_somebody_typed_is_shown_and_not_kept(app: Flask) -> None:
    client = signed_in(app, Role.OPERATOR)
    for name in ("q", "order_no", "item", "slip", "error"):
        word = f"ZQ{name.replace('_', '').upper()}"
        assert word in shown(client, f"/orders?{name}={word}")
        assert word not in kept(app)
    assert 'value="authorized"' in shown(client, "/orders?status=authorized")
    assert "status=authorized" in kept(app)


def test_a_piece_knows_neither_the_request_nor_the_person(app: Flask) -> None:
    app.jinja_env.loader = jinja2.DictLoader(
        {name: f"{{{{ {name}.path }}}}" for name in ("request", "session", "g", "current_user")}
    )
    for name in ("request", "session", "g", "current_user"):
        with app.test_request_context(), pytest.raises(jinja2.UndefinedError):
            piece(name, {})
