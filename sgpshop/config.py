"""Every setting that comes from outside: its name, default, form and meaning (contract.md §3).

`load(environ)` turns the environment (prefix `SGPSHOP_`) into the mapping for `app.config`.  Keys
are the names below; times are seconds, sizes bytes.  The README's table is made from SETTINGS.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

_N = TypeVar("_N", int, float)

PREFIX = "SGPSHOP_"
ROOT = Path(__file__).resolve().parent.parent


class ConfigurationError(Exception):
    """A setting cannot be used; the sentence names it and says what it should look like."""


@dataclass(frozen=True)
class Setting:
    """One environment variable: `default` is text as it would stand in the environment."""

    name: str
    default: str
    parse: Callable[[str], Any]
    meaning: str


def _text(value: str) -> str:
    return value


def _switch(value: str) -> bool:
    word = value.strip().lower()
    if word in ("1", "true", "on", "yes"):
        return True
    if word in ("", "0", "false", "off", "no"):
        return False
    raise ValueError("1/true/on/yes or 0/false/off/no")


def _whole(least: int, most: int) -> Callable[[str], int]:
    return _within(int, least, most, f"a whole number from {least} to {most}")


def _seconds(least: float, most: float) -> Callable[[str], float]:
    return _within(float, least, most, f"seconds from {least:g} to {most:g}")


def _number(least: float, most: float) -> Callable[[str], float]:
    return _within(float, least, most, f"a number from {least:g} to {most:g}")


def _within(
    kind: Callable[[str], _N], least: float, most: float, wanted: str
) -> Callable[[str], _N]:
    def parse(value: str) -> _N:
        try:
            number = kind(value)
        except ValueError:
            raise ValueError(wanted) from None
        if not least <= number <= most:
            raise ValueError(wanted)
        return number

    return parse


def _hour(value: str) -> int | None:
    if value.strip().lower() == "off":
        return None
    return _within(int, 0, 23, "an hour from 0 to 23, or off")(value)


def _schedule(value: str) -> tuple[float, ...]:
    try:
        pauses = tuple(float(part) for part in value.split(","))
    except ValueError:
        pauses = ()
    if not pauses or pauses[0] < 0 or list(pauses) != sorted(pauses):
        raise ValueError("ascending seconds separated by commas, like 0,30,95,600")
    return pauses


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _networks(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(name, strict=False) for name in _names(value))
    except ValueError:
        raise ValueError("addresses or networks like 10.0.0.5,192.168.1.0/24") from None


def _base_url(value: str) -> str:
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a base URL like https://p01.smbc-gp.co.jp, without /payment")
    return value.rstrip("/")


def _database(value: str) -> str:
    if value and not value.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
    return value


SETTINGS = (
    Setting("INSTANCE_PATH", "instance", _text, "folder of the database and keys: all local state"),
    Setting("DATABASE_URL", "", _database, "empty: SQLite in the instance path"),
    Setting("SECRET_KEY", "", _text, "signs cookies; empty: made at first start, mode 600"),
    Setting("ENCRYPTION_KEY", "", _text, "seals passwords at rest; empty: made at first start"),
    Setting("GATEWAY_URL", "", _base_url, "base URL of SMBC-GP; the simulator's in `demo`"),
    Setting("GATEWAY_CONCURRENCY", "4", _whole(1, 64), "connections to the gateway, per process"),
    Setting("GATEWAY_CONNECT_TIMEOUT", "5", _seconds(0.05, 60), "seconds to connect (P12)"),
    Setting(
        "GATEWAY_TOTAL_TIMEOUT", "30", _seconds(0.1, 300), "seconds for a whole exchange (P12)"
    ),
    Setting("GATEWAY_MAX_ANSWER", "65536", _whole(1024, 10**7), "largest answer in bytes (P12)"),
    Setting("GATEWAY_TRIES", "3", _whole(1, 10), "tries when no connection could be made (P9)"),
    Setting(
        "CONGESTION_TRIES", "8", _whole(1, 50), "tries when the gateway is congested, E92 (P9)"
    ),
    Setting(
        "QUIET_PERIOD", "90", _seconds(0, 3600), "a look-up proves «not carried out» after (P14)"
    ),
    Setting(
        "RESOLVE_SCHEDULE", "0,30,95,600", _schedule, "look-ups after an outcome became uncertain"
    ),
    Setting(
        "LEASE_SECONDS", "60", _seconds(1, 3600), "a worker may hold an operation so long (P17)"
    ),
    Setting("NIGHTLY_COMPARE_HOUR", "3", _hour, "JST hour of the daily comparison (P26), or `off`"),
    Setting("NIGHTLY_PACE", "2", _number(0.01, 100), "its look-ups in a second"),
    Setting("DAILY_DIGEST_HOUR", "7", _hour, "JST hour of the log line `daily_digest`, or `off`"),
    Setting("ANSWER_WAIT", "2", _seconds(0, 20), "how long a click waits before it shows 処理中"),
    Setting(
        "CHECKOUT_WAIT", "10", _seconds(0, 60), "how long an order by API waits for its payment"
    ),
    Setting("PUBLIC_URL", "", _base_url, "our address for buyers' browsers after 3-D Secure"),
    Setting("CONSOLE_URL", "https://k01.smbc-gp.co.jp", _base_url, "base of the two console links"),
    Setting(
        "TEST_MODE", "off", _switch, "allows http: to a loopback gateway and plain-HTTP cookies"
    ),
    Setting(
        "CLOCK_AHEAD",
        "0",
        _number(-(10.0**9), 10.0**9),
        "our clock is so many seconds ahead, to try month ends; refused outside test mode",
    ),
    Setting("DEBUG", "off", _switch, "Flask's debug pages; refused outside test mode (S22)"),
    Setting("TRUSTED_HOSTS", "localhost,127.0.0.1,[::1]", _names, "host names we answer to (S24)"),
    Setting("TRUSTED_PROXIES", "", _networks, "addresses whose X-Forwarded-* headers count (S24)"),
    Setting("LOGIN_FAILURES_PER_ACCOUNT", "10", _whole(1, 1000), "then 429 (S2)"),
    Setting("LOGIN_FAILURES_PER_ADDRESS", "30", _whole(1, 10000), "then 429 (S2)"),
    Setting("LOGIN_WINDOW", "900", _seconds(1, 86400), "seconds in which failures count (S2)"),
    Setting(
        "SESSION_IDLE", "3600", _seconds(10, 86400), "a session ends after idling so long (S3)"
    ),
    Setting("SESSION_MAX", "43200", _seconds(10, 604800), "a session ends after this in any case"),
    Setting("UPLOAD_MAX_BYTES", "5242880", _whole(1000, 10**9), "largest file on the screen (S17)"),
    Setting("UPLOAD_MAX_LINES", "20000", _whole(10, 10**7), "most lines on the screen (S17)"),
    Setting("UPLOAD_MAX_CELL", "1000", _whole(10, 10**6), "most characters in one cell (S17)"),
    Setting(
        "EXPORTS_PER_PERSON", "30", _whole(1, 10_000), "exports and bulk prints, then 429 (S23)"
    ),
    Setting("EXPORTS_PER_ADDRESS", "90", _whole(1, 100_000), "the same for an address (S23)"),
    Setting("EXPORTS_WINDOW", "600", _seconds(1, 86400), "seconds in which they count (S23)"),
    Setting("API_REQUESTS_PER_KEY", "1200", _whole(1, 10**6), "in a minute; then 429 (S23)"),
    Setting("API_REQUESTS_PER_ADDRESS", "2400", _whole(1, 10**6), "in a minute; then 429 (S23)"),
    Setting("API_SEARCHES_PER_KEY", "300", _whole(1, 10**6), "searches in a minute; then 429"),
    Setting("NOTIFY_SOURCES", "", _networks, "who may send notifications; empty: everybody (S15)"),
    Setting(
        "NOTIFY_LOOK_PAUSE", "10", _seconds(1, 3600), "seconds between look-ups of one order (S15)"
    ),
    Setting(
        "NOTIFY_LOOKS_PER_MINUTE", "60", _whole(1, 100_000), "look-ups of all notifications (S15)"
    ),
    Setting("NOTIFY_MAX_BYTES", "65536", _whole(1024, 10**6), "largest notification (S15)"),
    Setting("SIMULATOR_PORT", "8001", _whole(0, 65535), "port of the simulator in `demo`"),
)


def load(environ: Mapping[str, str]) -> dict[str, Any]:
    """All settings from `environ`, parsed; keys and database paths are filled in.

    Raises ConfigurationError with the variable's name and what it should look like.
    """
    config = {setting.name: _value(setting, environ) for setting in SETTINGS}
    instance = Path(config["INSTANCE_PATH"])
    config["INSTANCE_PATH"] = instance if instance.is_absolute() else ROOT / instance
    return config


def complete(config: dict[str, Any]) -> None:
    """Fill in what the instance path holds: keys (made once, mode 600) and the database URL.

    Raises ConfigurationError for a weak key (S22).
    """
    instance = Path(config["INSTANCE_PATH"])
    instance.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("SECRET_KEY", "ENCRYPTION_KEY"):
        config[name] = config[name] or _kept_key(instance / name.lower())
        if len(config[name]) < 32:
            raise ConfigurationError(f"{PREFIX}{name} needs at least 32 characters")
    if not config["DATABASE_URL"]:
        config["DATABASE_URL"] = f"sqlite:///{instance / 'sgpshop.db'}"
    if config["CLOCK_AHEAD"] and not config["TEST_MODE"]:
        raise ConfigurationError(f"{PREFIX}CLOCK_AHEAD works only together with {PREFIX}TEST_MODE")
    if config["DEBUG"] and not config["TEST_MODE"]:
        raise ConfigurationError(f"{PREFIX}DEBUG works only together with {PREFIX}TEST_MODE")


def _value(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(PREFIX + setting.name, setting.default)
    try:
        return setting.parse(text)
    except ValueError as problem:
        raise ConfigurationError(f"{PREFIX}{setting.name}: expected {problem}") from None


def _kept_key(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return path.read_text().strip()
