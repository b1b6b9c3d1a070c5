"""move-database: from SQLite to PostgreSQL with every row, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.extensions import db
from sgpshop.models import Operation, Order
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import gateway_access
from tests import own_worker
from tests.conftest import make_app
from tests.factories import authorized_order, make_order
from tests.gateway_world import World
from tests.postgresql import PostgresqlServer
from tests.services.acting import press
from tests.storage.test_upgrades import counts, fill


@pytest.fixture
def target(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Flask]:
    app = make_app(tmp_path, DATABASE_URL=postgresql.new_database())
    yield app
    own_worker.of(app).close()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def move(app: Flask, file: Path) -> Result:
    return app.test_cli_runner().invoke(commands, ["move-database", str(file)])


def test_every_row_comes_along_and_work_goes_on(app: Flask, target: Flask, tmp_path: Path) -> None:
    world = World()
    gateway_access.init_app(app, world.gateway)
    gateway_access.init_app(target, world.gateway)
    with app.app_context():
        captured = authorized_order(world, told=True)
        press(captured, Operation.CAPTURE)
        number = authorized_order(world, told=True).order_no
        fill()
        before = counts()
        orders = before["orders"]
        db.session.remove()
    moved = move(target, tmp_path / "sgpshop.db")
    assert moved.exit_code == 0, moved.output
    with target.app_context():
        made_anew = {"order_texts": 0, "order_texts_due": orders}
        assert counts() == before | made_anew
        assert [problem.what for problem in Verification().problems()] == []
        order = db.session.scalars(sa.select(Order).filter_by(order_no=number)).one()
        press(order, Operation.CAPTURE)
        make_order(told=True)  # numbers go on behind the last
        db.session.remove()
    assert world.sales(number) == 1
    again = move(target, tmp_path / "sgpshop.db")
    assert again.exit_code == 1
    assert "すでにデータがあります" in again.stderr


def test_another_version_and_another_file_are_refused(
    app: Flask, target: Flask, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no database" * 99)
    refused = move(target, tmp_path / "text")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "データベースではありません" in refused.stderr
    with app.app_context():
        db.session.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
        db.session.commit()
        assert move(app, tmp_path / "sgpshop.db").exit_code == 1  # into itself
    refused = move(target, tmp_path / "sgpshop.db")
    assert refused.exit_code == 3
    assert "先に" in refused.stderr
