"""import-orders: files of any size, problems by line, exit codes (interfaces.md §2)."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.extensions import db
from sgpshop.models import Order
from sgpshop.services import settings
from tests.services.order_csv import csv_file, number, row

LAYOUTS = Path(__file__).parent.parent / "data" / "layouts"
MISTAKES = Path(__file__).parent.parent / "data" / "orders-with-bad-rows.csv"


def run(app: Flask, *arguments: str, given: bytes | None = None) -> Result:
    return app.test_cli_runner().invoke(commands, ["import-orders", *arguments], input=given)


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(Order)) or 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_bytes(csv_file(row(), row(注文番号=number(2))))
    return path


def test_a_good_file_ends_with_0(app: Flask, path: Path) -> None:
    result = run(app, str(path))
    assert result.exit_code == 0
    assert "2行 2件: 新規 2, 更新 0, 変更なし 0, エラー 0" in result.stdout
    assert "2 / 2" in result.stderr
    assert count(app) == 2


def test_again_changes_nothing(app: Flask, path: Path) -> None:
    run(app, str(path))
    assert "変更なし 2" in run(app, str(path)).stdout
    assert count(app) == 2


def test_orders_that_are_left_out_end_with_1(app: Flask) -> None:
    result = run(app, str(MISTAKES))
    assert result.exit_code == 1
    assert "新規 6" in result.stdout
    assert "6行目 P261123101500000005: エラー: 「数量」は1〜9,999の整数" in result.stdout
    assert count(app) == 6


def test_from_standard_input(app: Flask, path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    assert run(app, "-", given=path.read_bytes()).exit_code == 0
    assert (
        app.test_cli_runner().invoke(commands, ["import-orders", "-"], input=Pipe(b"")).exit_code
        == 2
    )
    assert count(app) == 2


def test_a_file_that_cannot_be_read_ends_with_2_and_writes_nothing(app: Flask, path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'"')
    result = run(app, str(path))
    assert result.exit_code == 2
    assert "4行目" in result.stderr
    assert count(app) == 0


def test_no_such_file_ends_with_2(app: Flask, tmp_path: Path) -> None:
    assert run(app, str(tmp_path / "none.csv")).exit_code == 2


def test_the_limits_of_the_screen_do_not_hold_here(app: Flask, path: Path) -> None:
    app.config.update(UPLOAD_MAX_LINES=10, UPLOAD_MAX_BYTES=1000)
    path.write_bytes(csv_file(*(row(注文番号=number(n)) for n in range(30))))
    assert run(app, str(path)).exit_code == 0
    assert count(app) == 30


def test_files_that_belong_together(app: Flask) -> None:
    files = [str(LAYOUTS / name) for name in ("a14-yahoo-orders.csv", "a15-yahoo-items.csv")]
    with app.app_context():
        settings.save("田中", sgp_methods="クレジットカード決済")
    result = run(app, *files)
    assert result.exit_code == 0
    assert "「Yahoo!ショッピング 注文データ」として読みました" in result.stderr
    assert "取り込まない列: LineId" in result.stderr
    assert count(app) == 3
    assert run(app, files[0]).exit_code == 2


def test_a_method_that_nobody_knows_ends_with_1_and_says_what_to_do(app: Flask) -> None:
    result = run(app, str(LAYOUTS / "a04-next-engine-hanyo-41.csv"))
    assert result.exit_code == 1
    assert "設定の「注文ファイルの決済方法」" in result.stdout
    assert count(app) == 1
