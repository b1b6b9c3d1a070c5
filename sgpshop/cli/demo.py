"""`demo`: a working shop with one command, all three processes in the foreground (contract.md §1)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from types import FrameType

import click

from sgpshop import config as settings

_APP = str(settings.ROOT / "app.py")
#: The simulator's one contract (contract.md §6).
_CONTRACT: dict[str, str | bool] = {
    "site_id": "tsite00000001",
    "site_pass": "sitepass01",
    "shop_id": "tshop00000001",
    "shop_pass": "shoppass01",
    "subscription_enabled": True,
}
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
        SGPSHOP_PARENT_PID=str(os.getpid()),
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell left SIGINT ignored
        signal.signal(number, _interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        instance = settings.load(os.environ)["INSTANCE_PATH"]
        instance.mkdir(parents=True, exist_ok=True, mode=0o700)
        ledger = str(instance / "simulator.db")
        children.append(_start("simulator", "--port", simulator_port, "--db", ledger))
        name, password, notify = _prepare(simulator_url, children)
        children.append(_start("worker"))
        children.append(_start("web", "--port", port))
        _wait_for(f"{simulator_url}/_control/clock", children)
        _wait_for(f"http://127.0.0.1:{port}/healthz", children)
        _notify_at(simulator_url, f"http://127.0.0.1:{port}{notify}")
        click.echo(f"\nSGP Shop:          http://127.0.0.1:{port}/")
        click.echo(f"demo login: {name} / {password}")
        click.echo(
            f"simulator console: {simulator_url}/mulpayconsole/shop/{_CONTRACT['shop_id']}/login/"
        )
        click.echo("Ctrl-C で終了します")
        return _watch(children)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(children)


def _prepare(simulator_url: str, children: list[subprocess.Popen[bytes]]) -> tuple[str, str, str]:
    """Bring database, contract and login up, and the sample on the first start.

    The login, and the path where notifications come in.
    """
    # Imported here, while the simulator is starting already.
    from sgpshop import create_app
    from sgpshop.services import notifications, people, schema
    from sgpshop.services import settings as shop_settings
    from sgpshop.services.demo import is_seeded, seed_sample

    with create_app().app_context():
        schema.migrate()
        if not shop_settings.load().has_contract:
            shop_settings.save("demo", **_CONTRACT)
        if not is_seeded():
            _wait_for(f"{simulator_url}/_control/clock", children)
            click.echo(
                "最初の起動です。見本の注文300件とSMBC-GPシミュレーターの取引を用意しています…"
            )
            seed_sample()
        secret = notifications.secret_of(shop_settings.load())
        return *people.ensure_demo_person(), f"/notify/{secret}"


def _notify_at(simulator_url: str, address: str) -> None:
    """Let the simulator send its notifications to us, those of its console too (rule 33)."""
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        f"{simulator_url}/_control/notifications",
        json.dumps({"url": address}).encode(),
        {"Content-Type": "application/json"},
    )
    with suppress(OSError):  # another gateway than our simulator may stand there
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310


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
