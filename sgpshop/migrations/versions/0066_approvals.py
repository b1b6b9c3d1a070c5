"""Big acts that wait for a second person's 承認, and the mail that tells of them (R157)."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import add_words

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_WAITING = sa.text("state = 'waiting'")


def _word(column: str, *words: str) -> sa.Enum:
    return sa.Enum(
        *words,
        name=op.f(f"ck_approvals_{column}"),
        native_enum=False,
        create_constraint=True,
        length=32,
    )


def _reference(column: str, other: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=op.f(f"fk_approvals_{column}"), ondelete=ondelete
    )


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("bulk_run_id", sa.String(32), nullable=True),
        sa.Column("slip_run_id", sa.String(32), nullable=True),
        sa.Column("what", sa.String(80), nullable=False),
        sa.Column(
            "operation",
            _word(
                "operation", "capture", "change_amount", "cancel", "extend", "authorize", "sale",
                "check_card", "register_card", "repay", "bill", "refund_difference",
            ),
            nullable=False,
        ),
        sa.Column("follow_up", _word("follow_up", "capture", "deliver"), nullable=True),
        sa.Column("choices", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("yen", sa.BigInteger(), nullable=False),
        sa.Column(
            "actor_kind",
            _word("actor_kind", "person", "worker", "look_up", "import", "command", "api_key"),
            nullable=False,
        ),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("request_token", sa.String(64), nullable=True),
        sa.Column("request_act", sa.String(64), nullable=True),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column(
            "state",
            _word("state", "waiting", "approved", "refused", "withdrawn", "void", "expired"),
            nullable=False,
        ),
        sa.Column("decided_by", sa.String(80), nullable=False),
        sa.Column("decided_at", _MOMENT, nullable=True),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("request_token", name=op.f("uq_approvals_request_token")),
        _reference("order_id", "orders", "CASCADE"),
        _reference("bulk_run_id", "bulk_runs", "SET NULL"),
        _reference("slip_run_id", "slip_runs", "SET NULL"),
        _reference("attempt_id", "attempts"),
    )  # fmt: skip
    for columns in (["order_id", "operation"], ["bulk_run_id"], ["slip_run_id"]):
        op.create_index(
            f"uq_approvals_waiting_{columns[0]}",
            "approvals",
            columns,
            unique=True,
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        )
    op.create_index("ix_approvals_state_asked_at", "approvals", ["state", "asked_at"])
    for column in ("order_id", "bulk_run_id", "slip_run_id"):
        op.create_index(f"ix_approvals_{column}", "approvals", [column])
    add_words("mails", "kind", ["approval"], check="ck_mails_kind")
