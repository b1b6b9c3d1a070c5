"""People are told by mail what they chose: a row a mail."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_OPEN = sa.text("state IN ('waiting', 'sending')")


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(
        *words,
        name=op.f(f"ck_mails_{name}"),
        native_enum=False,
        create_constraint=True,
        length=32,
    )


def upgrade() -> None:
    op.add_column("people", sa.Column("email", sa.String(254), nullable=False, server_default=""))
    op.add_column("people", sa.Column("mail_kinds", sa.JSON(), nullable=True))
    op.add_column("people", sa.Column("mails_since", _MOMENT, nullable=True))
    op.create_table(
        "mails",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            _words(
                "kind",
                "morning",
                "run_failed",
                "hold_ends",
                "uncertain",
                "difference",
                "worker_stood",
                "test",
            ),
            nullable=False,
        ),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column(
            "state",
            _words("state", "waiting", "sending", "sent", "failed", "dropped"),
            nullable=False,
        ),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_mails_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint(
            "person_id", "kind", "event", name=op.f("uq_mails_person_id_kind_event")
        ),
    )
    op.create_index(
        "ix_mails_due_at", "mails", ["due_at"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("ix_mails_kind_event", "mails", ["kind", "event"])
    op.create_index("ix_bulk_runs_started_at", "bulk_runs", ["started_at"])
