"""Variables of the environment have one form, or the program does not start (S22, T1)."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path

import pytest

from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.environment import ROOT, complete, load, unknown_names, variables
from tests.conftest import make_app


def test_without_environment_the_defaults_hold() -> None:
    values = load({})
    assert values["GATEWAY_TOTAL_TIMEOUT"] == 30  # P12
    assert values["QUIET_PERIOD"] == 90  # P14
    assert values["RESOLVE_SCHEDULE"] == (0, 30, 95, 600)  # P13
    assert values["LOGIN_FAILURES_PER_ACCOUNT"] == 10  # S2
    assert values["SESSION_IDLE"] == 3600  # S3
    assert values["TEST_MODE"] is False
    assert values["TRUSTED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize("word", ["1", "true", "on", "yes", "ON"])
def test_four_words_switch_a_switch_on(word: str) -> None:
    assert load({"SGPSHOP_TEST_MODE": word})["TEST_MODE"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTANCE_PATH", ""),
        ("INSTANCE_PATH", " "),
        ("TEST_MODE", "maybe"),
        ("GATEWAY_CONCURRENCY", "0"),
        ("GATEWAY_CONCURRENCY", "four"),
        ("QUIET_PERIOD", "-1"),
        ("QUIET_PERIOD", "nan"),
        ("RESOLVE_SCHEDULE", "30,0"),
        ("RESOLVE_SCHEDULE", ""),
        ("RESOLVE_SCHEDULE", "0,nan"),
        ("RESOLVE_SCHEDULE", "nan"),
        ("RESOLVE_SCHEDULE", "0,nan,600"),
        ("RESOLVE_SCHEDULE", "inf"),
        ("RESOLVE_SCHEDULE", "0,inf"),
        ("RESOLVE_SCHEDULE", "-1,30"),
        ("RESOLVE_SCHEDULE", "1e308"),
        ("LOGIN_WINDOW", "inf"),
        ("NIGHTLY_PACE", "nan"),
        ("CLOCK_AHEAD", "-inf"),
        ("GATEWAY_URL", "p01.smbc-gp.co.jp"),
        ("GATEWAY_URL", "ftp://p01.smbc-gp.co.jp"),
        ("GATEWAY_URL", "https://p01.smbc-gp.co.jp/payment"),
        ("GATEWAY_URL", "https://p01.smbc-gp.co.jp/payment/"),
        ("GATEWAY_URL", "https://p01.smbc-gp.co.jp:port"),
        ("GATEWAY_HOSTS", "https://proxy.example.jp"),
        ("TRUSTED_HOSTS", "https://shop.example.jp"),
        ("TRUSTED_HOSTS", "localhost,shop.example.jp/admin"),
        ("TRUSTED_HOSTS", "shop.example.jp:8443"),
        ("TRUSTED_HOSTS", "[::1]:8000"),
        ("TRUSTED_HOSTS", "[nonsense]"),
        ("TRUSTED_HOSTS", "::1"),
        ("TRUSTED_HOSTS", ".example.jp"),
        ("TRUSTED_HOSTS", "*.example.jp"),
        ("TRUSTED_HOSTS", "shop.example.jp."),
        ("TRUSTED_HOSTS", ""),
        ("TRUSTED_HOSTS", " , "),
        ("GATEWAY_HOSTS", "proxy.example.jp:8443"),
        ("GATEWAY_HOSTS", ".example.jp"),
        ("PUBLIC_URL", "shop.example.jp"),
        ("DATABASE_URL", "postgresql+psycopg://shop:p@ss@db/shop"),
        ("DATABASE_URL", "postgresql+psycopg://shop:pa/ss@db/shop"),
        ("DATABASE_URL", "postgresql+psycopg://shop@db:port/shop"),
        ("DATABASE_URL", "mysql://localhost/shop"),
        ("TRUSTED_PROXIES", "proxy.example.jp"),
        ("QUEUE_URL", "redis://queue:port/0"),
        ("QUEUE_URL", "redis://[queue:6379/0"),
        ("SENTRY_DSN", "https://sentry.example.jp/1"),
        ("SENTRY_DSN", "https://key@sentry.example.jp/shop"),
        ("SENTRY_DSN", "https://key@[sentry.example.jp/1"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(EnvironmentUnusable, match=f"SGPSHOP_{name}"):
        load({f"SGPSHOP_{name}": value})


def test_an_unescaped_at_sign_is_named_and_the_password_is_not() -> None:
    with pytest.raises(EnvironmentUnusable) as refused:
        load({"SGPSHOP_DATABASE_URL": "postgresql+psycopg://shop:geheim@wort@db/shop"})
    assert "%40" in str(refused.value)
    assert "geheim" not in str(refused.value)
    assert "wort" not in str(refused.value)


def test_names_that_are_no_setting_are_told_with_what_was_meant() -> None:
    sentences = unknown_names(
        {"SGPSHOP_GATEWAY_ULR": "x", "SGPSHOP_COLOUR": "x", "SGPSHOP_NEW_PASSWORD": "x", "PATH": ""}
    )
    assert len(sentences) == 2
    assert any("SGPSHOP_GATEWAY_URL ではありませんか" in sentence for sentence in sentences)


def test_a_host_in_whatever_form_is_met_by_the_browsers_that_ask_for_it(tmp_path: Path) -> None:
    given = load({"SGPSHOP_TRUSTED_HOSTS": "Shop.Example.jp, [0:0:0:0:0:0:0:1],127.0.0.1"})
    client = make_app(tmp_path, TRUSTED_HOSTS=given["TRUSTED_HOSTS"]).test_client()
    for host in ("shop.example.jp", "SHOP.example.jp:8443", "[::1]:8000", "127.0.0.1:80"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/healthz", headers={"Host": "www.example.jp"}).status_code == 400


def test_proxies_are_addresses_or_networks() -> None:
    values = load({"SGPSHOP_TRUSTED_PROXIES": "10.0.0.5, 192.168.1.0/24"})
    assert ipaddress.ip_address("192.168.1.9") in values["TRUSTED_PROXIES"][1]


def test_the_documents_name_every_variable_with_its_default() -> None:
    table = (ROOT / "docs" / "interfaces.md").read_text().partition("\n## 3.")[2]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| ([^|]+) \|", table.partition("\n## ")[0], re.M)
    told: dict[str, str] = {}
    for names, defaults in rows:
        values = [value.strip("`") for value in re.findall("`[^`]+`|empty", defaults)]
        found = re.findall("[A-Z_]+", names)
        told |= dict(zip(found, values if len(values) == len(found) else values * 2, strict=True))
    assert set(told) == set(variables())
    given = {f"SGPSHOP_{name}": "" if text == "empty" else text for name, text in told.items()}
    assert load(given) == load({})


def test_keys_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    first, second = load({}) | {"INSTANCE_PATH": tmp_path}, load({}) | {"INSTANCE_PATH": tmp_path}
    complete(first)
    complete(second)
    assert first["SECRET_KEY"] == second["SECRET_KEY"] != first["ENCRYPTION_KEY"]
    assert len(first["SECRET_KEY"]) >= 32
    for name in ("secret_key", "encryption_key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600  # S12


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEY"])
def test_a_weak_key_is_refused(tmp_path: Path, name: str) -> None:  # S22
    with pytest.raises(EnvironmentUnusable, match=name):
        complete(load({f"SGPSHOP_{name}": "short"}) | {"INSTANCE_PATH": tmp_path})


GUESSABLE = [
    "a" * 32,
    "0123456789abcdef" * 2,
    "abcdefghijklmnopqrstuvwxyz012345",
    "changemechangemechangemechangeme",
    "secret-key-secret-key-secret-key",
    "qwertyuiopasdfghjklzxcvbnm123456",
]


@pytest.mark.parametrize("key", GUESSABLE)
def test_a_long_secret_key_that_can_be_guessed_is_refused(tmp_path: Path, key: str) -> None:  # S22
    with pytest.raises(EnvironmentUnusable, match=r"SECRET_KEY.*推測"):
        complete(load({"SGPSHOP_SECRET_KEY": key}) | {"INSTANCE_PATH": tmp_path})


@pytest.mark.parametrize(
    "key", ["f3a91c07d2be6458a0c3b7e1954d82f6", "Xk2-9vQzL_7bTfW4mRc8YhJ1pNs6DgEa"]
)
def test_a_random_secret_key_is_taken(tmp_path: Path, key: str) -> None:
    complete(load({"SGPSHOP_SECRET_KEY": key}) | {"INSTANCE_PATH": tmp_path})


def test_two_first_starts_at_once_get_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find no file; the slower one takes the faster one's key."""
    link, slower = os.link, {"INSTANCE_PATH": tmp_path} | {}
    faster = load({}) | {"INSTANCE_PATH": tmp_path}

    def overtaken(source: str, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        complete(faster)
        link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    slower = load({}) | slower
    complete(slower)
    for name in ("SECRET_KEY", "ENCRYPTION_KEY"):
        assert slower[name] == faster[name] == (tmp_path / name.lower()).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"secret_key", "encryption_key"}


def test_a_crash_while_the_key_is_made_leaves_no_empty_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        complete(load({}) | {"INSTANCE_PATH": tmp_path})
    monkeypatch.undo()
    values = load({}) | {"INSTANCE_PATH": tmp_path}
    complete(values)
    assert len(values["SECRET_KEY"]) >= 32


@pytest.mark.parametrize("what", ["folder", "key"])
def test_a_folder_or_key_file_that_cannot_be_used_is_named(tmp_path: Path, what: str) -> None:
    if what == "folder":
        (tmp_path / "file").touch()
        folder, name = tmp_path / "file", "INSTANCE_PATH"
    else:
        (tmp_path / "encryption_key").mkdir()
        folder, name = tmp_path, "ENCRYPTION_KEY"
    with pytest.raises(EnvironmentUnusable, match=f"SGPSHOP_{name}.*{tmp_path}"):
        complete(load({}) | {"INSTANCE_PATH": folder})


def test_an_emptied_key_file_is_refused(tmp_path: Path) -> None:  # S22
    (tmp_path / "secret_key").touch()
    with pytest.raises(EnvironmentUnusable, match="SECRET_KEY"):
        complete(load({}) | {"INSTANCE_PATH": tmp_path})


def test_a_mail_password_does_not_go_over_the_network_in_plain_text(tmp_path: Path) -> None:
    mail = {
        "SGPSHOP_MAIL_SERVER": "mail.example.jp",
        "SGPSHOP_MAIL_FROM": "shop@example.jp",
        "SGPSHOP_MAIL_PASSWORD": "swordfish-0123",
        "SGPSHOP_MAIL_SECURITY": "off",
    }
    with pytest.raises(EnvironmentUnusable, match="MAIL_SECURITY") as refused:
        complete(load(mail) | {"INSTANCE_PATH": tmp_path})
    assert "swordfish" not in str(refused.value)
    for name, value in (
        ("SERVER", "127.0.0.1"),
        ("SERVER", "localhost"),
        ("SERVER", "[::1]"),
        ("SECURITY", "tls"),
        ("PASSWORD", ""),
    ):
        complete(load(mail | {f"SGPSHOP_MAIL_{name}": value}) | {"INSTANCE_PATH": tmp_path})


def test_debug_needs_test_mode(tmp_path: Path) -> None:  # S22
    with pytest.raises(EnvironmentUnusable, match="DEBUG"):
        complete(load({"SGPSHOP_DEBUG": "1"}) | {"INSTANCE_PATH": tmp_path})
    complete(load({"SGPSHOP_DEBUG": "1", "SGPSHOP_TEST_MODE": "1"}) | {"INSTANCE_PATH": tmp_path})
