"""最初の設定: an empty instance asks for its owner, once, by a link or, in test mode, on this machine (S1a)."""

from __future__ import annotations

import ipaddress
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.cli import commands
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import LoginAttempt, Person, Role, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.access import people
from sgpshop.services.installation import first_set_up
from sgpshop.services.payments import gateway_access
from tests.factories import make_order
from tests.forms import token_of
from tests.gateway_world import World
from tests.signing_in import PASSWORD, make_person
from tests.web.pages import flat

URL = "/setup"
OWNER = {"name": "店長", "password": PASSWORD, "password_again": PASSWORD}
CONTRACT = {
    "shop_id": "tshop00000001",
    "shop_pass": "shoppass01",
    "site_id": "tsite00000001",
    "site_pass": "sitepass01",
}
STRANGER = {"REMOTE_ADDR": "203.0.113.9"}


def post(client: FlaskClient, **fields: str) -> TestResponse:
    return client.post(URL, data={"csrf_token": token_of(client.get(URL))} | OWNER | fields)


def link_of(app: Flask) -> str:
    """The path that the command printed."""
    result = app.test_cli_runner().invoke(commands, ["first-owner-link"])
    assert result.exit_code == 0, result.output
    return "/setup" + result.stdout.strip().partition("/setup")[2]


def owners(app: Flask) -> list[tuple[str, Role]]:
    with app.app_context():
        return [
            (person.name, person.role) for person in db.session.query(Person).order_by(Person.id)
        ]


def test_the_first_address_leads_to_the_set_up_and_that_into_the_shop(
    app: Flask, client: FlaskClient
) -> None:
    assert client.get("/").location == URL
    assert "最初の設定を始める" in client.get("/login").text
    page = flat(client.get(URL))
    for words in ("最初のオーナー", "契約情報", "いつまでも残す", "原則7年"):
        assert words in page
    answer = post(client, shop_name="お茶の店", personal_data_for="84")
    assert (answer.status_code, answer.location) == (303, "/")
    home = client.get("/")
    assert home.status_code == 200
    assert "最初の設定が終わりました" in home.text
    with app.app_context():
        shop = settings.load()
        assert (shop.shop_name, shop.personal_data_for) == ("お茶の店", "84")
        assert not shop.has_contract
        (change,) = settings.recent_changes()
        assert change.actor == "店長"
    assert owners(app) == [("店長", Role.OWNER)]


def test_buyers_data_stays_for_ever_unless_a_term_is_chosen(
    app: Flask, client: FlaskClient
) -> None:
    post(client)
    with app.app_context():
        assert settings.load().personal_data_for == "0"


@pytest.mark.parametrize("shop_pass", ["shoppass01", "wrong"])
def test_a_contract_is_stored_and_asked_about(
    app: Flask, client: FlaskClient, shop_pass: str
) -> None:
    world = World()
    if shop_pass == "wrong":
        world.fault("error:E01030002", "SearchTrade")
    gateway_access.init_app(app, world.gateway)
    answer = post(client, **CONTRACT | {"shop_pass": shop_pass})
    assert answer.location == "/settings/sgp"
    page = flat(client.get("/settings/sgp"))
    with app.app_context():
        assert settings.load().shop_id == CONTRACT["shop_id"]
    if shop_pass == "wrong":
        assert "契約情報は保存しました。ショップのIDとパスワードを確認できませんでした" in page
    else:
        assert "SMBC-GPに接続できました" in page
    assert CONTRACT["site_pass"] not in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "ユーザー名を入力してください"),
        ({"name": "店長 "}, "前後の空白"),
        ({"name": "x" * 81}, "80文字以内"),
        ({"password": "short", "password_again": "short"}, "12文字以上"),
        ({"password": "password1234", "password_again": "password1234"}, "推測されやすい"),
        ({"password_again": "another one entirely"}, "同じものを入力"),
        ({"shop_id": "tshop00000001"}, "4つとも入力"),
        ({**CONTRACT, "shop_id": "ショップ"}, "半角英数字13文字以内"),
        ({"shop_name": "あ" * 61}, "60文字以内"),
        ({"personal_data_for": "3"}, "選択肢から選んで"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_registered(
    app: Flask, client: FlaskClient, fields: dict[str, str], words: str
) -> None:
    answer = post(client, **fields)
    assert answer.status_code == 422
    page = flat(answer)
    assert words in page
    assert PASSWORD not in answer.text
    assert CONTRACT["shop_pass"] not in answer.text
    assert owners(app) == []
    with app.app_context():
        assert settings.recent_changes() == []


def test_no_order_that_is_here_already_ends_without_being_asked_about(
    app: Flask, client: FlaskClient
) -> None:
    with app.app_context(), time_machine.travel(utc_now() - timedelta(days=400)):
        make_order(status=PaymentStatus.CAPTURED, processing_class=ProcessingClass.DELIVERED)
    assert "注文が1件あります" in flat(post(client, personal_data_for="12"))
    assert owners(app) == []
    assert post(client, personal_data_for="0").status_code == 303


def test_nothing_of_it_is_possible_a_second_time(app: Flask, client: FlaskClient) -> None:
    second = app.test_client()
    token, link = token_of(second.get(URL)), link_of(app)
    post(client, shop_name="お茶の店")
    late = second.post(URL, data={"csrf_token": token, **OWNER, "name": "別人", "shop_name": "X"})
    assert (late.status_code, late.location) == (303, "/login")
    assert "すでに終わっています" in second.get("/login").text
    for path in (URL, link):
        assert second.get(path).location == "/login"
    assert second.get("/").location.startswith("/login")
    assert "最初の設定を始める" not in second.get("/login").text
    again = app.test_cli_runner().invoke(commands, ["first-owner-link"])
    assert again.exit_code == 1
    assert "すでに終わっています" in again.stderr
    assert owners(app) == [("店長", Role.OWNER)]
    with app.app_context():
        assert settings.load().shop_name == "お茶の店"


def test_who_was_made_by_the_command_ends_it_too(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        make_person("田中", Role.VIEWER)
    assert client.get(URL).location == "/login"
    assert client.get("/").location.startswith("/login")


def test_a_demo_is_nobodys(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        installation.become_demo()
    assert client.get(URL).location == "/login"
    assert app.test_cli_runner().invoke(commands, ["first-owner-link"]).exit_code == 1


class TestByALink:
    @pytest.fixture
    def client(self, app: Flask) -> FlaskClient:
        """A browser elsewhere."""
        client = app.test_client()
        client.environ_base |= STRANGER
        return client

    def test_without_it_a_stranger_reads_how_it_is_done(
        self, app: Flask, client: FlaskClient
    ) -> None:
        answer = client.get(URL)
        assert answer.status_code == 403
        assert "first-owner-link" in answer.text
        assert "<form" not in answer.text
        token = token_of(client.get("/login"))
        assert client.post(URL, data={"csrf_token": token, **OWNER}).status_code == 403
        assert owners(app) == []

    def test_it_opens_the_form_and_leaves_the_address(
        self, app: Flask, client: FlaskClient
    ) -> None:
        link = link_of(app)
        opened = client.get(link)
        assert (opened.status_code, opened.location) == (303, URL)
        assert post(client).status_code == 303
        assert owners(app) == [("店長", Role.OWNER)]
        assert client.get("/settings/people").status_code == 200

    @pytest.mark.parametrize("token", ["", "x", "あ" * 40, "x" * 1000])
    def test_another_does_not(self, app: Flask, client: FlaskClient, token: str) -> None:
        link_of(app)
        assert client.get(URL, query_string={"link": token}).status_code == 403
        assert client.get(URL).status_code == 403

    def test_only_the_newest_counts_and_for_a_day(self, app: Flask, client: FlaskClient) -> None:
        old, new = link_of(app), link_of(app)
        assert "期限が過ぎたか" in client.get(old).text
        client.get(new)
        assert client.get(URL).status_code == 200
        token = token_of(client.get(URL))
        with time_machine.travel(utc_now() + timedelta(hours=24, seconds=1)):
            assert client.get(URL).status_code == 403  # a browser that had opened it as well
            late = client.post(URL, data={"csrf_token": token, **OWNER})
            assert late.status_code == 403
        assert owners(app) == []

    def test_wrong_ones_are_limited_and_shut_out_nobody_else(
        self, app: Flask, client: FlaskClient
    ) -> None:  # S2
        app.config["LOGIN_FAILURES_PER_ADDRESS"] = 3
        link = link_of(app)
        wrong = {"link": "x"}
        for _ in range(3):
            assert client.get(URL, query_string=wrong).status_code == 403
        refused = client.get(URL, query_string=wrong)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        other = app.test_client()
        elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
        assert other.get(URL, query_string=wrong, environ_base=elsewhere).status_code == 403
        for _ in range(4):  # behind one shared address as well; a right one is no try
            assert client.get(link).location == URL
        with app.app_context():
            assert db.session.query(LoginAttempt).count() == 4

    def test_who_cannot_sign_in_just_now_has_finished_all_the_same(
        self, app: Flask, client: FlaskClient
    ) -> None:
        app.config["LOGIN_FAILURES_PER_ADDRESS"] = 1
        client.get(link_of(app))
        client.get(URL, query_string={"link": "x"})  # somebody else, of the same address
        answer = post(client, shop_name="お茶の店")
        assert (answer.status_code, answer.location) == (303, "/login")
        page = client.get("/login").text
        assert "最初の設定は終わり、入力した内容は保存しました" in page
        assert "後にもう一度お試しください" in page
        assert owners(app) == [("店長", Role.OWNER)]
        with app.app_context():
            assert settings.load().shop_name == "お茶の店"

    def test_a_page_of_another_site_does_nothing(self, app: Flask, client: FlaskClient) -> None:
        client.get(link_of(app))
        token = token_of(client.get(URL))
        sent = {"csrf_token": token, **OWNER}
        foreign = client.post(URL, data=sent, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 400
        assert client.post(URL, data=OWNER).status_code == 400  # S6
        assert owners(app) == []

    def test_the_command_keeps_no_link(self, app: Flask, capsys: Any) -> None:  # S10
        token = link_of(app).partition("link=")[2]
        assert len(token) >= 43
        with app.app_context():
            kept = db.session.execute(db.text("SELECT value FROM installation")).scalars().all()
        assert token not in " ".join(kept)


class TestBehindAProxy:
    """Whom a proxy passes on is no stranger less; what it hides, nobody can see (S24)."""

    def status(self, app: Flask, **headers: str) -> int:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_client().get(URL, headers=names).status_code

    @pytest.mark.parametrize(
        "header",
        ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP"],
    )
    def test_of_one_that_is_not_set_up_nobody_looks_like_this_machine(
        self, app: Flask, header: str
    ) -> None:
        assert self.status(app) == 200
        assert self.status(app, **{header: "127.0.0.1"}) == 403

    def test_nor_outside_test_mode_of_one_that_says_nothing_at_all(self, app: Flask) -> None:
        app.config["TEST_MODE"] = False
        assert self.status(app) == 403

    def test_nor_of_one_that_only_passes_the_name_on(self, app: Flask) -> None:
        app.config["SGPSHOP_HOSTS"] |= {"shop.example.jp"}
        assert self.status(app, Host="shop.example.jp") == 403

    class TestThatIsSetUp:
        @pytest.fixture
        def overrides(self) -> dict[str, Any]:
            return {"TRUSTED_PROXIES": (ipaddress.ip_network("127.0.0.1"),)}

        @pytest.mark.parametrize(
            ("forwarded", "status"),
            [
                ("127.0.0.1", 200),
                ("::1", 200),
                ("203.0.113.9", 403),
                ("203.0.113.9, 127.0.0.1", 403),
                ("127.0.0.1, 203.0.113.9", 403),
                ("unknown", 403),
                ("", 403),
            ],
        )
        def test_the_address_it_names_counts(self, app: Flask, forwarded: str, status: int) -> None:
            headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": forwarded}
            assert app.test_client().get(URL, headers=headers).status_code == status

        @pytest.mark.parametrize("forwarded", ["127.0.0.1", "::1", "203.0.113.9"])
        def test_and_outside_test_mode_it_opens_to_the_link_alone(
            self, app: Flask, forwarded: str
        ) -> None:
            """A tunnel, or a program here that fetches what it is told to, asks it from here too."""
            app.config["TEST_MODE"] = False
            client, link = app.test_client(), link_of(app)
            client.environ_base["HTTP_X_FORWARDED_PROTO"] = "https"
            client.environ_base["HTTP_X_FORWARDED_FOR"] = forwarded
            assert client.get(URL).status_code == 403
            token = token_of(client.get("/login"))
            assert client.post(URL, data={"csrf_token": token, **OWNER}).status_code == 403
            assert owners(app) == []
            assert client.get(link, base_url="https://localhost").location == URL
            assert client.get(URL, base_url="https://localhost").status_code == 200


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("other", ["the screen", "the command"])
def test_of_two_at_once_one_is_first(app: Flask, other: str) -> None:
    begin = threading.Barrier(2)
    done: list[str] = []

    def carry_out(name: str, *, by_command: bool) -> None:
        with app.app_context():
            begin.wait()
            try:
                if by_command:
                    people.create(name, PASSWORD, Role.OWNER)
                else:
                    first_set_up.carry_out(name, PASSWORD, {"shop_name": name})
            except first_set_up.SetUpOver:
                return
            done.append(name)

    threads = [
        threading.Thread(target=carry_out, args=("一番",), kwargs={"by_command": False}),
        threading.Thread(
            target=carry_out, args=("二番",), kwargs={"by_command": other == "the command"}
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with app.app_context():
        shop = settings.load()
    if other == "the screen":
        (first,) = done
        assert owners(app) == [(first, Role.OWNER)]
        assert shop.shop_name == first
    else:  # the command is nobody's first; the screen never comes after it
        assert owners(app)[-1] == ("二番", Role.OWNER)
        assert (("一番", Role.OWNER) in owners(app)) == (shop.shop_name == "一番")
