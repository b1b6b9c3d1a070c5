"""`make run` speaks to people: where, as whom, what to try; everything else goes to a file."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from sgpshop.cli import commands, demo
from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.environment import ROOT
from sgpshop.models import utc_now
from sgpshop.services import installation
from sgpshop.services.demo.sample import sample_orders
from tests.conftest import KEYS
from tests.factories import make_order
from tests.processes import free_port


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.mark.parametrize("variable", ["PORT", "SGPSHOP_SIMULATOR_PORT"])
def test_a_port_that_is_taken_is_one_line_that_names_it(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv(variable, str(other.getsockname()[1]))
        result = CliRunner().invoke(commands, ["demo"])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"設定エラー: {variable}={os.environ[variable]}: ")
    assert "別のポート" in line


@pytest.mark.parametrize("port", ["eight", "0", "65536", "-1"])
def test_what_is_no_port_is_refused_in_one_line(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    result = CliRunner().invoke(commands, ["demo"])
    assert result.exit_code == 2
    assert result.stderr == (f"設定エラー: PORT={port}: 1から65535までの番号を指定してください。\n")


def test_only_errors_reach_the_terminal_each_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = demo.DemoLog(tmp_path / "demo.log")
    with (tmp_path / "demo.log").open("a", encoding="utf-8") as process:
        for entry in (
            {"time": "2026-11-28T18:55:04.372+09:00", "level": "info", "event": "request"},
            {
                "time": "2026-11-28T18:55:05.000+09:00",
                "level": "error",
                "event": "task_failed",
                "trace": "Traceback\n  somewhere\nValueError: boom",
            },
        ):
            process.write(json.dumps(entry) + "\n")
        process.write('{"time": "2026-11-28T18:55:06", "level": "error", "event": "database_')
        process.flush()
        log.show_errors()
        assert capsys.readouterr().err == (
            f"18:55:05 エラー task_failed(ValueError: boom)。詳しくは {tmp_path}/demo.log をご覧ください。\n"
        )
        process.write('unavailable", "reason": "away"}\n')
        process.flush()
    log.show_errors()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("18:55:06 エラー database_unavailable(away)。")


@pytest.fixture
def started(app: Flask, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the demo on a shop that has the sample already."""
    with app.app_context():
        installation.become_demo()
        make_order(order_no=sample_orders(utc_now())[0].order_no)
    with ExitStack() as running:

        def start(**settings: str) -> subprocess.Popen[str]:
            ports = {"PORT": str(free_port()), "SGPSHOP_SIMULATOR_PORT": str(free_port())}
            keys = {f"SGPSHOP_{name}": value for name, value in KEYS.items()}
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "app.py")],
                env=os.environ | keys | ports | {"SGPSHOP_INSTANCE_PATH": str(tmp_path)} | settings,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            running.enter_context(process)
            running.callback(process.terminate)
            return process

        yield start


def test_the_demo_says_where_to_go_and_keeps_its_records_in_a_file(
    started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    log = tmp_path / "demo.log"
    log.write_text("of the start before\n")
    running = started()
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    said = "".join(lines)
    assert "SGP Shop:          http://127.0.0.1:" in said
    assert "\ndemo login: demo / " in said
    assert "はじめに試すこと" in said
    assert str(log) in lines[-1]
    assert '"event"' not in said
    assert '"event": "settings_changed"' in log.read_text()
    assert "of the start before" not in log.read_text()
    running.send_signal(signal.SIGINT)
    assert running.stdout.read() == ""
    assert running.wait() == 0


def test_what_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "demo.log"
    running = demo.Processes(demo.DemoLog(path))
    running.start("web", "--port", "eight")
    with pytest.raises(demo.Ended) as ended:
        running.watch()
    assert str(ended.value).startswith("webが終了したため、すべて終了します(理由:")
    assert "eight" in str(ended.value)
    assert str(ended.value).endswith(f"詳しくは {path} をご覧ください。")


def test_starting_over_forgets_the_demo_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SGPSHOP_DATABASE_URL", raising=False)
    with pytest.raises(EnvironmentUnusable, match="何も削除していません"):
        demo._forget(tmp_path)
    for name in ("demo_login", "simulator.db", "sgpshop.db-wal", "secret_key", "notes.txt"):
        (tmp_path / name).touch()
    with closing(sqlite3.connect(tmp_path / "sgpshop.db")) as database, database:
        database.execute("CREATE TABLE installation (name TEXT, value TEXT)")
    with pytest.raises(EnvironmentUnusable, match="見本"):  # a shop's
        demo._forget(tmp_path)
    with closing(sqlite3.connect(tmp_path / "sgpshop.db")) as database, database:
        database.execute("INSERT INTO installation VALUES ('demo', '1')")
    demo._forget(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "secret_key"]
