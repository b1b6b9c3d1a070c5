"""Sums of moved money by day, which a worker fills: until then all is added up when it is asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "money_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_refund", sa.Boolean(), nullable=False),
        sa.Column("is_subscription", sa.Boolean(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("yen", sa.BigInteger(), nullable=False),
        sa.Column("at_8", sa.BigInteger(), nullable=False),
        sa.Column("up_to", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "is_refund", "is_subscription", name=op.f("pk_money_days")),
    )
    op.create_index("ix_money_days_up_to", "money_days", ["up_to"])
