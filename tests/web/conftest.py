"""Screens are tested through their URLs, with the simulator as the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from sgpshop.services import settings
from sgpshop.services.payments import gateway_access
from tests.gateway_world import World


@pytest.fixture
def first_database(
    request: pytest.FixtureRequest, empty_database: Path, database_with_contract: Path
) -> Path:
    """With the contract where there is a gateway: to fill it in for each test takes longer."""
    return database_with_contract if "world" in request.fixturenames else empty_database


@pytest.fixture
def world(app: Flask) -> World:
    """A simulator of its own, which the app uses as its gateway; the contract is filled in."""
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        if not settings.load().shop_id:  # PostgreSQL begins without
            settings.save("test", site_id="tsite00000001", shop_id="tshop00000001")
    return world
