"""Payments at SMBC-GP under `<order number>-n` that no act of ours entered: whose, a person says (R141)."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unknown_numbers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("gateway_order_id", sa.String(length=27), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("gateway_state", sa.String(length=20), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_ours", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_unknown_numbers_order_id_orders"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unknown_numbers")),
        sa.UniqueConstraint(
            "order_id",
            "gateway_order_id",
            name=op.f("uq_unknown_numbers_order_id_gateway_order_id"),
        ),
    )
    op.create_index(
        op.f("ix_unknown_numbers_gateway_order_id"), "unknown_numbers", ["gateway_order_id"]
    )
    add_words("alerts", "kind", ["unknown_number"], check="ck_alerts_kind")
