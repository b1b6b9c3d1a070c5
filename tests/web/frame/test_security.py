"""Origins, headers, hosts, proxies and what no field may hold (S6, S8, S9, S11, S24)."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug import formparser

from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.web.frame import security
from sgpshop.web.frame.security import public
from tests.forms import token_of
from tests.signing_in import signed_in
from tests.web.frame.test_auth import HTMX

FORM = {
    "site_id": "tsite00000001",
    "shop_id": "tshop00000001",
    "auth_valid_days": "60",
    "needs_review_alert_hours": "24",
    "bulk_max": "5000",
    "cancel_lock_minutes": "0",
    "extend_auth_enabled": "False",
    "tax_included": "True",
    "tax_rounding": "down",
}
CARD = "4111-1111-1111-1111"


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER)


def save(client: FlaskClient, headers: dict[str, str] | None = None, **form: str) -> Any:
    token = token_of(client.get("/settings/sgp"))
    data = {"csrf_token": token} | FORM | form
    return client.post("/settings/sgp", data=data, headers=headers or {})


def shop_id(app: Flask) -> str:
    with app.app_context():
        return settings.load().shop_id


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {},  # an old browser: the token decides
    ],
)
def test_our_own_pages_change_things(app: Flask, owner: FlaskClient, headers: Any) -> None:  # S6
    assert save(owner, headers).status_code == 303
    assert shop_id(app) == "tshop00000001"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "null"},
    ],
)
def test_another_site_changes_nothing_even_with_a_token(
    app: Flask, owner: FlaskClient, headers: Any
) -> None:  # S6
    answer = save(owner, headers)
    assert answer.status_code == 400
    assert "画面を開き直して" in answer.text
    assert shop_id(app) == ""


@pytest.mark.parametrize("token", [None, "", "invented"])
def test_without_the_token_nothing_is_changed(
    app: Flask, owner: FlaskClient, token: str | None
) -> None:  # S6
    data = FORM if token is None else FORM | {"csrf_token": token}
    answer = owner.post("/settings/sgp", data=data)
    assert answer.status_code == 400
    assert "画面を開き直して" in answer.text
    assert shop_id(app) == ""


def test_htmx_brings_its_token_in_a_header(app: Flask, owner: FlaskClient) -> None:
    token = token_of(owner.get("/settings/sgp"))
    answer = owner.post("/settings/sgp", data=FORM, headers=HTMX | {"X-CSRFToken": token})
    assert answer.status_code == 303


def test_htmx_gets_a_stale_form_explained_in_place(owner: FlaskClient) -> None:
    answer = owner.post("/settings/sgp", data=FORM, headers=HTMX)
    assert answer.status_code == 400
    assert answer.headers["HX-Retarget"] == "#messages"
    assert "<html" not in answer.text
    assert "画面を開き直して" in answer.text


# Headers


@pytest.mark.parametrize(
    "path", ["/login", "/settings/sgp", "/nowhere", "/healthz", "/static/app.css", "/logout"]
)
def test_every_answer_has_the_headers(client: FlaskClient, path: str) -> None:  # S8
    with client.get(path) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "form-action 'self'" in policy
    for loophole in ("unsafe", "data:", "*", "http:"):
        assert loophole not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "Server" not in headers
    assert headers["X-Request-Id"]


def test_https_is_remembered_for_a_year(app: Flask, client: FlaskClient) -> None:  # S8
    app.config["TEST_MODE"] = False
    assert "Strict-Transport-Security" not in client.get("/login").headers
    kept = client.get("/login", base_url="https://localhost").headers["Strict-Transport-Security"]
    assert int(kept.removeprefix("max-age=")) >= 365 * 24 * 3600  # of this name alone
    app.config["HSTS_SUBDOMAINS"] = True
    kept = client.get("/login", base_url="https://localhost").headers["Strict-Transport-Security"]
    assert kept.endswith("; includeSubDomains")


def test_a_demo_binds_no_browser_to_https(client: FlaskClient) -> None:
    answer = client.get("/login", base_url="https://localhost")
    assert "Strict-Transport-Security" not in answer.headers


def test_opened_by_plain_http_the_login_says_to_open_it_by_https(
    app: Flask, client: FlaskClient
) -> None:
    assert "https で開いてください" not in client.get("/login").text  # test mode
    app.config["TEST_MODE"] = False
    assert "https で開いてください" in client.get("/login").text
    answer = client.post("/login", data={"name": "田中", "password": "x" * 12})
    assert answer.status_code == 400
    assert "https で開いてください" in answer.text
    assert "有効期限" not in answer.text
    secure = client.get("/login", base_url="https://localhost").text
    assert "https で開いてください" not in secure


def test_pages_are_not_kept_and_differ_for_htmx(owner: FlaskClient) -> None:  # S9
    headers = owner.get("/settings/sgp").headers
    assert headers["Cache-Control"] == "no-store"
    assert "HX-Request" in headers["Vary"]


def test_files_are_kept_as_long_as_their_address_names_their_content(client: FlaskClient) -> None:
    def caching(path: str) -> str:
        with client.get(path) as answer:
            return answer.headers.get("Cache-Control", "")

    assert "immutable" in caching("/static/app.css?v=0123456789")
    assert "immutable" not in caching("/static/app.css")
    assert "immutable" not in caching("/static/none.css?v=1")


# Hosts and proxies


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_our_own_names_are_answered(client: FlaskClient, host: str) -> None:  # S24
    assert client.get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "a b", "localhost:x"])
def test_other_host_names_are_refused(client: FlaskClient, host: str) -> None:  # S24
    answer = client.get("/login", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text
    assert "Content-Security-Policy" in answer.headers


def test_a_strangers_forwarded_headers_do_not_count(client: FlaskClient) -> None:  # S24
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    answer = client.get("/login", headers=headers)
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers


class TestThePublicAddress:
    """A buyer comes back from 3-D Secure to it, whether or not it is named a second time."""

    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"PUBLIC_URL": "https://shop.example.jp", "TRUSTED_HOSTS": ["127.0.0.1"]}

    def test_is_answered_to(self, client: FlaskClient) -> None:
        assert client.get("/login", headers={"Host": "shop.example.jp"}).status_code == 200
        assert client.get("/login", headers={"Host": "evil.example"}).status_code == 400


class TestBehindAProxy:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {
            "TRUSTED_PROXIES": (ipaddress.ip_network("10.0.0.0/24"),),
            "TRUSTED_HOSTS": ["shop.example.jp"],
        }

    HEADERS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example.jp"}

    def test_its_headers_count(self, app: Flask, client: FlaskClient) -> None:  # S24
        app.config["TEST_MODE"] = False
        answer = client.get(
            "/login", headers=self.HEADERS, environ_base={"REMOTE_ADDR": "10.0.0.9"}
        )
        assert answer.status_code == 200
        assert "Strict-Transport-Security" in answer.headers

    @pytest.mark.parametrize(
        ("sender", "headers", "event"),
        [
            ("10.0.1.9", HEADERS, "forwarded_headers_not_trusted"),
            ("10.0.0.9", {}, "forwarded_headers_missing"),
            ("10.0.0.9", {"X-Forwarded-For": "203.0.113.9"}, "forwarded_headers_missing"),
        ],
    )
    def test_a_proxy_that_is_not_set_up_is_named_with_the_setting(
        self, app: Flask, client: FlaskClient, capsys: Any, sender: str, headers: Any, event: str
    ) -> None:
        app.config["TEST_MODE"] = True
        for _ in range(3):
            client.get("/login", headers=headers, environ_base={"REMOTE_ADDR": sender})
        told = [line for line in capsys.readouterr().out.splitlines() if f'"{event}"' in line]
        assert len(told) == 1  # once, not with every request
        assert sender in told[0]
        assert "SGPSHOP_TRUSTED_PROXIES" in told[0]
        app.config["SGPSHOP_HOSTS"] |= {"localhost"}
        page = signed_in(app, Role.OWNER).get("/settings/sgp").text
        assert sender in page
        setting = "TRUSTED_PROXIES" if event.endswith("trusted") else "X-Forwarded-Proto"
        assert setting in page

    def test_those_of_others_do_not(self, client: FlaskClient) -> None:
        answer = client.get(
            "/login", headers=self.HEADERS, environ_base={"REMOTE_ADDR": "10.0.1.9"}
        )
        assert answer.status_code == 400


# Input


def test_a_card_number_is_refused_and_not_repeated(app: Flask, owner: FlaskClient) -> None:  # S11
    answer = save(owner, shop_id=CARD)
    assert answer.status_code == 400
    assert "カード番号と思われる数字" in answer.text
    assert "1111" not in answer.text
    assert shop_id(app) == ""


def test_a_card_number_in_a_search_is_refused(owner: FlaskClient) -> None:  # S11
    answer = owner.get("/orders", query_string={"kw[]": CARD})
    assert answer.status_code == 400
    assert "1111" not in answer.text


def test_a_refused_card_number_is_not_logged(
    owner: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:  # S11
    owner.get("/orders", query_string={"kw[]": CARD})
    assert "card_number" in (text := capsys.readouterr().out)
    assert "4111" not in text


def test_a_password_may_look_like_anything(client: FlaskClient) -> None:
    token = token_of(client.get("/login"))
    form = {"name": "誰か", "password": "4111111111111111", "csrf_token": token}
    assert client.post("/login", data=form).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/orders?kw%5B%5D=%00",
        "/orders?%00=1",
        "/orders/%00",
        "/static/%00.css",
        "/%00",
        "/orders?kw%5B%5D=%ff%fe",
        "/orders?kw%5B%5D=%ed%a0%80",
        "/orders/%ff",
        "/%e3%81",
    ],
)
def test_odd_bytes_are_refused_in_words(owner: FlaskClient, path: str) -> None:  # S25
    answer = owner.get(path)
    assert answer.status_code in (200, 400, 404)


def test_addresses_that_are_none_are_no_failure_of_ours(app: Flask, owner: FlaskClient) -> None:
    assert save(owner, {"Origin": "http://["}).status_code == 400
    stranger = app.test_client()
    answer = stranger.get("/orders", headers={"HX-Request": "true", "HX-Current-URL": "http://["})
    assert answer.status_code == 401


@pytest.mark.parametrize("address", ["/login", "/settings/sgp", "/orders"])
def test_a_field_without_a_name_is_refused_in_words(owner: FlaskClient, address: str) -> None:
    body = b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"
    for method in ("GET", "POST"):
        answer = owner.open(
            address, method=method, data=body, content_type="multipart/form-data; boundary=x"
        )
        assert answer.status_code in (303, 400, 405), method


HEADERS = {
    "who is remembered": ("Cookie", "remember_token=x|é"),
    "no moment": ("If-Modified-Since", f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"),
    "no hour": ("If-Unmodified-Since", f"Mon, 01 Jan 2026 {'9' * 20}:00:00 GMT"),
    "no range": ("If-Range", f"Mon, {'9' * 20} Jan 2026 00:00:00 GMT"),
}


@pytest.mark.parametrize(("name", "value"), HEADERS.values(), ids=list(HEADERS))
@pytest.mark.parametrize("path", ["/login", "/static/app.css"])
def test_headers_that_are_none_are_no_failure_of_ours(
    app: Flask, path: str, name: str, value: str
) -> None:
    client = app.test_client(use_cookies=False)
    with client.get(path, headers={name: value, "Range": "bytes=0-"}) as answer:
        assert answer.status_code in (200, 206)


def test_a_form_has_no_more_fields_than_any_of_ours(owner: FlaskClient) -> None:
    """Five megabytes of them took half a gigabyte."""
    form = "a&" * security._MOST_FIELDS
    kind = "application/x-www-form-urlencoded"
    assert owner.post("/settings/sgp", data=form, content_type=kind).status_code == 400
    form += "a&"
    assert owner.post("/settings/sgp", data=form, content_type=kind).status_code == 413


def test_what_divides_a_form_is_as_short_as_browsers_make_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each werkzeug makes two patterns, and Python keeps hundreds: strangers grew the process by 140 MB."""
    made: list[int] = []

    class Decoder(formparser.MultipartDecoder):
        def __init__(self, boundary: bytes, *arguments: Any, **more: Any) -> None:
            made.append(len(boundary))
            super().__init__(boundary, *arguments, **more)

    monkeypatch.setattr(formparser, "MultipartDecoder", Decoder)
    for length in (70, 1_000, 30_000):
        kind = f"multipart/form-data; boundary={'a' * length}"
        assert app.test_client().post("/login", data=b"x", content_type=kind).status_code == 400
    assert made == [70]


def test_blanks_in_a_cookie_cost_nothing(app: Flask) -> None:
    """werkzeug looks at each way of dividing them: 32 kB would hold up everybody for seconds."""
    seen: list[str] = []
    app.add_url_rule("/seen", "seen", public(lambda: seen.append(request.headers["Cookie"]) or ""))
    cookie = "a=" + " \t" * 15_000 + "x y; sgpshop=z"
    client = app.test_client(use_cookies=False)
    assert client.get("/seen", headers={"Cookie": cookie}).status_code == 200
    assert seen == ["a= x y; sgpshop=z"]


# Too much of anything


@pytest.mark.parametrize(
    "url", ["/orders/" + "4-" * 1500, "/login?next=" + "4-" * 15_000, "/nowhere" + "x" * 3000]
)
def test_too_long_an_address_is_refused_unread(
    app: Flask, client: FlaskClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_through: list[str] = []
    monkeypatch.setattr(
        "sgpshop.web.frame.security.contains_card_number", lambda text: looked_through.append(text)
    )
    answer = client.get(url)
    assert answer.status_code == 414
    assert "URL が長すぎます" in answer.text
    assert not looked_through


def test_under_the_api_too_long_an_address_is_a_problem_document(client: FlaskClient) -> None:
    answer = client.get("/api/v1/orders?order_no=" + "4-" * 15_000)
    assert answer.status_code == 414
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["code"] == "uri_too_long"


@pytest.mark.parametrize("path", ["/login", "/three-ds/1/2"])
def test_a_stranger_cannot_send_more_than_a_form(
    client: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_through: list[str] = []
    monkeypatch.setattr(
        "sgpshop.web.frame.security.contains_card_number", lambda text: looked_through.append(text)
    )
    answer = client.post(path, data={"name": "4-" * 60_000})
    assert answer.status_code == 413
    assert not looked_through
