"""A practice gateway on a file of its own, at a time that stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.simulator import create_app

from .live import LiveGateway
from .shop import SettableClock, Shop, jst


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(jst(2026, 11, 23, 10))


@pytest.fixture
def app(tmp_path: Path, clock: SettableClock) -> Iterator[Flask]:
    app = create_app(tmp_path / "gateway.db", seed=7, clock=clock)
    yield app
    app.extensions["endpoint"].context.ledger.close()


@pytest.fixture
def shop(app: Flask) -> Shop:
    return Shop(app)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveGateway]:
    """The gateway behind real sockets."""
    with LiveGateway(tmp_path / "live.db") as gateway:
        yield gateway
