"""Orders that arrive by themselves: API keys and requests, authorizations, monthly billing."""

import sqlalchemy as sa  # noqa: F401
from alembic import op  # noqa: F401

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _api()
    _arrivals()
    _billing()


def _api() -> None:
    """API keys and the requests that were answered (S13, Idempotency-Key)."""


def _arrivals() -> None:
    """Authorizations of our own in the journal, and cards kept for later charges."""


def _billing() -> None:
    """The monthly registration of subscription sales (P29)."""
