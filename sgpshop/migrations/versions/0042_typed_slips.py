"""Slip numbers that were typed into 発送 are a run like a file's, and are known as such."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "slip_runs",
        sa.Column("is_typed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
