"""Other programs are told of what happens to orders: receivers, and a row a message."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_OPEN = sa.text("state IN ('waiting', 'sending')")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("secret_sealed", sa.String(200), nullable=False),
        sa.Column("created_by", sa.String(60), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", _MOMENT, nullable=True),
        sa.Column("given_up_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "webhook_messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("order_no", sa.String(40), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "sending",
                "sent",
                "failed",
                name=op.f("ck_webhook_messages_state"),
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_tried_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_webhook_messages_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_messages")),
        sa.UniqueConstraint(
            "webhook_id", "event_id", name=op.f("uq_webhook_messages_webhook_id_event_id")
        ),
    )
    for name, columns in (
        ("ix_webhook_messages_due", ["webhook_id", "due_at"]),
        ("ix_webhook_messages_order", ["webhook_id", "order_no", "id"]),
    ):
        op.create_index(
            name, "webhook_messages", columns, sqlite_where=_OPEN, postgresql_where=_OPEN
        )
    op.create_index("ix_webhook_messages_created_at", "webhook_messages", ["created_at"])
    add_words("mails", "kind", ["webhook_off"], check="ck_mails_kind")
