"""Every variable of the environment: its name, form and default; interfaces.md §3 says what it means.

`load(environ)` turns the variables (prefix `SGPSHOP_`) into the mapping for `app.config`, under the
names below; times are seconds, sizes bytes.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

from sgpshop import keys
from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.domain.mail_kinds import is_mail_address

PREFIX = "SGPSHOP_"
#: Variables with our prefix that are read elsewhere.
_OTHERS = frozenset({"NEW_PASSWORD", "OLD_ENCRYPTION_KEY", "PARENT_PID"})
ROOT = Path(__file__).resolve().parent.parent

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
#: After that everything is asked again daily anyway (P13).
_LATEST_LOOK = 30 * 86_400
_N = TypeVar("_N", int, float)


def _switch(value: str) -> bool:
    word = value.strip().lower()
    if word in ("1", "true", "on", "yes"):
        return True
    if word in ("", "0", "false", "off", "no"):
        return False
    raise ValueError("1(true、on、yes)か 0(false、off、no)にしてください")


def _whole(least: int, most: int) -> Callable[[str], int]:
    wanted = f"{least}から{most}までの整数にしてください"
    return lambda value: _within(int, value, least, most, wanted)


def _seconds(least: float, most: float, unit: str = "秒数") -> Callable[[str], float]:
    wanted = f"{least:g}から{most:g}までの{unit}にしてください"
    return lambda value: _within(float, value, least, most, wanted)


def _number(least: float, most: float) -> Callable[[str], float]:
    return _seconds(least, most, "数")


def _within(kind: Callable[[str], _N], value: str, least: _N, most: _N, wanted: str) -> _N:
    try:
        number = kind(value)
    except ValueError:
        raise ValueError(wanted) from None
    if not least <= number <= most:
        raise ValueError(wanted)
    return number


def _hour(value: str) -> int | None:
    if value.strip().lower() == "off":
        return None
    return _within(int, value, 0, 23, "0から23までの時か off にしてください")


def _schedule(value: str) -> tuple[float, ...]:
    try:
        pauses = tuple(float(part) for part in value.split(","))
    except ValueError:
        pauses = ()
    # Each compared for itself: nan is neither in order nor out of it.
    are_all_usable = all(0 <= pause <= _LATEST_LOOK for pause in pauses)
    if not pauses or not are_all_usable or list(pauses) != sorted(pauses):
        raise ValueError(
            f"小さい順の秒数({_LATEST_LOOK}まで)を「,」で区切ってください(例 0,30,95,600)"
        )
    return pauses


def _long_secret(least: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value and len(value) < least:
            raise ValueError(f"{least}文字以上にしてください")
        return value

    return check


def _dsn(value: str) -> str:
    wanted = "https://鍵@ホスト/番号 の形(DSN)にしてください"
    _require_readable(value, wanted)
    parts = urlsplit(value)
    has_all = parts.hostname and parts.username and parts.path.rpartition("/")[2].isdecimal()
    if value and not (parts.scheme == "https" and has_all):
        raise ValueError(wanted)
    return value


def _level(value: str) -> str:
    word = value.strip().lower()
    if word not in ("debug", "info", "warning", "error"):
        raise ValueError("debug、info、warning、error のどれかにしてください")
    return word


def _mail_server(value: str) -> str:
    return _host(value) if value else ""


def _mail_security(value: str) -> str:
    word = value.strip().lower()
    if word not in ("starttls", "tls", "off"):
        raise ValueError("starttls、tls、off のどれかにしてください")
    return word


def _mail_from(value: str) -> str:
    if value and not is_mail_address(value):
        raise ValueError("メールアドレスだけにしてください(例 shop@example.jp)")
    return value


def _instance(value: str) -> Path:
    if not value.strip():  # else it was the folder of the program itself
        raise ValueError("フォルダー名を指定してください(例 /var/lib/sgpshop)")
    return Path(value)


def _folder(value: str) -> str:
    if value and not Path(value).is_absolute():
        raise ValueError("「/」で始まるフォルダー名にしてください(例 /var/backups/sgpshop)")
    return value


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
    """Names as a browser sends them: what stands here in another form would never be met."""
    return [_host(name) for name in _names(value)]


def _host(name: str) -> str:
    plain = name.lower()
    if plain.startswith("[") and plain.endswith("]"):
        with suppress(ValueError):
            return f"[{ipaddress.IPv6Address(plain[1:-1])}]"
    if not _HOST.fullmatch(plain):
        raise ValueError(
            "ホスト名だけを「,」で区切ってください(例 shop.example.jp,www.example.jp)。"
            f"https:// やポート番号、パス、先頭の「.」、「*」は付けません: {name}"
        )
    return plain


def _own_hosts(value: str) -> list[str]:
    names = _hosts(value)
    if not names:
        raise ValueError("この店舗管理を開くときのホスト名を1つ以上指定してください")
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
    if value == "sqlite:///":
        raise ValueError("ファイル名まで指定してください(例 sqlite:////var/lib/sgpshop/sgpshop.db)")
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


def _queue(value: str) -> str:
    """Empty, or a server; a driver in the name of PostgreSQL is none of huey's."""
    value = value.replace("postgresql+psycopg://", "postgresql://", 1)
    if value and not value.startswith(("postgresql://", "redis://", "rediss://")):
        raise ValueError("空(このパソコンのファイル)か postgresql://… か redis://… にしてください")
    if value.startswith("redis"):  # PostgreSQL takes several hosts, and tells itself what is none
        _require_readable(value, "redis://ホスト:ポート/0 の形にしてください")
    return value


def _require_readable(address: str, wanted: str) -> None:
    """Raises ValueError for an address whose host or port is none."""
    try:
        _ = urlsplit(address).port
    except ValueError:
        raise ValueError(wanted) from None


Switch = Annotated[bool, _switch]
Hour = Annotated[int | None, _hour]
Hosts = Annotated[list[str], _hosts]
Networks = Annotated[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], _networks]
BaseUrl = Annotated[str, _base_url]


class Environment:
    """The variables without their prefix, in the order in which mistakes are told.

    Each says its type and, unless that itself reads a text, what does; and its default.
    """

    INSTANCE_PATH: Annotated[Path, _instance] = Path("instance")
    DATABASE_URL: Annotated[str, _database] = ""
    QUEUE_URL: Annotated[str, _queue] = ""
    SECRET_KEY: str = ""
    ENCRYPTION_KEY: str = ""
    GATEWAY_URL: Annotated[str, _gateway_url] = ""
    GATEWAY_HOSTS: Hosts = []
    GATEWAY_CONCURRENCY: Annotated[int, _whole(1, 64)] = 4
    GATEWAY_CONNECT_TIMEOUT: Annotated[float, _seconds(0.05, 60)] = 5
    GATEWAY_TOTAL_TIMEOUT: Annotated[float, _seconds(0.1, 300)] = 30
    GATEWAY_MAX_ANSWER: Annotated[int, _whole(1024, 10**7)] = 65536
    GATEWAY_TRIES: Annotated[int, _whole(1, 10)] = 3
    CONGESTION_TRIES: Annotated[int, _whole(1, 50)] = 8
    QUIET_PERIOD: Annotated[float, _seconds(0, 3600)] = 90
    RESOLVE_SCHEDULE: Annotated[tuple[float, ...], _schedule] = (0, 30, 95, 600)
    LEASE_SECONDS: Annotated[float, _seconds(1, 3600)] = 60
    NIGHTLY_COMPARE_HOUR: Hour = 3
    NIGHTLY_PACE: Annotated[float, _number(0.01, 100)] = 2
    DAILY_DIGEST_HOUR: Hour = 7
    ANSWER_WAIT: Annotated[float, _seconds(0, 20)] = 2
    CHECKOUT_WAIT: Annotated[float, _seconds(0, 60)] = 10
    ABANDONED_AFTER: Annotated[float, _seconds(60, 86400)] = 3600
    BACKUP_FOLDER: Annotated[str, _folder] = ""
    BACKUP_HOUR: Hour = 2
    BACKUP_KEEP: Annotated[int, _whole(1, 1000)] = 7
    BACKUP_PASSPHRASE: Annotated[str, _long_secret(12)] = ""
    METRICS_TOKEN: Annotated[str, _long_secret(20)] = ""
    SENTRY_DSN: Annotated[str, _dsn] = ""
    MAIL_SERVER: Annotated[str, _mail_server] = ""
    MAIL_PORT: Annotated[int, _whole(1, 65535)] = 587
    MAIL_SECURITY: Annotated[str, _mail_security] = "starttls"
    MAIL_USERNAME: str = ""
    MAIL_PASSWORD: str = ""
    MAIL_FROM: Annotated[str, _mail_from] = ""
    MAIL_TIMEOUT: Annotated[float, _seconds(0.1, 60)] = 10
    LOG_LEVEL: Annotated[str, _level] = "info"
    PUBLIC_URL: BaseUrl = ""
    CONSOLE_URL: BaseUrl = "https://k01.smbc-gp.co.jp"
    TEST_MODE: Switch = False
    CLOCK_AHEAD: Annotated[float, _number(-(10.0**9), 10.0**9)] = 0
    DEBUG: Switch = False
    TRUSTED_HOSTS: Annotated[list[str], _own_hosts] = [
        "localhost",
        "127.0.0.1",
        "[::1]",
    ]
    TRUSTED_PROXIES: Networks = ()
    HSTS_SUBDOMAINS: Switch = False
    LOGIN_FAILURES_PER_ACCOUNT: Annotated[int, _whole(1, 1000)] = 10
    LOGIN_FAILURES_PER_ADDRESS: Annotated[int, _whole(1, 10000)] = 30
    LOGIN_WINDOW: Annotated[float, _seconds(1, 86400)] = 900
    CODE_FAILURES: Annotated[int, _whole(1, 1000)] = 5
    CODE_WINDOW: Annotated[float, _seconds(1, 86400)] = 300
    SESSION_IDLE: Annotated[float, _seconds(10, 86400)] = 3600
    SESSION_MAX: Annotated[float, _seconds(10, 604800)] = 43200
    UPLOAD_MAX_BYTES: Annotated[int, _whole(1000, 10**9)] = 5242880
    UPLOAD_MAX_LINES: Annotated[int, _whole(10, 10**7)] = 20000
    UPLOAD_MAX_CELL: Annotated[int, _whole(10, 10**6)] = 1000
    EXPORTS_PER_PERSON: Annotated[int, _whole(1, 10_000)] = 30
    EXPORTS_PER_ADDRESS: Annotated[int, _whole(1, 100_000)] = 90
    EXPORTS_WINDOW: Annotated[float, _seconds(1, 86400)] = 600
    SEARCHES_PER_PERSON: Annotated[int, _whole(1, 10**6)] = 600
    UPLOADS_PER_PERSON: Annotated[int, _whole(1, 10**6)] = 30
    BULK_ACTIONS_PER_PERSON: Annotated[int, _whole(1, 10**6)] = 120
    API_REQUESTS_PER_KEY: Annotated[int, _whole(1, 10**6)] = 1200
    API_REQUESTS_PER_ADDRESS: Annotated[int, _whole(1, 10**6)] = 2400
    API_SEARCHES_PER_KEY: Annotated[int, _whole(1, 10**6)] = 300
    NOTIFY_SOURCES: Networks = ()
    NOTIFY_LOOK_PAUSE: Annotated[float, _seconds(1, 3600)] = 10
    NOTIFY_LOOKS_PER_MINUTE: Annotated[int, _whole(1, 100_000)] = 60
    NOTIFY_MAX_BYTES: Annotated[int, _whole(1024, 10**6)] = 65536
    SIMULATOR_PORT: Annotated[int, _whole(0, 65535)] = 8001


def load(environ: Mapping[str, str]) -> dict[str, Any]:
    """All variables of `environ`, parsed; keys and database paths are filled in by `complete`.

    Raises EnvironmentUnusable with the variable's name, what is wrong and what to do.
    """
    given = {
        name.removeprefix(PREFIX): environ[name] for name in environ if name.startswith(PREFIX)
    }
    values: dict[str, Any] = {}
    for name, read in variables().items():
        try:
            values[name] = read(given[name]) if name in given else copy(getattr(Environment, name))
        except ValueError as mistake:
            raise EnvironmentUnusable(f"{PREFIX}{name}: {mistake}") from None
    return values | {"INSTANCE_PATH": ROOT / values["INSTANCE_PATH"]}


@cache
def variables() -> dict[str, Callable[[str], Any]]:
    """Each variable without its prefix, and what reads its text; that raises ValueError with a sentence."""
    hints = get_type_hints(Environment, include_extras=True)
    return {name: (*getattr(hint, "__metadata__", ()), hint)[0] for name, hint in hints.items()}


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable with our prefix that is none of ours: perhaps mistyped."""
    known = set(variables())
    return [
        f"{PREFIX}{name} という設定はありません。{_meant(name, known)}"
        for name in sorted(key.removeprefix(PREFIX) for key in environ if key.startswith(PREFIX))
        if name not in known | _OTHERS
    ]


def _meant(name: str, known: set[str]) -> str:
    similar = difflib.get_close_matches(name, known, 1)
    return f"{PREFIX}{similar[0]} ではありませんか。" if similar else "無視しました。"


def _is_this_machine(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost"


def complete(values: dict[str, Any]) -> None:
    """Fill in what the instance path holds: keys (made once, mode 600) and the database URL.

    Raises EnvironmentUnusable for a weak key (S22), for a mail server without a sender or with a
    password that anybody on the way could read, or where folder or keys cannot be used.
    """
    if values["MAIL_SERVER"] and not values["MAIL_FROM"]:
        raise EnvironmentUnusable(
            f"{PREFIX}MAIL_FROM: 送信元のメールアドレスを指定してください({PREFIX}MAIL_SERVER と一緒に使います)。"
        )
    is_open = values["MAIL_SECURITY"] == "off" and not _is_this_machine(values["MAIL_SERVER"])
    if values["MAIL_SERVER"] and values["MAIL_PASSWORD"] and is_open:
        raise EnvironmentUnusable(
            f"{PREFIX}MAIL_SECURITY: off では、パスワードが暗号化されずにネットワークを通ります。"
            f"starttls か tls にするか、{PREFIX}MAIL_PASSWORD を外してください。"
        )
    instance = Path(values["INSTANCE_PATH"])
    try:
        instance.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise EnvironmentUnusable(
            f"{PREFIX}INSTANCE_PATH: フォルダー {instance} を作れません({problem.strerror})。"
            "このプログラムが書き込めるフォルダーを指定してください。"
        ) from None
    for name in ("SECRET_KEY", "ENCRYPTION_KEY"):
        path = instance / name.lower()
        is_kept = not values[name]
        values[f"{name}_PLACE"] = f"ファイル {path}" if is_kept else f"環境変数 {PREFIX}{name}"
        try:
            values[name] = values[name] or keys.read_or_make(path)
            # Only cookies hang on SECRET_KEY, so another one can be had at once; what is sealed
            # needs its old key, so the database is asked first (services/installation.py).
            is_seal = name == "ENCRYPTION_KEY"
            keys.require_strong(values[name], values[f"{name}_PLACE"], may_be_guessable=is_seal)
        except ValueError as problem:
            raise EnvironmentUnusable(f"{PREFIX}{name}: {problem}") from None
    if not values["DATABASE_URL"]:
        values["DATABASE_URL"] = f"sqlite:///{instance / 'sgpshop.db'}"
    for name in ("CLOCK_AHEAD", "DEBUG"):
        if values[name] and not values["TEST_MODE"]:
            raise EnvironmentUnusable(
                f"{PREFIX}{name}: 練習モード({PREFIX}TEST_MODE=1)でのみ使えます。"
            )
