"""`create-user`: who may sign in is decided on the command line (interfaces.md §2, S1)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.environment import ROOT
from sgpshop.extensions import db
from sgpshop.models import Person, Role
from tests.signing_in import PASSWORD, make_person


def run(app: Flask, *words: str, typed: str | None = None) -> Result:
    return app.test_cli_runner().invoke(commands, ["create-user", *words], input=typed)


def people(app: Flask) -> list[tuple[str, Role]]:
    with app.app_context():
        return [(person.name, person.role) for person in db.session.query(Person)]


def test_the_password_comes_from_the_environment(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPSHOP_NEW_PASSWORD", PASSWORD)
    result = run(app, "田中", "--role", "owner")
    assert result.exit_code == 0
    assert people(app) == [("田中", Role.OWNER)]
    assert PASSWORD not in result.output


def test_or_from_standard_input(app: Flask) -> None:
    assert run(app, "田中", "--role", "viewer", typed=PASSWORD + "\n").exit_code == 0
    assert people(app) == [("田中", Role.VIEWER)]


@pytest.mark.parametrize("words", [("田中",), ("--role", "owner"), ("田中", "--role", "king")])
def test_wrong_use_is_two(app: Flask, words: tuple[str, ...]) -> None:
    assert run(app, *words, typed=PASSWORD).exit_code == 2
    assert people(app) == []


@pytest.mark.parametrize("typed", ["short\n", "password1234\n", "\n", ""])
def test_a_weak_password_is_one(app: Flask, typed: str) -> None:  # S1
    result = run(app, "田中", "--role", "owner", typed=typed)
    assert result.exit_code == 1
    assert "パスワード" in result.stderr
    assert people(app) == []


def test_a_name_that_is_taken_is_one(app: Flask) -> None:
    with app.app_context():
        make_person("田中", Role.VIEWER)
    result = run(app, "田中", "--role", "owner", typed=PASSWORD)
    assert result.exit_code == 1
    assert "すでに登録されています" in result.stderr
    assert people(app) == [("田中", Role.VIEWER)]


def test_the_demos_name_is_no_persons_of_a_shop(app: Flask) -> None:
    app.config["TEST_MODE"] = False  # nobody of this name may sign in there
    result = run(app, "demo", "--role", "owner", typed=PASSWORD)
    assert result.exit_code == 1
    assert "練習モード専用の名前" in result.stderr
    assert people(app) == []


def test_a_refusal_is_one_sentence_and_no_trace(tmp_path: Path) -> None:
    command = [sys.executable, "app.py", "create-user", "田中", "--role", "owner"]
    environ = os.environ | {"SGPSHOP_INSTANCE_PATH": str(tmp_path)}
    subprocess.run([*command[:2], "migrate"], cwd=ROOT, env=environ, check=True)
    done = subprocess.run(
        command, cwd=ROOT, env=environ, input="short\n", capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "パスワードは12文字以上128文字以内にしてください。\n"
    assert stat.S_IMODE((tmp_path / "sgpshop.db").stat().st_mode) == 0o600  # S12


def test_a_password_is_no_argument() -> None:  # S10: arguments are visible to everybody
    command = commands.get_command(click.Context(commands), "create-user")
    assert command is not None
    names = {name for option in command.params for name in option.opts}
    assert names == {"name", "--role"}
