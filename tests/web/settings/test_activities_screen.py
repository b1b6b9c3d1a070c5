"""操作の記録 (`/settings/activities`): what people did, by kind, person and period, and as a file (P5a)."""

from __future__ import annotations

import csv
import io
import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.extensions import db
from sgpshop.models import Activity, ActorKind, Operation, Role, Scope
from sgpshop.services import settings
from sgpshop.services.access import activities, api_keys
from sgpshop.services.orders.history_check import Verification
from tests.factories import authorized_order
from tests.forms import form_of, hidden_of, token_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import PASSWORD, make_person, signed_in
from tests.web.api_calls import ORDERS, Program
from tests.web.pages import flat
from tests.web.test_once_a_page import asked

URL = "/settings/activities"
OFFICE = {"environ_base": {"REMOTE_ADDR": "203.0.113.7"}}


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


def rows(page: TestResponse) -> list[str]:
    """The lines of the table, the newest first."""
    return re.findall(r"<tr data-event.*?</tr>", flat(page))


def entries(app: Flask) -> list[tuple[str, str, str, str]]:
    """Event, actor, address and note, the oldest first."""
    with app.app_context():
        found = db.session.scalars(sa.select(Activity).order_by(Activity.id)).all()
        return [(e.event, e.actor, e.address, e.detail.get("note", "")) for e in found]


def test_a_sign_in_a_setting_and_a_sign_out_stand_there_with_person_and_address(
    app: Flask, owner: FlaskClient
) -> None:
    with app.app_context():
        make_person("田中", Role.OWNER)
    tanaka = app.test_client()
    login = {"name": "田中", "password": PASSWORD}
    form = hidden_of(tanaka.get("/login"))
    assert tanaka.post("/login", data=form | login | {"password": "x"}, **OFFICE).status_code == 422
    assert tanaka.post("/login", data=form | login, **OFFICE).status_code == 303
    page = tanaka.get("/settings/networks", **OFFICE)
    fields = {"screen_networks": "203.0.113.0/24", "csrf_token": token_of(page)}
    assert tanaka.post("/settings/networks", data=fields, **OFFICE).status_code == 303
    assert tanaka.post("/logout", data=hidden_of(page), **OFFICE).status_code == 303
    with app.app_context():
        settings.save("店長", screen_networks="")
    shown = rows(owner.get(URL))
    assert all("203.0.113.7" in row for row in shown[1:])
    assert "ログアウト" in shown[1]
    assert "画面を使えるネットワーク:<s>(空欄)</s> → <b>203.0.113.0/24</b>" in shown[2]
    assert "<bdi>田中</bdi>" in shown[2]
    assert "ログインできなかった" in shown[4]
    assert len(shown) == 5
    assert PASSWORD not in "".join(shown)


def test_a_capture_leads_to_its_order(app: Flask, owner: FlaskClient, world: World) -> None:
    with app.app_context():
        order = authorized_order(world, total=3000)
        activities.act_as(ActorKind.PERSON, "田中", "203.0.113.7")
        press(order, Operation.CAPTURE)
        number = order.order_no
    [row] = rows(owner.get(f"{URL}?kind=money"))
    assert f'<a href="/orders/{number}">{number}</a>' in row
    assert "(実売上処理、3,000円)" in row


def test_refusals_are_there_in_words_without_what_was_typed(
    app: Flask, owner: FlaskClient, world: World
) -> None:
    viewer = signed_in(app, Role.VIEWER, "閲覧")
    assert viewer.get("/settings/sgp", **OFFICE).status_code == 403
    assert viewer.get("/orders?keyword=4111111111111111", **OFFICE).status_code == 400
    program = Program(app, Scope.READ)
    assert program.post(ORDERS, {}, **OFFICE).status_code == 403
    nobody = app.test_client().get(ORDERS, headers={"Authorization": "Bearer x"}, **OFFICE)
    assert nobody.status_code == 401
    app.config["SEARCHES_PER_PERSON"] = 1
    while viewer.get("/orders").status_code != 429:
        pass
    found = [entry for entry in entries(app) if entry[0] in ("refused", "limited")]
    assert [entry[:2] for entry in found[:2]] == [("refused", "閲覧"), ("refused", "閲覧")]
    assert found[0][3] == "権限がない"
    assert found[2][1].startswith("カート")
    assert found[3] == ("refused", "", "203.0.113.7", "APIキーがないか、無効")
    assert found[4][:2] == ("limited", "閲覧")
    page = owner.get(f"{URL}?kind=refusal")
    assert len(rows(page)) == 5
    assert "4111" not in page.text


def test_narrowed_by_kind_person_and_period_and_turned_page_by_page(
    app: Flask, owner: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "PAGE_SIZE", 4)
    with app.app_context():
        for number in range(1, 7):
            settings.save("田中" if number % 2 else "佐藤", bulk_max=number)
        api_keys.create("倉庫", [Scope.READ], by="田中")
    first = owner.get(f"{URL}?kind=settings")
    [address] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = owner.get(address.replace("&amp;", "&"))
    assert (len(rows(first)), len(rows(second))) == (4, 2)
    assert 'rel="prev"' in second.text
    assert len(rows(owner.get(f"{URL}?who=田中"))) == 4
    assert len(rows(owner.get(f"{URL}?who=田中&kind=keys"))) == 1
    assert rows(owner.get(f"{URL}?to=2020-01-01")) == []
    assert len(rows(owner.get(f"{URL}?from=2020-01-01&kind=settings&who=佐藤"))) == 3


@pytest.mark.parametrize(
    "query", ["kind=x", "from=x", "from=2026-02-02&to=2026-02-01", "from=0001-01-01", "cursor=x"]
)
def test_what_cannot_be_asked_is_said(owner: FlaskClient, query: str) -> None:
    page = owner.get(f"{URL}?{query}")
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert owner.post(URL, data=hidden_of(owner.get(URL)) | {"kind": "x"}).status_code == 422


def test_the_file_holds_what_the_page_shows_and_is_itself_told_of(
    app: Flask, owner: FlaskClient
) -> None:
    with app.app_context():
        settings.save("=田中", title="=1+1", bulk_max=7, shop_pass="shoppass01")
    page = owner.get(f"{URL}?kind=settings")
    form = form_of(page, URL)
    file = owner.post(URL, data=form.fields, **OFFICE)
    assert file.headers["Content-Disposition"].startswith('attachment; filename="activities-')
    assert file.data.startswith("\ufeff日時,だれが,接続元".encode())
    [line] = csv.DictReader(io.StringIO(file.data.decode("utf-8-sig"), newline=""))
    assert (line["だれが"], line["種類"], line["操作"]) == ("'=田中", "設定", "設定を変更")
    assert "一括処理の上限件数: 5000 → 7" in line["内容"]
    assert "shoppass01" not in file.text
    assert entries(app)[-1][:3] == ("exported", "店長", "203.0.113.7")


def test_too_long_a_file_is_taken_in_periods(
    app: Flask, owner: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "MOST_IN_FILE", 1)
    with app.app_context():
        settings.save("店長", bulk_max=7)
        settings.save("店長", bulk_max=8)
    refused = owner.post(URL, data=hidden_of(owner.get(URL)))
    assert refused.status_code == 422
    assert "期間を短くして" in flat(refused)
    with app.app_context():
        assert [problem.what for problem in Verification().problems()] == []


def test_a_page_takes_no_more_than_eight_queries(app: Flask, owner: FlaskClient) -> None:
    with app.app_context():
        for number in range(1, 40):
            settings.save("店長", bulk_max=number)
    owner.get(URL)
    with asked(app) as statements:
        assert len(rows(owner.get(f"{URL}?kind=settings&who=店長&from=2026-01-01"))) == 39
    assert len(statements) <= 8, statements
