"""Shops to measure in: big ones are kept in instance/bench from one run to the next."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from sgpshop.environment import ROOT
from sgpshop.extensions import db
from sgpshop.models import Order, utc_now
from sgpshop.services import installation, settings
from sgpshop.services.demo.rows import seed_rows
from tests.conftest import make_app
from tests.postgresql import PostgresqlServer

ORDERS = int(os.environ.get("BENCH_ORDERS", "1000000"))
_KEPT = ROOT / "instance" / "bench"
#: The lists begin with the last days, so a shop that stood still for longer is another one.
_FRESH = timedelta(days=3)


@contextmanager
def kept(orders: int) -> Iterator[Flask]:
    """A shop with so many made-up orders on SQLite; a run that was broken off goes on with it."""
    folder = _KEPT / str(orders)
    if folder.exists() and not _is_fresh(folder):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _filled(make_app(folder), orders) as app:
        yield app


@contextmanager
def for_once(orders: int) -> Iterator[Flask]:
    """The same, which may be written to and is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, _filled(make_app(Path(folder)), orders) as app:
        yield app


@contextmanager
def on_postgresql(orders: int) -> Iterator[Flask]:
    """The same on PostgreSQL, its figures about its tables as autovacuum keeps them."""
    with tempfile.TemporaryDirectory() as folder, PostgresqlServer() as server:
        app = make_app(Path(folder), DATABASE_URL=server.new_database())
        with _filled(app, orders):
            with app.app_context():
                know_tables()
            yield app


def know_tables() -> None:
    """On PostgreSQL: what it knows about its tables, as autovacuum tells it within a minute."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text("VACUUM ANALYZE"))


@contextmanager
def _filled(app: Flask, orders: int) -> Iterator[Flask]:
    with app.app_context():
        installation.migrate()
        settings.save("bench", site_id="tsite00000001", shop_id="tshop00000001")
        seed_rows(orders)
        db.session.remove()
    try:
        yield app
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def _is_fresh(folder: Path) -> bool:
    app = make_app(folder)
    with app.app_context():
        installation.migrate()
        newest = db.session.scalar(sa.select(sa.func.max(Order.ordered_at)))
        db.session.remove()
        db.engine.dispose()
    return newest is None or utc_now() - newest < _FRESH
