"""export-journal: a month for an accounting program, whole or not at all (interfaces.md §2)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(commands, ["export-journal", *map(str, arguments)])


@pytest.mark.parametrize(("layout", "lines"), [("freee", 1), ("mf", 1), ("yayoi", 0)])
def test_a_month(app: Flask, tmp_path: Path, layout: str, lines: int) -> None:
    path = tmp_path / "out.csv"
    result = run(app, "--layout", layout, "--month", "2026-11", path)
    assert result.exit_code == 0, result.output
    assert "2026-11: 売上 0件 0円, 返金 0件 0円" in result.stdout
    assert len(path.read_bytes().splitlines()) == lines
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # S12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layout", "freee", "--month", "2026-13"], "--month は 2026-11 のように"),
        (["--layout", "sage", "--month", "2026-11"], "sage"),
        (["--month", "2026-11"], "--layout"),
    ],
)
def test_wrong_use(app: Flask, tmp_path: Path, arguments: list[str], words: str) -> None:
    result = run(app, *arguments, tmp_path / "out.csv")
    assert result.exit_code == 2
    assert words in result.output
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_that_is_not_there(app: Flask, tmp_path: Path) -> None:
    result = run(app, "--layout", "mf", "--month", "2026-11", tmp_path / "no" / "out.csv")
    assert result.exit_code == 2
    assert "フォルダーがありません" in result.output
