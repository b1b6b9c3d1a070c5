"""Slip files: what was uploaded, row by row, and what became of each row."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import take_words

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _slips()
    _settings()
    _limits()
    _bulk_actions()


def _slips() -> None:
    """Runs of slip files (R81, R82a)."""
    op.create_table(
        "slip_runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("capture", sa.Boolean(), nullable=False),
        sa.Column("on_failure", _words("slip_runs", "on_failure", "skip", "keep"), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_slip_runs_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slip_runs")),
    )
    op.create_index(
        "uq_slip_runs_started",
        "slip_runs",
        ["fingerprint"],
        unique=True,
        sqlite_where=sa.text("started_at IS NOT NULL"),
        postgresql_where=sa.text("started_at IS NOT NULL"),
    )
    op.create_table(
        "slip_rows",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("order_no", sa.String(length=24), nullable=False),
        sa.Column("delivery_number", sa.Integer(), nullable=False),
        sa.Column("carrier_code", sa.String(length=3), nullable=False),
        sa.Column("slip_no", sa.String(length=30), nullable=False),
        sa.Column(
            "status",
            _words(
                "slip_rows",
                "status",
                "unprocessed",
                "instructed",
                "preparing",
                "delivered",
                "returned",
                "cancelled",
            ),
            nullable=True,
        ),
        sa.Column("ship_date", sa.Date(), nullable=True),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=True),
        sa.Column(
            "result",
            _words("slip_rows", "result", "pending", "succeeded", "failed", "uncertain", "skipped"),
            nullable=False,
        ),
        sa.Column("refusal", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(length=300), nullable=False),
        sa.Column("is_due", sa.Boolean(), nullable=False),
        sa.Column("is_written", sa.Boolean(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["slip_runs.id"], name=op.f("fk_slip_rows_run_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_slip_rows_order_id")),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_slip_rows_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slip_rows")),
    )
    op.create_index("ix_slip_rows_run_id_line", "slip_rows", ["run_id", "line"])
    op.create_index("ix_slip_rows_run_id_result", "slip_rows", ["run_id", "result"])
    op.create_index("ix_slip_rows_attempt_id", "slip_rows", ["attempt_id"])
    op.create_index(
        "ix_slip_rows_due",
        "slip_rows",
        ["run_id", "order_id"],
        sqlite_where=sa.text("is_due"),
        postgresql_where=sa.text("is_due"),
    )


def _words(table: str, column: str, *words: str) -> sa.Enum:
    name = op.f(f"ck_{table}_{column}")
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def _limits() -> None:
    """What people and addresses did lately, counted across processes (S23)."""
    op.create_table(
        "recent_uses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("who", sa.String(length=80), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recent_uses")),
    )
    op.create_index("ix_recent_uses_what_who_at", "recent_uses", ["what", "who", "at"])


def _bulk_actions() -> None:
    """配送完了 of many orders, which the worker works off from the lines of the run (R51)."""
    take_words(
        "bulk_runs",
        "action",
        ("sgp_capture", "csv_download", "reconcile", "deliver", "print"),
        check="ck_bulk_runs_action",
    )
    op.add_column(
        "bulk_runs",
        sa.Column("is_work_due", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_index(
        "ix_bulk_runs_work_due",
        "bulk_runs",
        ["started_at"],
        sqlite_where=sa.text("is_work_due"),
        postgresql_where=sa.text("is_work_due"),
    )


def _settings() -> None:
    """Who changed which settings (R86), and when a session's password was last given (S5)."""
    op.create_table(
        "setting_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting_changes")),
    )
    op.add_column(
        "login_sessions", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True)
    )
