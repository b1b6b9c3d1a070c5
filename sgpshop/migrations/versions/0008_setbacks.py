"""Work that broke off: tried again with growing pauses, then set aside and told."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_QUEUES = (
    "attempt",
    "look_up",
    "delivery",
    "delivery_run",
    "slip",
    "slip_run",
    "billing",
    "billing_file",
    "billing_results",
    "housekeeping",
)


def upgrade() -> None:
    name = op.f("ck_setbacks_queue")
    queue = sa.Enum(*_QUEUES, name=name, native_enum=False, create_constraint=True, length=32)
    op.create_table(
        "setbacks",
        sa.Column("queue", queue, nullable=False),
        sa.Column("row_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_set_aside", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("queue", "row_id", name=op.f("pk_setbacks")),
    )
