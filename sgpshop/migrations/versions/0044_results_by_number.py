"""Results of a month are over number by number: those that leave one out say nothing about it."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    empty = sa.Column("not_charged", sa.JSON(), nullable=False, server_default="[]")
    closed = sa.Column("is_closed", sa.Boolean(), nullable=False, server_default=sa.false())
    with op.batch_alter_table("monthly_results") as table:
        table.add_column(empty)
        table.add_column(closed)
    # Until now every number of a month was over once anything of it was read.
    op.execute("UPDATE monthly_results SET is_closed = true WHERE read_at IS NOT NULL")
    with op.batch_alter_table("monthly_results") as table:
        table.alter_column("not_charged", existing_type=sa.JSON(), server_default=None)
        table.alter_column("is_closed", existing_type=sa.Boolean(), server_default=None)
