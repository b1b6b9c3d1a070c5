"""Work that broke off, set aside and told; more that a person has to acknowledge."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0012"
down_revision = "0011"
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
    add_words("alerts", "kind", ("earlier_is_live", "cancelled_unbilled"), check="ck_alerts_kind")
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
