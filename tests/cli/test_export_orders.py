"""export-orders: CSV or Excel by the file's ending, whole or not at all, exit codes (interfaces.md §2)."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order
from sgpshop.services.order_files.exporting import forms
from tests.factories import make_order


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(commands, ["export-orders", *map(str, arguments)])


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.iterdir() if not path.name.startswith("sgpshop.db")}


@pytest.fixture
def orders(app: Flask) -> list[Order]:
    with app.app_context():
        return [
            make_order(ordered_at=datetime(2026, 11, 1, 14, 59, tzinfo=UTC)),  # 23:59 in Japan
            make_order(
                ordered_at=datetime(2026, 11, 1, 15, 0, tzinfo=UTC), status=PaymentStatus.CAPTURED
            ),
        ]


def test_all_orders_into_a_file_that_only_we_can_read(
    app: Flask, orders: list[Order], tmp_path: Path
) -> None:
    path = tmp_path / "out.csv"
    result = run(app, path)
    assert result.exit_code == 0, result.output
    assert "2件の注文を" in result.stdout
    text = path.read_bytes().decode("utf-8-sig")
    assert all(order.order_no in text for order in orders)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # S12
    imported = app.test_cli_runner().invoke(commands, ["import-orders", str(path)])
    assert "エラー 0" in imported.stdout


def test_only_the_wanted_days_and_statuses(app: Flask, orders: list[Order], tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    for options, wanted in (
        (["--to", "2026-11-01"], orders[:1]),  # P28: days are Japanese ones
        (["--from", "2026-11-02"], orders[1:]),
        (["--status", "captured"], orders[1:]),
        (["--status", "captured", "--status", "authorized"], orders),
        (["--from", "2030-01-01"], []),
    ):
        assert f"{len(wanted)}件の注文を" in run(app, path, *options).stdout
        text = path.read_text("utf-8-sig")
        assert [order.order_no in text for order in orders] == [order in wanted for order in orders]


def test_excel_by_the_ending(app: Flask, orders: list[Order], tmp_path: Path) -> None:
    path = tmp_path / "out.XLSX"
    assert run(app, path).exit_code == 0
    assert path.read_bytes().startswith(b"PK")


def test_cp932_says_what_was_lost_and_where(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        order = make_order(buyer="𠮷田")
    path = tmp_path / "out.csv"
    result = run(app, path, "--encoding", "cp932")
    assert result.exit_code == 0
    assert "〓田" in path.read_text("cp932")
    assert "Shift_JISにない文字 2個(1件の注文)を「〓」に置き換えました" in result.stdout
    assert f"{order.order_no} 注文者: 𠮷" in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["out.xlsx", "--encoding", "cp932"],
        ["out.csv", "--encoding", "utf-16"],
        ["out.csv", "--status", "paid"],
        ["out.csv", "--from", "tomorrow"],
        ["out.csv", "--from", "2026-11-02", "--to", "2026-11-01"],
        ["no-such-folder/out.csv"],
        [],
    ],
)
def test_wrong_use_is_2_and_writes_nothing(
    app: Flask, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = _files(tmp_path)
    assert run(app, *options).exit_code == 2
    assert _files(tmp_path) == before


def test_a_file_that_breaks_off_leaves_the_old_one(
    app: Flask, orders: list[Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("the old one")

    def full(*_arguments: object) -> object:
        yield b"half of it"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(forms, "as_csv", full)
    result = run(app, path)
    assert result.exit_code == 2
    assert "書き込めません" in result.stderr
    assert path.read_text() == "the old one"
    assert not list(tmp_path.glob(".out.csv*"))


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "1999-12-31", "2026-02-30", "x"])
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_day_that_nobody_can_mean_is_wrong_use(
    app: Flask, tmp_path: Path, option: str, day: str
) -> None:
    result = run(app, tmp_path / "out.csv", option, day)
    assert result.exit_code == 2, result.output
    assert "日付は" in result.output
    assert not (tmp_path / "out.csv").exists()
