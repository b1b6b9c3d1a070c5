"""What a command cannot work with is told in one line, with an exit code that says which (§2)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from flask import Flask

from sgpshop import create_app
from sgpshop.cli import commands, run
from sgpshop.environment import ROOT
from sgpshop.extensions import db
from sgpshop.models import Operation
from sgpshop.services import settings
from sgpshop.services.payments import gateway_access
from sgpshop.storage import kept_statements, schema
from sgpshop.storage.database import writing
from tests.conftest import KEYS, NOT_DAILY
from tests.factories import authorized_order, make_order
from tests.gateway_world import World
from tests.postgresql import PostgresqlServer
from tests.processes import free_port
from tests.services.acting import press
from tests.simulator.live import LiveGateway

GATEWAY = "http://127.0.0.1:9"
EVERY = (
    ["resolve"],
    ["verify-history"],
    ["compare-ledgers"],
    ["report-subscriptions", "--month", "2024-01"],
    ["create-user", "x", "--role", "owner"],
    ["first-owner-link"],
    ["create-api-key", "x", "--scope", "read"],
    ["revoke-api-key", "sgpk_00000000"],
    ["import-orders", "-"],
    ["import-slips", "-"],
    ["export-orders", "never.csv"],
    ["seed-demo"],
    ["backup", "never.backup"],
    ["web", "--port", "0"],
)


def make(folder: Path, **settings: Any) -> Flask:
    usual = {"INSTANCE_PATH": folder, "TEST_MODE": True, "GATEWAY_URL": GATEWAY}
    return create_app(usual | KEYS | NOT_DAILY | settings)


def command(app: Flask, *words: str) -> Result:
    result = app.test_cli_runner().invoke(commands, [*words], input="x")
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    return result


def only_line(result: Result) -> str:
    assert isinstance(result.exception, SystemExit)  # no traceback
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    return line


class TestDatabase:
    @pytest.mark.parametrize("words", EVERY, ids=lambda words: words[0])
    def test_one_that_is_away_is_3_and_not_no(self, tmp_path: Path, words: list[str]) -> None:
        url = f"postgresql+psycopg://shop:geheim@127.0.0.1:{free_port()}/shop"
        result = command(make(tmp_path, DATABASE_URL=url), *words)
        line = only_line(result)
        assert result.exit_code == 3
        assert line.startswith("設定エラー: SGPSHOP_DATABASE_URL: 127.0.0.1:")
        assert "ホスト名とポート" in line
        assert "geheim" not in line

    @pytest.mark.parametrize("words", EVERY, ids=lambda words: words[0])
    def test_one_of_an_earlier_version_is_3(self, tmp_path: Path, words: list[str]) -> None:
        result = command(make(tmp_path), *words)
        assert (result.exit_code, only_line(result)) == (
            3,
            "データベースの準備ができていません: python app.py migrate",
        )

    def test_one_of_a_later_version_is_3(self, app: Flask) -> None:
        with app.app_context(), writing() as session:
            session.execute(db.text("UPDATE alembic_version SET version_num = '9999'"))
        for words in (["verify-history"], ["migrate"]):
            result = command(app, *words)
            assert result.exit_code == 3
            assert "新しい版" in only_line(result)

    def test_a_wrong_host_is_named(self, tmp_path: Path) -> None:
        url = "postgresql+psycopg://shop@nowhere.invalid/shop"
        line = only_line(command(make(tmp_path, DATABASE_URL=url), "verify-history"))
        assert "SGPSHOP_DATABASE_URL: nowhere.invalid:5432/shop" in line

    def test_a_wrong_name_and_a_wrong_user_are_settings(
        self, tmp_path: Path, postgresql: PostgresqlServer
    ) -> None:
        url = postgresql.new_database()
        parts = urlsplit(url)
        for wrong in (
            url.replace(parts.path, "/nosuchdatabase"),
            url.replace(parts.netloc, f"nobody:x@{parts.netloc.rpartition('@')[2]}"),
        ):
            result = command(make(tmp_path, DATABASE_URL=wrong), "verify-history")
            line = only_line(result)
            assert result.exit_code == 2
            assert "確認してください" in line

    def test_a_file_that_cannot_be_opened_or_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "text.db").write_text("no database, but long enough to be read as one" * 9)
        for name, why in (("missing/x.db", "開けません"), ("text.db", "ではありません")):
            app = make(tmp_path / "own", DATABASE_URL=f"sqlite:///{tmp_path / name}")
            result = command(app, "verify-history")
            assert result.exit_code == 2
            assert f"{tmp_path / name}" in only_line(result)
            assert why in only_line(result)

    def test_a_worker_waits_with_one_line_until_it_is_there(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        postgresql: PostgresqlServer,
        empty_postgresql: str,
    ) -> None:
        """After a power cut the database may come up later than the worker."""
        app = make(tmp_path, DATABASE_URL=postgresql.new_database(empty_postgresql))
        waited: list[float] = []
        nobody = free_port()

        connect = kept_statements.Connection.connect

        def away(*args: Any, **where: Any) -> kept_statements.Connection:
            if len(waited) < 3:
                where["port"] = nobody
            return connect(*args, **where)

        monkeypatch.setattr(run.time, "sleep", waited.append)
        monkeypatch.setattr(kept_statements.Connection, "connect", away)
        result = command(app, "worker", "--until-idle")
        assert result.exit_code == 0
        assert len(waited) == 3
        [line] = [line for line in result.stderr.splitlines() if "接続できるまで待ちます" in line]
        assert line.startswith("設定エラー: SGPSHOP_DATABASE_URL: ")


class TestGateway:
    @pytest.fixture
    def shop(self, app: Flask) -> Iterator[World]:
        app.config["GATEWAY_TRIES"] = 1
        world = World()
        gateway_access.init_app(app, world.gateway)
        with app.app_context():
            yield world
            db.session.remove()

    def test_resolve_that_gets_no_answer_is_3(self, app: Flask, shop: World) -> None:
        order = authorized_order(shop)
        shop.fault("drop_after")
        press(order, Operation.CAPTURE)
        shop.fault("drop_before", "SearchTrade", times=50)
        result = app.test_cli_runner().invoke(commands, ["resolve"])
        assert (result.exit_code, result.stdout) == (3, "結果確認中: 1件\n")
        assert "照会できませんでした: 1件" in result.stderr
        shop.behave()
        assert app.test_cli_runner().invoke(commands, ["resolve"]).exit_code == 0

    @pytest.mark.parametrize(
        "words", [["resolve"], ["compare-ledgers"]], ids=lambda words: words[0]
    )
    def test_without_a_contract_nobody_can_be_asked(self, app: Flask, words: list[str]) -> None:
        with app.app_context():
            make_order()
        result = command(app, *words)
        assert result.exit_code == (3 if words == ["compare-ledgers"] else 0)

    @pytest.mark.parametrize("words", [["web"], ["worker"]], ids=lambda words: words[0])
    def test_an_address_that_is_not_set_or_not_smbc_gp_s(
        self, app: Flask, words: list[str]
    ) -> None:
        app.config["TEST_MODE"] = False
        for url, why in (("", "設定されていません"), ("https://10.0.0.1", "SGPSHOP_GATEWAY_HOSTS")):
            app.config["GATEWAY_URL"] = url
            result = command(app, *words)
            line = only_line(result)
            assert result.exit_code == 2
            assert line.startswith("設定エラー: SGPSHOP_GATEWAY_URL: ")
            assert why in line

    def test_seeding_a_simulator_that_is_away_or_does_not_know_us(
        self, app: Flask, tmp_path: Path
    ) -> None:
        with app.app_context():
            settings.save(
                "test",
                site_id="tsite00000001",
                shop_id="tshop00000001",
                shop_pass="another",
                site_pass="sitepass01",
            )
        app.config["GATEWAY_URL"] = GATEWAY
        result = command(app, "seed-demo")
        assert result.exit_code == 3
        assert "シミュレーターが起動しているか" in only_line(result)
        with LiveGateway(tmp_path / "simulator.db") as gateway:
            app.config["GATEWAY_URL"] = f"http://127.0.0.1:{gateway.port}"
            result = command(app, "seed-demo")
        assert result.exit_code == 2
        assert only_line(result).startswith(
            "設定エラー: 設定 → SGP:クレジットカードの設定: ショップ"
        )


@pytest.mark.parametrize("what", ["web", "simulator"])
def test_a_port_in_use_is_named(app: Flask, tmp_path: Path, what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        database = ["--db", str(tmp_path / "simulator.db")] if what == "simulator" else []
        ended = subprocess.run(
            [sys.executable, str(ROOT / "app.py"), what, "--port", port, *database],
            env=os.environ
            | {f"SGPSHOP_{name}": value for name, value in KEYS.items()}
            | {
                "SGPSHOP_INSTANCE_PATH": str(tmp_path),
                "SGPSHOP_TEST_MODE": "1",
                "SGPSHOP_GATEWAY_URL": GATEWAY,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"設定エラー: --port {port}: ")


def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    app = make(tmp_path)
    newest = schema.wanted()
    assert command(app, "migrate").stdout == f"データベースを作成しました(版 {newest})。\n"
    assert "最新です" in command(app, "migrate").stdout
