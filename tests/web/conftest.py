"""Screens are tested through their URLs, with the simulator as the gateway."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.services import settings
from sgpshop.services.payments import gateway_access
from tests.gateway_world import World


@pytest.fixture
def world(app: Flask) -> World:
    """A simulator of its own, which the app uses as its gateway; the contract is filled in."""
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        settings.save("test", site_id="tsite00000001", shop_id="tshop00000001")
    return world
