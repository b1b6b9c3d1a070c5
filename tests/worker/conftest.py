"""The worker is tried on both databases (P35), against the real simulator."""

from tests.services.conftest import database_kind, shop, world

__all__ = ["database_kind", "shop", "world"]
