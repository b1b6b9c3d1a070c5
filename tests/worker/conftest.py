"""The worker is tried on both databases (P35), against the real simulator."""

from __future__ import annotations

import pytest

from tests.services.conftest import shop, world

__all__ = ["shop", "world"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
