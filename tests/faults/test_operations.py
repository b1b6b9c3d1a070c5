"""docs/operations.md, followed to the letter: the files of deploy/, started as processes here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import requests

from sgpshop.cli import commands
from sgpshop.environment import PREFIX, ROOT, variables
from tests.forms import token_of
from tests.processes import free_port

DEPLOY = ROOT / "deploy"
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
TOKEN, PASSPHRASE = "a token of twenty and more characters", "ein langer Satz"
#: What nginx.conf says to a web process about a browser.
FORWARDED = {
    "Host": "shop.example.jp",
    "X-Forwarded-Host": "shop.example.jp",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
}


class Machine:
    """The places of the document, in a folder; every process ends with the test."""

    def __init__(self, folder: Path, backups: Path, **settings: str) -> None:
        self.folder, self.backups = folder, backups
        self._running: list[subprocess.Popen[bytes]] = []
        for made in (folder, backups):
            made.mkdir(exist_ok=True)
        lines = re.findall(r"^(SGPSHOP_\w+)=(.*)$", (DEPLOY / "sgpshop.env").read_text(), re.M)
        mine = {name: self._here(value) for name, value in lines}
        self._environ = os.environ | mine | {PREFIX + name: v for name, v in settings.items()}

    def _here(self, text: str) -> str:
        places = {
            "/var/lib/sgpshop": str(self.folder),
            "/var/backups/sgpshop": str(self.backups),
            "/opt/sgpshop/.venv/bin/python": sys.executable,
            "/opt/sgpshop": str(ROOT),
        }
        for there, here in places.items():
            text = text.replace(there, here)
        return text

    def shop(self, *words: str, **more: str) -> str:
        """What a command of the document says; it has to succeed."""
        done = subprocess.run(
            [sys.executable, "app.py", *words],
            cwd=ROOT,
            env=self._environ | more,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def systemctl_start(self, unit: str) -> subprocess.Popen[bytes]:
        """The process of `name@instance`, by the ExecStart of its file."""
        name, _, instance = unit.partition("@")
        text = (DEPLOY / f"{name}@.service").read_text().replace("%i", instance)
        [line] = re.findall(r"^ExecStart=(.*)$", text, re.M)
        return self.start(*self._here(line).split())

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen(words, cwd=ROOT, env=self._environ, stdout=log, stderr=log)
        self._running.append(started)
        return started

    def stop(self) -> list[int]:
        """`systemctl stop 'sgpshop-*'`: the exit codes."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(40) for process in self._running]

    def kill(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    made: list[Machine] = []
    yield made
    for machine in made:
        machine.kill()


def wait_until_ready(port: int) -> None:
    """The probe of the document, until it answers 200."""
    until = time.monotonic() + 120
    while True:
        try:
            if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < until, "it does not become ready"
        time.sleep(0.2)


def test_from_a_bare_machine_to_a_shop_and_to_another_one(
    tmp_path: Path, machines: list[Machine]
) -> None:
    gateway, ports = free_port(), (free_port(), free_port())
    settings = {
        "TEST_MODE": "1",  # the trial of the document: no contract, no certificate
        "GATEWAY_URL": f"http://127.0.0.1:{gateway}",
        "METRICS_TOKEN": TOKEN,
        "BACKUP_PASSPHRASE": PASSPHRASE,
    }
    first = Machine(tmp_path / "lib", tmp_path / "backups", **settings)
    machines.append(first)
    assert "作成しました" in first.shop("migrate")
    link = first.shop("first-owner-link").strip()
    assert link.startswith("https://shop.example.jp/setup?link=")
    simulator = ("simulator", "--port", str(gateway), "--db", str(first.folder / "simulator.db"))
    first.start(sys.executable, "app.py", *simulator)
    for port in ports:
        first.systemctl_start(f"sgpshop-web@{port}")
    first.systemctl_start("sgpshop-worker@1")
    for port in ports:
        wait_until_ready(port)

    page = requests.get(f"http://127.0.0.1:{ports[0]}/login", headers=FORWARDED, timeout=30)
    assert page.status_code == 200
    set_up(ports[0], link)
    log = (first.folder / "log").read_text()
    assert '"address": "203.0.113.7"' in log  # the browser's, not the proxy's
    assert "forwarded_headers_missing" not in log  # a probe is no proxy that was set up badly
    unknown = FORWARDED | {"X-Forwarded-Host": "other.example.jp"}
    assert requests.get(page.url, headers=unknown, timeout=30).status_code == 400
    figures = metrics(ports[1])
    assert figures["sgpshop_ready"] == 1
    assert figures['sgpshop_requests_total{method="GET",status="200"}'] > 0  # of the other port

    file = str(first.backups / "before.backup")
    first.shop("backup", file)
    assert "問題 0件" in first.shop("verify-history")
    assert set(first.stop()) == {0}

    second = Machine(tmp_path / "other", first.backups, **settings)
    machines.append(second)
    second.shop("restore", file)
    second.systemctl_start(f"sgpshop-web@{ports[0]}")
    second.systemctl_start("sgpshop-worker@1")
    wait_until_ready(ports[0])
    assert set(second.stop()) == {0}


def set_up(port: int, link: str) -> None:
    """The first owner, in a browser behind nginx: by the link alone."""
    here = f"http://127.0.0.1:{port}"
    browser = requests.Session()
    browser.headers.update(FORWARDED)
    assert browser.get(f"{here}/setup", timeout=30).status_code == 403
    opened = browser.get(
        link.replace("https://shop.example.jp", here), timeout=30, allow_redirects=False
    )
    assert opened.headers["Location"] == "/setup"
    typed = {"name": "店長", "password": PASSPHRASE, "password_again": PASSPHRASE}
    token = token_of(browser.get(f"{here}/setup", timeout=30))
    done = browser.post(
        f"{here}/setup", data=typed | {"csrf_token": token}, timeout=30, allow_redirects=False
    )
    assert (done.status_code, done.headers["Location"]) == (303, "/")
    assert browser.get(f"{here}/settings/people", timeout=30).status_code == 200


def metrics(port: int) -> dict[str, float]:
    answer = requests.get(
        f"http://127.0.0.1:{port}/metrics",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=30,
    )
    assert answer.status_code == 200
    lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_every_variable_that_is_named_there_is_one() -> None:
    texts = [DOCUMENT, *(file.read_text() for file in DEPLOY.iterdir())]
    named = {name for text in texts for name in re.findall(r"SGPSHOP_([A-Z_]+)", text)}
    assert named <= set(variables()) | {"NEW_PASSWORD", "OLD_ENCRYPTION_KEY"}


def test_what_is_to_be_watched_is_told() -> None:
    source = "".join(
        (ROOT / "sgpshop" / file).read_text()
        for file in ("metrics.py", "services/installation/health/figures.py")
    )
    table = DOCUMENT[DOCUMENT.index("## 8. What to watch") :]
    names = re.findall(r"`([a-z]+(?:_[a-z]+)*)(?:\{|`,|` \|)", table)
    watched = {name.removesuffix("_total") for name in names} - {"daily_digest"}
    assert len(watched) > 10
    assert {name for name in watched if f'{name}"' not in source} == set()


def test_every_file_and_command_that_is_named_there_is_one() -> None:
    files = set(re.findall(r"deploy/([\w.@*-]*\w)", DOCUMENT))
    assert len(files) > 2
    assert {file for file in files if not list(DEPLOY.glob(file))} == set()
    compose = (DEPLOY / "compose.yaml").read_text()
    said = re.findall(r"(?:^ *|`|&& |' |\) )shop ([a-z]+(?:-[a-z]+)*)", DOCUMENT, re.M)
    said += re.findall(r"^ +command: ([a-z]+)", compose, re.M)
    said += re.findall(r"--rm .*? web ([a-z-]+)", compose)
    assert len(said) > 10
    assert set(said) <= set(commands.list_commands(click.Context(commands)))
