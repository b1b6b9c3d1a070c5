"""Registrations that are put off and tried again; results that are missing; refunds made elsewhere."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_words("alerts", "kind", ("result_missing",), check="ck_alerts_kind")
    for table, column in (
        ("billings", sa.Column("postponed", sa.Integer(), nullable=False, server_default="0")),
        ("billings", sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True)),
        ("orders", sa.Column("refunded_on", sa.Date(), nullable=True)),
        (
            "orders",
            sa.Column("refund_reason", sa.String(length=200), nullable=False, server_default=""),
        ),
    ):
        op.add_column(table, column)
    op.create_index("ix_billings_retry_at", "billings", ["retry_at"])
    # 取消不要 of a returned 決済待ち order now means that it is billed; those of before are asked anew.
    op.execute(
        "UPDATE orders SET cancel_waived_at = NULL, cancel_waived_reason = ''"
        " WHERE payment_status = 'awaiting_billing' AND cancel_waived_at IS NOT NULL"
    )
