"""Settings come from the environment, in one form, or the program does not start (S22, T1)."""

from __future__ import annotations

import ipaddress
import stat
from pathlib import Path

import pytest

from sgpshop.config import SETTINGS, ConfigurationError, complete, load

STRONG = "k" * 32


def test_without_environment_the_defaults_hold() -> None:
    config = load({})
    assert config["GATEWAY_TOTAL_TIMEOUT"] == 30  # P12
    assert config["QUIET_PERIOD"] == 90  # P14
    assert config["RESOLVE_SCHEDULE"] == (0, 30, 95, 600)  # P13
    assert config["LOGIN_FAILURES_PER_ACCOUNT"] == 10  # S2
    assert config["SESSION_IDLE"] == 3600  # S3
    assert config["TEST_MODE"] is False
    assert config["TRUSTED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize("word", ["1", "true", "on", "yes", "ON"])
def test_four_words_switch_a_switch_on(word: str) -> None:
    assert load({"SGPSHOP_TEST_MODE": word})["TEST_MODE"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEST_MODE", "maybe"),
        ("GATEWAY_CONCURRENCY", "0"),
        ("GATEWAY_CONCURRENCY", "four"),
        ("QUIET_PERIOD", "-1"),
        ("QUIET_PERIOD", "nan"),
        ("RESOLVE_SCHEDULE", "30,0"),
        ("RESOLVE_SCHEDULE", ""),
        ("GATEWAY_URL", "p01.smbc-gp.co.jp"),
        ("GATEWAY_URL", "ftp://p01.smbc-gp.co.jp"),
        ("DATABASE_URL", "mysql://localhost/shop"),
        ("TRUSTED_PROXIES", "proxy.example.jp"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SGPSHOP_{name}"):
        load({f"SGPSHOP_{name}": value})


def test_proxies_are_addresses_or_networks() -> None:
    config = load({"SGPSHOP_TRUSTED_PROXIES": "10.0.0.5, 192.168.1.0/24"})
    assert ipaddress.ip_address("192.168.1.9") in config["TRUSTED_PROXIES"][1]


def test_every_setting_says_what_it_means() -> None:
    assert all(setting.meaning for setting in SETTINGS)


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
    with pytest.raises(ConfigurationError, match=name):
        complete(load({f"SGPSHOP_{name}": "short"}) | {"INSTANCE_PATH": tmp_path})


def test_an_emptied_key_file_is_refused(tmp_path: Path) -> None:  # S22
    (tmp_path / "secret_key").touch()
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        complete(load({}) | {"INSTANCE_PATH": tmp_path})


def test_debug_needs_test_mode(tmp_path: Path) -> None:  # S22
    with pytest.raises(ConfigurationError, match="DEBUG"):
        complete(load({"SGPSHOP_DEBUG": "1"}) | {"INSTANCE_PATH": tmp_path})
    complete(load({"SGPSHOP_DEBUG": "1", "SGPSHOP_TEST_MODE": "1"}) | {"INSTANCE_PATH": tmp_path})
