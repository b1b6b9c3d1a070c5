"""Use cases are tested on both databases (P35) against the real simulator.

`make test` asks PostgreSQL only what is marked `postgresql`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from sgpshop.extensions import db
from tests.conftest import is_for_postgresql
from tests.gateway_world import World
from tests.services.answering import says_ours


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What this run does not ask PostgreSQL is not made for it: it would be half of all tests."""
    test = metafunc.definition
    if "database_kind" not in metafunc.fixturenames or is_for_postgresql(test):
        return
    if all("database_kind" not in mark.args[0] for mark in test.iter_markers("parametrize")):
        alone = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
        test.add_marker(alone)


@pytest.fixture
def world() -> World:
    """A simulator of its own."""
    return World()


@pytest.fixture
def shop(app: Flask, world: World) -> Iterator[World]:
    """Inside the app, its gateway being the simulator: what a use case needs."""
    from sgpshop.services.payments import gateway_access

    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        yield world
        db.session.remove()


__all__ = ["says_ours"]
