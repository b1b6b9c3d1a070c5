"""設定 → APIキー (`/settings/api-keys`): made, shown once, revoked, by the owner alone (S5, S10, S13)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.extensions import db
from sgpshop.models import ApiKey, LoginSession, Role, utc_now
from sgpshop.storage.database import writing
from tests.forms import form_of, token_of
from tests.signing_in import PASSWORD, signed_in

PAGE = "/settings/api-keys"


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER)


def form(page: str, **values: object) -> dict[str, object]:
    return form_of(page, PAGE).hidden | values


def test_a_key_is_shown_once(app: Flask, owner: FlaskClient) -> None:  # S10, S13
    sent = form(owner.get(PAGE).text, name="カート", scopes=["intake", "read"])
    answer = owner.post(PAGE, data=sent)
    assert answer.status_code == 201
    [key] = re.findall(r'value="(sgpk_[0-9a-f]{8}_[\w-]{32})"', answer.text)
    assert app.test_client().get(
        "/api/v1/orders", headers={"Authorization": f"Bearer {key}"}
    ).status_code == 200  # fmt: skip
    page = owner.get(PAGE).text
    assert key not in page
    assert f"{key[:13]}…" in page
    assert "注文の受付、注文の照会(購入者の氏名・住所・電話番号を含む)" in re.sub(r"\s+", "", page)
    again = owner.post(PAGE, data=sent)  # reloaded
    assert again.status_code == 409
    assert "すでに作成されています" in again.text
    assert key not in again.text
    with app.app_context():
        assert db.session.query(ApiKey).count() == 1


def test_a_key_needs_a_name_and_something_to_do(app: Flask, owner: FlaskClient) -> None:
    for values in (
        {"name": "", "scopes": ["read"]},
        {"name": "カート"},
        {"name": "カート", "scopes": ["everything"]},
        {"name": "カート", "scopes": ["read"], "last_day": "2020-01-01"},
        {"name": "カート", "scopes": ["read"], "last_day": "soon"},
        {"name": "カート", "scopes": ["read"], "request_token": "x"},
    ):
        answer = owner.post(PAGE, data=form(owner.get(PAGE).text) | values)
        assert answer.status_code == 422, values
        assert 'role="alert"' in answer.text
    with app.app_context():
        assert db.session.query(ApiKey).count() == 0


def test_the_password_is_asked_again_after_ten_minutes(
    app: Flask, owner: FlaskClient
) -> None:  # S5
    with app.app_context(), writing() as session:
        session.execute(
            sa.update(LoginSession).values(confirmed_at=utc_now() - timedelta(minutes=11))
        )
    page = owner.get(PAGE).text
    assert 'name="current_password"' in page
    sent = form(page, name="カート", scopes=["read"])
    refused = owner.post(PAGE, data=sent | {"current_password": "wrong wrong wrong"})
    assert refused.status_code == 422
    assert "sgpk_" not in refused.text
    assert owner.post(PAGE, data=sent | {"current_password": PASSWORD}).status_code == 201


def test_revoking_asks_first(app: Flask, owner: FlaskClient) -> None:  # S13
    made = owner.post(PAGE, data=form(owner.get(PAGE).text, name="カート", scopes=["read"])).text
    [key] = re.findall(r'value="(sgpk_[\w-]+)"', made)
    path = f"{PAGE}/{key[:13]}/revoke"
    asked = owner.get(path).text
    assert "data-confirm-yes" in asked
    assert "data-confirm-no" in asked
    headers = {"Authorization": f"Bearer {key}"}
    assert app.test_client().get("/api/v1/orders", headers=headers).status_code == 200
    done = owner.post(path, data={"csrf_token": token_of(asked)})
    assert (done.status_code, done.location) == (303, PAGE)
    assert app.test_client().get("/api/v1/orders", headers=headers).status_code == 401
    assert "無効(" in owner.get(PAGE).text
    unknown = owner.post(f"{PAGE}/sgpk_0/revoke", data={"csrf_token": token_of(asked)})
    assert unknown.status_code == 404


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER])
def test_only_the_owner(app: Flask, role: Role) -> None:  # S4
    assert signed_in(app, role).get(PAGE).status_code == 403
