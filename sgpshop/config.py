"""Every setting that comes from outside: its name, default, form and meaning (interfaces.md §3).

`load(environ)` turns the environment (prefix `SGPSHOP_`) into the mapping for `app.config`.  Keys
are the names below; times are seconds, sizes bytes.  The README's table is made from SETTINGS.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

#: A host name or address, with a port or without; a leading dot: and all below it.
_HOST = re.compile(
    r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?"
)
_N = TypeVar("_N", int, float)

PREFIX = "SGPSHOP_"
#: Variables with our prefix that are no settings of the shop.
_OTHERS = frozenset({"NEW_PASSWORD", "PARENT_PID"})
ROOT = Path(__file__).resolve().parent.parent


class ConfigurationError(Exception):
    """A setting cannot be used; the sentence names it, what is wrong and what to do."""


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
    raise ValueError("1(true、on、yes)か 0(false、off、no)にしてください")


def _whole(least: int, most: int) -> Callable[[str], int]:
    return _within(int, least, most, f"{least}から{most}までの整数にしてください")


def _seconds(least: float, most: float) -> Callable[[str], float]:
    return _within(float, least, most, f"{least:g}から{most:g}までの秒数にしてください")


def _number(least: float, most: float) -> Callable[[str], float]:
    return _within(float, least, most, f"{least:g}から{most:g}までの数にしてください")


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
    return _within(int, 0, 23, "0から23までの時か off にしてください")(value)


def _schedule(value: str) -> tuple[float, ...]:
    try:
        pauses = tuple(float(part) for part in value.split(","))
    except ValueError:
        pauses = ()
    if not pauses or pauses[0] < 0 or list(pauses) != sorted(pauses):
        raise ValueError("小さい順の秒数を「,」で区切ってください(例 0,30,95,600)")
    return pauses


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _networks(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    try:
        return tuple(ipaddress.ip_network(name, strict=False) for name in _names(value))
    except ValueError:
        raise ValueError(
            "IPアドレスかネットワークにしてください(例 10.0.0.5,192.168.1.0/24)"
        ) from None


def _hosts(value: str) -> list[str]:
    names = _names(value)
    for name in names:
        if not _HOST.fullmatch(name):
            raise ValueError(
                f"ホスト名だけを「,」で区切ってください(例 shop.example.jp)。"
                f"https:// やパスは付けません: {name}"
            )
    return names


def _gateway_url(value: str) -> str:
    url = _base_url(value)
    if url.lower().endswith("/payment"):
        raise ValueError("末尾の /payment を除いてください(例 https://p01.smbc-gp.co.jp)")
    return url


def _base_url(value: str) -> str:
    if not value:
        return ""
    wanted = "https://ホスト名 の形にしてください(例 https://p01.smbc-gp.co.jp)"
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(wanted)
    return value.rstrip("/")


def _database(value: str) -> str:
    if not value or value.startswith("sqlite:///"):
        return value
    wanted = "postgresql+psycopg://ユーザー:パスワード@ホスト:ポート/データベース名 にしてください"
    if not value.startswith("postgresql+psycopg://"):
        raise ValueError(f"sqlite:///ファイル か {wanted}")
    authority = value.partition("://")[2].partition("?")[0]
    if authority.count("@") > 1:
        raise ValueError("パスワードの「@」は %40 と書いてください(「/」は %2F、「:」は %3A)")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError(
            f"{wanted}(パスワードの「@」は %40、「/」は %2F、「:」は %3A と書きます)"
        ) from None
    if "@" in parts.path:
        raise ValueError("パスワードの「/」は %2F と書いてください")
    return value


SETTINGS = (
    Setting("INSTANCE_PATH", "instance", _text, "folder of the database and keys: all local state"),
    Setting("DATABASE_URL", "", _database, "empty: SQLite in the instance path"),
    Setting("SECRET_KEY", "", _text, "signs cookies; empty: made at first start, mode 600"),
    Setting("ENCRYPTION_KEY", "", _text, "seals passwords at rest; empty: made at first start"),
    Setting("GATEWAY_URL", "", _gateway_url, "base URL of SMBC-GP; the simulator's in `demo`"),
    Setting(
        "GATEWAY_HOSTS", "", _hosts, "further https hosts taken for SMBC-GP outside test mode (S16)"
    ),
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
    Setting("TRUSTED_HOSTS", "localhost,127.0.0.1,[::1]", _hosts, "host names we answer to (S24)"),
    Setting("TRUSTED_PROXIES", "", _networks, "addresses whose X-Forwarded-* headers count (S24)"),
    Setting(
        "HSTS_SUBDOMAINS", "off", _switch, "browsers shall use https for all names below ours too"
    ),
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
    """All settings from `environ`, parsed; keys and database paths are filled in by `complete`.

    Raises ConfigurationError with the variable's name, what is wrong and what to do.
    """
    config = {setting.name: _value(setting, environ) for setting in SETTINGS}
    instance = Path(config["INSTANCE_PATH"])
    config["INSTANCE_PATH"] = instance if instance.is_absolute() else ROOT / instance
    return config


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable with our prefix that is no setting: perhaps mistyped."""
    known = {setting.name for setting in SETTINGS}
    return [
        f"{PREFIX}{name} という設定はありません。{_meant(name, known)}"
        for name in sorted(key.removeprefix(PREFIX) for key in environ if key.startswith(PREFIX))
        if name not in known | _OTHERS
    ]


def _meant(name: str, known: set[str]) -> str:
    similar = difflib.get_close_matches(name, known, 1)
    return f"{PREFIX}{similar[0]} ではありませんか。" if similar else "無視しました。"


def complete(config: dict[str, Any]) -> None:
    """Fill in what the instance path holds: keys (made once, mode 600) and the database URL.

    Raises ConfigurationError for a weak key (S22), or where folder or keys cannot be used.
    """
    instance = Path(config["INSTANCE_PATH"])
    try:
        instance.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise ConfigurationError(
            f"{PREFIX}INSTANCE_PATH: フォルダー {instance} を作れません({problem.strerror})。"
            "このプログラムが書き込めるフォルダーを指定してください。"
        ) from None
    for name in ("SECRET_KEY", "ENCRYPTION_KEY"):
        path = instance / name.lower()
        is_kept = not config[name]
        config[name] = config[name] or _kept_key(name, path)
        config[f"{name}_PLACE"] = f"ファイル {path}" if is_kept else f"環境変数 {PREFIX}{name}"
        _require_strong(name, config)
    if not config["DATABASE_URL"]:
        config["DATABASE_URL"] = f"sqlite:///{instance / 'sgpshop.db'}"
    if config["CLOCK_AHEAD"] and not config["TEST_MODE"]:
        raise ConfigurationError(
            f"{PREFIX}CLOCK_AHEAD: 練習モード({PREFIX}TEST_MODE=1)でのみ使えます。"
        )
    if config["DEBUG"] and not config["TEST_MODE"]:
        raise ConfigurationError(f"{PREFIX}DEBUG: 練習モード({PREFIX}TEST_MODE=1)でのみ使えます。")


def _value(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(PREFIX + setting.name, setting.default)
    try:
        return setting.parse(text)
    except ValueError as problem:
        raise ConfigurationError(f"{PREFIX}{setting.name}: {problem}") from None


_KEY_LENGTH = 32
#: So many different pieces of three characters a key has that was made at random.
_PIECES = 18
_WELL_KNOWN = re.compile(
    "secret|passw(or)?d|change|default|example|insecure|develop(ment)?|production|test|flask|django"
    "|replace|sgpshop|key|qwerty(uiop)?|asdfgh(jkl)?|zxcvbn(m)?",
    re.IGNORECASE,
)


def _require_strong(name: str, config: Mapping[str, Any]) -> None:
    key, place = config[name], config[f"{name}_PLACE"]
    if not key:
        raise ConfigurationError(
            f"{PREFIX}{name}: {place} が空です。バックアップから戻してください"
            "(まだ何も登録していない場合は、ファイルを削除すると作り直されます)。"
        )
    if len(key) < _KEY_LENGTH:
        raise ConfigurationError(
            f"{PREFIX}{name}: {place} が短すぎます。{_KEY_LENGTH}文字以上の無作為な文字列にしてください。"
        )
    # Only cookies hang on it, so another one can be had at once; what is sealed needs its old key.
    if name == "SECRET_KEY" and is_guessable(key):
        raise ConfigurationError(
            f"{PREFIX}{name}: {place} が推測されやすい文字列です。"
            "無作為な文字列にしてください(空にすると自動で作られます)。"
        )


def is_guessable(key: str) -> bool:
    """Whether `key` is made of repetitions, runs (abc…, 123…) and well-known words (S22)."""
    rest = _WELL_KNOWN.sub("", key)
    pieces = {rest[at : at + 3] for at in range(len(rest) - 2)}
    return len([piece for piece in pieces if not _is_run(piece)]) < _PIECES


def _is_run(piece: str) -> bool:
    first, second = ord(piece[1]) - ord(piece[0]), ord(piece[2]) - ord(piece[1])
    return first == second and abs(first) <= 1


def _kept_key(name: str, path: Path) -> str:
    """The key in the file, made at the first start.

    It is written elsewhere and then given its name, which goes to one process alone: nobody, and
    no crash, ever meets a key file that is still empty.
    """
    try:
        if not path.exists():
            descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(secrets.token_hex(32))
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):  # another process was faster: its key it is
                    os.link(made, path)
            finally:
                os.unlink(made)
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "文字列ではありません"
        raise ConfigurationError(
            f"{PREFIX}{name}: 鍵のファイル {path} を読み書きできません({why})。"
            f"所有者と権限、{PREFIX}INSTANCE_PATH のフォルダーを確認してください。"
        ) from None
