"""Slip files: what was uploaded, row by row, and what became of each row."""

import sqlalchemy as sa  # noqa: F401
from alembic import op  # noqa: F401

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _slips()


def _slips() -> None:
    """Runs of slip files (R81, R82a)."""
