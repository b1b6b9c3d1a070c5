"""The yen of a monthly file are the sum of its lines, which may be more than one number of yen (PostgreSQL)."""

import sqlalchemy as sa
from alembic import op

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite's numbers are as long as they have to be.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("billing_files", "yen", type_=sa.BigInteger())
