"""Orders can be corrected, cancelled and returned: new operations, and what they leave behind."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPERATIONS = ("capture", "change_amount", "cancel", "extend")
_STATUSES = (
    "authorized",
    "captured",
    "capture_failed",
    "cancelled",
    "needs_review",
    "awaiting_billing",
    "billing_reported",
)
_OPEN = sa.text("state IN ('queued', 'sending', 'unknown')")


def upgrade() -> None:
    _add(
        "orders",
        sa.Column("discount", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("is_total_set", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("original_total", sa.Integer(), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_waived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_waived_reason", sa.String(length=200), nullable=False, server_default=""),
    )
    _add(
        "deliveries",
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returned_on", sa.Date(), nullable=True),
        sa.Column("return_reason", sa.String(length=200), nullable=False, server_default=""),
    )
    _add(
        "history",
        sa.Column("order_version", sa.Integer(), nullable=True),
        sa.Column("request_token", sa.String(length=64), nullable=True),
    )
    # A unique index, which SQLite can add to a table that is there; it does what a constraint does.
    op.create_index("uq_history_request_token", "history", ["request_token"], unique=True)
    # 返送済・決済未取消 is looked for on every first page (R90a).
    op.create_index(
        "ix_orders_returned",
        "orders",
        ["ordered_at", "id"],
        sqlite_where=sa.text("processing_class = 'returned'"),
        postgresql_where=sa.text("processing_class = 'returned'"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _remake_attempts()
        return
    op.drop_constraint(op.f("ck_attempts_operation"), "attempts", type_="check")
    op.create_check_constraint(
        op.f("ck_attempts_operation"),
        "attempts",
        sa.column("operation", sa.String()).in_(_OPERATIONS),
    )
    _add("attempts", *_new_columns())


def _add(table: str, *columns: sa.Column) -> None:
    for column in columns:
        op.add_column(table, column)


def _words(*words: str, name: str) -> sa.Enum:
    # op.f: the table may have another name while it is being made.
    name = op.f(f"ck_attempts_{name}")
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def _new_columns() -> list[sa.Column]:
    return [
        sa.Column("status_before", _words(*_STATUSES, name="status_before"), nullable=True),
        sa.Column("state_seen", sa.String(length=20), nullable=False, server_default=""),
        sa.Column("amount_seen", sa.Integer(), nullable=True),
        sa.Column("tran_id_seen", sa.String(length=28), nullable=False, server_default=""),
        sa.Column("follow_up", _words("capture", "deliver", name="follow_up"), nullable=True),
        sa.Column("choices", sa.JSON(), nullable=False, server_default="{}"),
    ]


def _remake_attempts() -> None:
    """SQLite cannot change a CHECK: the table is made anew and filled from the old one."""
    old = sa.Table("attempts", sa.MetaData(), autoload_with=op.get_bind())
    names = ", ".join(column.name for column in old.columns)
    op.create_table(
        "attempts_new",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=False),
        sa.Column("operation", _words(*_OPERATIONS, name="operation"), nullable=False),
        sa.Column(
            "state",
            _words("queued", "sending", "done", "rejected", "unknown", name="state"),
            nullable=False,
        ),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("gateway_order_id", sa.String(length=27), nullable=False),
        sa.Column(
            "actor_kind",
            _words("person", "worker", "look_up", "import", "command", name="actor_kind"),
            nullable=False,
        ),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("request_token", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("uncertain_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("looked_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found", sa.String(length=200), nullable=False),
        sa.Column("error_codes", sa.String(length=400), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("tran_id", sa.String(length=28), nullable=False),
        sa.Column("decided_by", sa.String(length=10), nullable=False),
        *_new_columns(),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_attempts_order_id"),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["card_transactions.id"], name="fk_attempts_transaction_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint("request_token", name="uq_attempts_request_token"),
    )
    op.execute(f"INSERT INTO attempts_new ({names}) SELECT {names} FROM attempts")  # noqa: S608 - column names of our own table
    op.drop_table("attempts")
    op.rename_table("attempts_new", "attempts")
    op.create_index("ix_attempts_due", "attempts", ["due_at"], sqlite_where=_OPEN)
    op.create_index("ix_attempts_order_id_id", "attempts", ["order_id", "id"])
    op.create_index("uq_attempts_open", "attempts", ["order_id"], unique=True, sqlite_where=_OPEN)
