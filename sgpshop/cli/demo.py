"""`demo`: a working shop with one command, all three processes in the foreground (interfaces.md §1)."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

from sgpshop import environment, logs
from sgpshop.cli.demo_log import DemoLog
from sgpshop.cli.listening import listening
from sgpshop.domain.bounds import whole_number
from sgpshop.domain.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from flask import Flask

_APP = str(environment.ROOT / "app.py")
#: The simulator's one contract (interfaces.md §6), and a shop that nobody takes for a real one.
_CONTRACT: dict[str, str | bool] = {
    "site_id": "tsite00000001",
    "site_pass": "sitepass01",
    "shop_id": "tshop00000001",
    "shop_pass": "shoppass01",
    "enabled": True,
    "capture_on_slip": True,
    "subscription_enabled": True,
    "shop_name": "お茶の見本堂",
    "shop_address": "〒000-0000 見本県見本市見本町1-2-3",
    "shop_tel": "00-0000-0000",
    "invoice_number": "T0000000000000",
}
#: Written last of all that a first start prepares.
_KEY_FILE = "practice_key"
_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_READY_WITHIN = 30.0
_END_WITHIN = 4.0
#: What somebody sees who starts it: where, as whom, and what to try.
_WELCOME = """
SGP Shop:          {shop_url}/
demo login: {login}
practice shop:     {simulator_url}/practice-shop/
simulator console: {simulator_url}/mulpayconsole/shop/{shop_id}/login/

はじめに試すこと
  1. SGP Shop のアドレスを開き、demo login の名前とパスワードでログインします。
  2. 「注文検索/一括処理」のタブ「仮売上」で注文にチェックを入れます。
  3. 「一括処理を選択」→「SGPカード決済」→「処理を実行」を押すと、決済完了に変わります。
  4. practice shop で買い物をすると、その注文が「注文検索/一括処理」に入ります。

記録は {log} にあり、ここにはエラーだけを表示します。Ctrl-C で終了します"""


def run_demo(*, start_over: bool = False) -> int:
    """Migrate, fill the shop on the first start, run everything until Ctrl-C; the exit code.

    `start_over`: what an earlier demo left is removed before.  Raises EnvironmentUnusable for a
    setting, or a port, that cannot be used.
    """
    port, simulator_port = _free_port("PORT", "8000"), _free_port("SGPSHOP_SIMULATOR_PORT", "8001")
    shop_url, simulator_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}"
    os.environ.update(
        SGPSHOP_TEST_MODE="1",
        SGPSHOP_GATEWAY_URL=os.environ.get("SGPSHOP_GATEWAY_URL", simulator_url),
        SGPSHOP_CONSOLE_URL=os.environ.get("SGPSHOP_CONSOLE_URL", simulator_url),
        SGPSHOP_PUBLIC_URL=os.environ.get("SGPSHOP_PUBLIC_URL", shop_url),
        SGPSHOP_PARENT_PID=str(os.getpid()),
        MALLOC_ARENA_MAX=os.environ.get("MALLOC_ARENA_MAX", "1"),  # as deploy/ has it
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell left SIGINT ignored
        signal.signal(number, _interrupt)
    instance = environment.load(os.environ)["INSTANCE_PATH"]
    instance.mkdir(parents=True, exist_ok=True, mode=0o700)
    if start_over:
        _forget(instance)
    log = DemoLog(instance / "demo.log")
    logs.write_to(log.open())
    running = Processes(log)
    try:
        running.start("simulator", "--port", simulator_port, "--db", str(instance / "simulator.db"))
        was_ready = _is_prepared(instance)
        if was_ready:  # so the screens need not wait for us
            running.start("web", "--port", port)
        ready = _prepare(simulator_url, running)
        if not was_ready:
            running.start("web", "--port", port)
        running.wait_for(f"{simulator_url}/_control/clock")
        running.wait_for(f"{shop_url}/healthz")
        running.start("worker")
        _control(simulator_url, "notifications", {"url": f"{shop_url}{ready.notify_path}"})
        practice = {"api_url": shop_url, "api_key": ready.api_key}
        _control(simulator_url, "practice-shop", practice)
        click.echo(
            _WELCOME.format(
                shop_url=shop_url,
                login=f"{ready.name} / {ready.password}",
                simulator_url=simulator_url,
                shop_id=_CONTRACT["shop_id"],
                log=log.shown_path,
            )
        )
        running.watch()
    except Ended as ended:
        click.echo(str(ended), err=True)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        running.end()


def _free_port(variable: str, default: str) -> str:
    """The port that `variable` names.  Raises EnvironmentUnusable when it cannot be had."""
    text = os.environ.get(variable, default)
    port = whole_number(text)
    if port is None or not 1 <= port <= 65535:
        raise EnvironmentUnusable(f"{variable}={text}: 1から65535までの番号を指定してください。")
    with listening(f"{variable}={port}"), closing(socket.socket()) as probe:
        # As the servers do: what ended just now is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    return str(port)


def _is_prepared(instance: Path) -> bool:
    """Whether an earlier start ended well, and this version has nothing to migrate.

    Asked without loading the shop, which takes longer than the rest of a start.
    """
    newest = max(path.stem.partition("_")[0] for path in _MIGRATIONS.glob("*_*.py"))
    if not (instance / _KEY_FILE).exists() or os.environ.get("SGPSHOP_DATABASE_URL"):
        return False
    with suppress(sqlite3.Error), closing(sqlite3.connect(instance / "sgpshop.db")) as database:
        present = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return bool(present == (newest,))
    return False


def _forget(instance: Path) -> None:
    """Remove the demo's databases and logins; its keys stay.

    Raises EnvironmentUnusable where there is no demo of ours: the database of a shop is never removed.
    """
    database = instance / "sgpshop.db"
    marked = None
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as it,
    ):
        marked = it.execute("SELECT value FROM installation WHERE name = 'demo'").fetchone()
    if marked is None or os.environ.get("SGPSHOP_DATABASE_URL"):
        raise EnvironmentUnusable(
            f"--start-over: {instance} には見本(demo)のデータがありません。何も削除していません。"
        )
    for name in ("sgpshop.db*", "simulator.db*", "queue.db*", _KEY_FILE, "demo_login"):
        for path in instance.glob(name):
            path.unlink()


class _Ready(NamedTuple):
    """What `_prepare` leaves: the login, where notifications come in, the practice shop's key."""

    name: str
    password: str
    notify_path: str
    api_key: str


def _prepare(simulator_url: str, running: Processes) -> _Ready:
    """Bring database, contract and login up, and the sample on the first start."""
    # Imported here, while the simulator is starting already.
    from sgpshop import create_app
    from sgpshop.models import utc_now
    from sgpshop.services import installation
    from sgpshop.services import settings as shop_settings
    from sgpshop.services.access import people
    from sgpshop.services.demo.seeding import is_seeded, seed_sample
    from sgpshop.services.demo.simulator import Simulator
    from sgpshop.services.payments import notifications

    app = create_app()
    with app.app_context():
        installation.migrate()
        installation.become_demo()
        if not shop_settings.load().has_contract:
            shop_settings.save("demo", **_CONTRACT)
        if not is_seeded():
            running.wait_for(f"{simulator_url}/_control/clock")
            click.echo(
                "最初の起動です。見本の注文300件とSMBC-GPシミュレーターの取引を用意しています…"
            )
            seed_sample()
        if app.config["CLOCK_AHEAD"]:  # month ends are tried on both sides at once
            running.wait_for(f"{simulator_url}/_control/clock")
            Simulator.connected().set_clock(utc_now())
        secret = notifications.secret_of(shop_settings.load())
        name, password = people.ensure_demo_person()
        return _Ready(name, password, f"/notify/{secret}", _practice_key(app))


def _practice_key(app: Flask) -> str:
    """The practice shop's key, made at the first start and kept beside the demo's password."""
    from sgpshop.models import Scope
    from sgpshop.services.access import api_keys

    path = app.config["INSTANCE_PATH"] / _KEY_FILE
    with suppress(OSError, api_keys.KeyRefused):
        stored: str = path.read_text().strip()
        api_keys.recognize(stored)
        return stored
    key = api_keys.create("練習ショップ", [Scope.INTAKE, Scope.READ], by="demo")
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(key)
    return key


def _control(simulator_url: str, name: str, body: dict[str, str]) -> None:
    """Tell our simulator where we are: for its notifications (rule 33) and its practice shop."""
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        f"{simulator_url}/_control/{name}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with suppress(OSError):  # another gateway than our simulator may stand there
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - a loopback address


class Ended(Exception):
    """One of the processes is there no more, or never came; the message says why."""


class Processes:
    """Simulator, web and worker; what they say goes to the log."""

    def __init__(self, log: DemoLog) -> None:
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *options: str) -> None:
        """Start a command of ours under its name."""
        # Its own session: Ctrl-C reaches the demo alone, which then ends its children in order.
        with self._log.open() as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [sys.executable, _APP, name, *options],
                start_new_session=True,
                stdout=log,
                stderr=log,
            )

    def wait_for(self, url: str) -> None:
        """Wait until somebody answers there.  Raises Ended."""
        until = time.monotonic() + _READY_WITHIN
        while time.monotonic() < until:
            self._require_all()
            try:
                urllib.request.urlopen(url, timeout=1)  # noqa: S310 - a loopback address
            except urllib.error.HTTPError:
                return  # it answers
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise Ended(
            f"{url}{_READY_WITHIN:.0f}秒以内に起動しませんでした。{self._log.where_to_read}"
        )

    def watch(self) -> NoReturn:
        """Show errors as they come.  Raises Ended when one of the processes ends."""
        while True:
            self._require_all()
            time.sleep(0.2)

    def _require_all(self) -> None:
        codes = {name: process.poll() for name, process in self._running.items()}
        self._log.show_errors()
        for name, code in codes.items():
            if code is None:
                continue
            # Who ends by itself says why; who was killed said nothing.
            reason = f"(理由:{self._log.last_words})" if code > 0 else ""
            raise Ended(
                f"{name}が終了したため、すべて終了します{reason}。{self._log.where_to_read}"
            )

    def end(self) -> None:
        """End them, the last started first."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + _END_WITHIN
        for process in self._running.values():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
