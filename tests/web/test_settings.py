"""SGP:クレジットカードの設定 (`/settings/sgp`): R2-R6, R86, S10."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import Role, Setting
from sgpshop.services import contract, settings
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.test_auth import token_of

FORM = {
    "site_id": "tsite00000001",
    "site_pass": "sitepass01",
    "shop_id": "tshop00000001",
    "shop_pass": "shoppass01",
    "auth_valid_days": "45",
    "needs_review_alert_hours": "12",
    "bulk_max": "300",
    "cancel_lock_minutes": "30",
    "extend_auth_enabled": "True",
    "tax_included": "True",
    "tax_rounding": "down",
}
URL = "/settings/sgp"


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


def save(client: FlaskClient, **changed: str) -> TestResponse:
    token = token_of(client.get(URL))
    return client.post(URL, data={"csrf_token": token} | FORM | changed)


def test_the_contract_is_stored_and_shown(app: Flask, owner: FlaskClient) -> None:
    assert save(owner).status_code == 303
    page = owner.get(URL).text
    assert "設定を保存しました。" in page
    for shown in ("tsite00000001", "tshop00000001", 'value="45"', 'value="12"', 'value="300"'):
        assert shown in page
    with app.app_context():
        assert settings.load().has_contract  # R2


def test_passwords_are_never_shown(app: Flask, owner: FlaskClient) -> None:  # R86, S10
    assert "未登録です" in owner.get(URL).text
    save(owner)
    page = owner.get(URL).text
    assert "登録済みです" in page
    refused = save(owner, auth_valid_days="0")
    for text in (page, refused.text):
        assert "shoppass01" not in text
        assert "sitepass01" not in text
    with app.app_context():
        stored = " ".join(db.session.scalars(sa.select(Setting.value)))
        assert "shoppass01" not in stored
        assert "sitepass01" not in stored


def test_an_empty_password_keeps_the_old_one(app: Flask, owner: FlaskClient) -> None:
    save(owner)
    with app.app_context():
        before = settings.load()
    save(owner, shop_pass="", site_pass="", bulk_max="400")
    with app.app_context():
        after = settings.load()
    assert after.shop_pass_sealed == before.shop_pass_sealed
    assert after.bulk_max == 400


def test_the_names_of_changed_fields_are_logged_and_nothing_more(
    owner: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:  # R86
    save(owner)
    text = capsys.readouterr().out
    assert "settings_changed" in text
    assert '"shop_pass"' in text
    assert "店長" in text
    for value in ("shoppass01", "sitepass01", "tshop00000001"):
        assert value not in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shop_id", "tshop-0000001"),  # R6
        ("shop_id", "t" * 14),
        ("shop_id", "ショップ"),
        ("site_id", "tsite00000001\n"),
        ("site_id", "<script>"),
        ("shop_pass", "パスワード"),
        ("auth_valid_days", "0"),
        ("auth_valid_days", "91"),
        ("auth_valid_days", "六十"),
        ("auth_valid_days", ""),
        ("needs_review_alert_hours", "-1"),
        ("bulk_max", "0"),
        ("bulk_max", "99999999999999999999"),
    ],
)
def test_a_value_that_cannot_be_used_is_explained_beside_its_field(
    app: Flask, owner: FlaskClient, field: str, value: str
) -> None:
    answer = save(owner, **{field: value})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert f"{field}-error" in answer.text.split(f'name="{field}"')[0].rsplit("<input", 1)[1]
    assert "ください" in answer.text
    with app.app_context():
        assert settings.load() == settings.ShopSettings()


def test_fields_that_are_not_ours_to_set_are_ignored(app: Flask, owner: FlaskClient) -> None:  # S4
    save(owner, shop_pass_sealed="x", subscription_enabled="1")
    with app.app_context():
        now = settings.load()
    assert now.shop_pass_sealed != "x"
    assert now.subscription_enabled is False


def test_a_field_that_was_not_sent_stays(app: Flask, owner: FlaskClient) -> None:
    save(owner)
    token = token_of(owner.get(URL))
    numbers = {name: FORM[name] for name in FORM if name not in ("site_id", "shop_id")}
    owner.post(URL, data={"csrf_token": token} | numbers)
    with app.app_context():
        assert settings.load().shop_id == "tshop00000001"


def test_saving_nothing_new_says_so(owner: FlaskClient) -> None:
    unchanged = {"shop_pass": "", "site_pass": ""}
    save(owner)
    owner.get(URL)
    save(owner, **unchanged)
    assert "変更はありませんでした。" in owner.get(URL).text


def test_the_consoles_are_linked_with_the_ids(owner: FlaskClient) -> None:  # R3, R4, R6
    assert owner.get(URL).text.count("未設定") == 2
    save(owner)
    page = owner.get(URL).text
    assert "/mulpayconsole/site/tsite00000001/login/" in page
    assert "/mulpayconsole/shop/tshop00000001/login/" in page
    assert page.count('rel="noopener noreferrer"') == 2


class TestConnection:
    """「接続を確認」 asks the gateway and moves nothing."""

    @pytest.fixture
    def gateway(self, app: Flask, tmp_path: Path) -> World:
        world = World(tmp_path)
        contract.init_app(app, world.gateway)
        return world

    def check(self, owner: FlaskClient) -> str:
        token = token_of(owner.get(URL))
        owner.post(f"{URL}/check", data={"csrf_token": token})
        return owner.get(URL).text

    @pytest.mark.usefixtures("gateway")
    def test_a_valid_contract_is_confirmed(self, owner: FlaskClient) -> None:
        assert "SMBC-GPに接続できました" in self.check(owner)

    def test_a_missing_contract_is_told(self, owner: FlaskClient) -> None:  # R2
        assert "SGPの契約情報が未登録です" in self.check(owner)

    def test_an_unreachable_gateway_is_told(self, app: Flask, owner: FlaskClient) -> None:
        app.config["GATEWAY_URL"] = "http://127.0.0.1:9"
        save(owner)
        assert "SMBC-GPに接続できませんでした" in self.check(owner)

    def test_a_password_sealed_with_another_key_is_told(
        self, app: Flask, owner: FlaskClient
    ) -> None:
        app.config["GATEWAY_URL"] = "http://127.0.0.1:9"
        save(owner)
        app.config["ENCRYPTION_KEY"] = "another key " * 4
        assert "もう一度登録してください" in self.check(owner)
