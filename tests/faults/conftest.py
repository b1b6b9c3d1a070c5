"""Crashes and races are tried on both databases (P35)."""

from tests.services.conftest import database_kind, shop, world

__all__ = ["database_kind", "shop", "world"]
