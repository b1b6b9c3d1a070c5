"""`demo`: a working shop with one command, all three processes in the foreground (interfaces.md §1)."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

import click

from sgpshop import environment

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


def run_demo() -> int:
    """Migrate, fill the shop on the first start, run everything until Ctrl-C; the exit code."""
    port = os.environ.get("PORT", "8000")
    simulator_port = os.environ.get("SGPSHOP_SIMULATOR_PORT", "8001")
    simulator_url = f"http://127.0.0.1:{simulator_port}"
    os.environ.update(
        SGPSHOP_TEST_MODE="1",
        SGPSHOP_GATEWAY_URL=os.environ.get("SGPSHOP_GATEWAY_URL", simulator_url),
        SGPSHOP_CONSOLE_URL=os.environ.get("SGPSHOP_CONSOLE_URL", simulator_url),
        SGPSHOP_PUBLIC_URL=os.environ.get("SGPSHOP_PUBLIC_URL", f"http://127.0.0.1:{port}"),
        SGPSHOP_PARENT_PID=str(os.getpid()),
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell left SIGINT ignored
        signal.signal(number, _interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        instance = environment.load(os.environ)["INSTANCE_PATH"]
        instance.mkdir(parents=True, exist_ok=True, mode=0o700)
        ledger = str(instance / "simulator.db")
        children.append(_start("simulator", "--port", simulator_port, "--db", ledger))
        was_ready = _is_prepared(instance)
        if was_ready:  # so the screens need not wait for us
            children.append(_start("web", "--port", port))
        ready = _prepare(simulator_url, children)
        if not was_ready:
            children.append(_start("web", "--port", port))
        _wait_for(f"{simulator_url}/_control/clock", children)
        _wait_for(f"http://127.0.0.1:{port}/healthz", children)
        children.append(_start("worker"))
        shop_url = f"http://127.0.0.1:{port}"
        _control(simulator_url, "notifications", {"url": f"{shop_url}{ready.notify_path}"})
        practice = {"api_url": shop_url, "api_key": ready.api_key}
        _control(simulator_url, "practice-shop", practice)
        click.echo(f"\nSGP Shop:          {shop_url}/")
        click.echo(f"demo login: {ready.name} / {ready.password}")
        click.echo(f"practice shop:     {simulator_url}/practice-shop/")
        click.echo(
            f"simulator console: {simulator_url}/mulpayconsole/shop/{_CONTRACT['shop_id']}/login/"
        )
        click.echo("Ctrl-C で終了します")
        return _watch(children)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(children)


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


class _Ready(NamedTuple):
    """What `_prepare` leaves: the login, where notifications come in, the practice shop's key."""

    name: str
    password: str
    notify_path: str
    api_key: str


def _prepare(simulator_url: str, children: list[subprocess.Popen[bytes]]) -> _Ready:
    """Bring database, contract and login up, and the sample on the first start."""
    # Imported here, while the simulator is starting already.
    from sgpshop import create_app
    from sgpshop.models import utc_now
    from sgpshop.services import installation, notifications
    from sgpshop.services import settings as shop_settings
    from sgpshop.services.access import people
    from sgpshop.services.demo import is_seeded, seed_sample
    from sgpshop.services.demo.simulator import Simulator

    app = create_app()
    with app.app_context():
        installation.migrate()
        installation.become_demo()
        if not shop_settings.load().has_contract:
            shop_settings.save("demo", **_CONTRACT)
        if not is_seeded():
            _wait_for(f"{simulator_url}/_control/clock", children)
            click.echo(
                "最初の起動です。見本の注文300件とSMBC-GPシミュレーターの取引を用意しています…"
            )
            seed_sample()
        if app.config["CLOCK_AHEAD"]:  # month ends are tried on both sides at once
            _wait_for(f"{simulator_url}/_control/clock", children)
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


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    # Its own session: Ctrl-C reaches the demo alone, which then ends its children in order.
    return subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, _APP, *arguments], start_new_session=True
    )


def _wait_for(url: str, children: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + _READY_WITHIN
    while time.monotonic() < until:
        if any(child.poll() is not None for child in children):
            break
        try:
            urllib.request.urlopen(url, timeout=1)  # noqa: S310 - a loopback address
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.05)
        else:
            return
    click.echo(f"起動できませんでした(ポートが使用中ではありませんか): {url}", err=True)
    raise SystemExit(1)


def _watch(children: list[subprocess.Popen[bytes]]) -> int:
    while all(child.poll() is None for child in children):
        time.sleep(0.2)
    click.echo("一部のプロセスが終了したため、すべて終了します", err=True)
    return 1


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for child in reversed(children):
        if child.poll() is None:
            child.terminate()
    until = time.monotonic() + _END_WITHIN
    for child in children:
        try:
            child.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
