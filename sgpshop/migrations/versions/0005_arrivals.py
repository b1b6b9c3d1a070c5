"""Orders that arrive by themselves: API keys and requests, authorizations, monthly billing."""

import sqlalchemy as sa
from alembic import op

from sgpshop.migrations.words import take_words

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _api()
    _arrivals()
    _billing()


def _api() -> None:
    """API keys and the requests that were answered (S13, Idempotency-Key)."""
    actors = ("person", "worker", "look_up", "import", "command", "api_key")
    for table in ("attempts", "history"):
        take_words(table, "actor_kind", actors, check=f"ck_{table}_actor_kind")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("scope_words", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=80), nullable=False),
        sa.Column("request_token", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        sa.UniqueConstraint("request_token", name=op.f("uq_api_keys_request_token")),
    )
    op.create_table(
        "api_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(length=80), nullable=False),
        sa.Column("idempotency_hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("busy_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_api_requests_key_id_api_keys")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_requests")),
        sa.UniqueConstraint(
            "key_id",
            "route",
            "idempotency_hash",
            name=op.f("uq_api_requests_key_id_route_idempotency_hash"),
        ),
    )
    op.create_index("ix_api_requests_created_at", "api_requests", ["created_at"])
    op.create_table(
        "api_counts",
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "began_at", name=op.f("pk_api_counts")),
    )
    op.create_index("ix_api_counts_began_at", "api_counts", ["began_at"])


def _arrivals() -> None:
    """Authorizations of our own in the journal, and cards kept for later charges."""
    take_words(
        "attempts",
        "operation",
        (
            "capture",
            "change_amount",
            "cancel",
            "extend",
            "authorize",
            "sale",
            "check_card",
            "register_card",
            "repay",
            "bill",
        ),
        check="ck_attempts_operation",
    )
    for table, column in (
        ("attempts", sa.Column("card_sealed", sa.Text(), nullable=True)),
        ("orders", sa.Column("intake_fingerprint", sa.String(length=64), nullable=True)),
        (
            "card_transactions",
            sa.Column("member_id", sa.String(length=60), nullable=False, server_default=""),
        ),
        ("card_transactions", sa.Column("card_seq", sa.Integer(), nullable=True)),
        (
            "card_transactions",
            sa.Column("is_charge", sa.Boolean(), nullable=False, server_default=sa.false()),
        ),
        (
            "card_transactions",
            sa.Column("challenge_url", sa.Text(), nullable=False, server_default=""),
        ),
        (
            "card_transactions",
            sa.Column("return_url", sa.Text(), nullable=False, server_default=""),
        ),
    ):
        op.add_column(table, column)
    op.create_table(
        "refused_checkouts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_no", sa.String(length=24), nullable=False),
        sa.Column("card_token", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("gateway_order_id", sa.String(length=27), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("error_codes", sa.String(length=400), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_checkouts")),
    )
    op.create_index("ix_refused_checkouts_order_no", "refused_checkouts", ["order_no"])
    op.create_index("ix_refused_checkouts_at", "refused_checkouts", ["at"])


def _billing() -> None:
    """The monthly registration of subscription sales (P29)."""
    op.create_table(
        "billing_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("window", sa.Date(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("yen", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            _words("prepared", "received", "in_doubt", "refused", "closed", of="billing_files"),
            nullable=False,
        ),
        sa.Column("is_doubtful", sa.Boolean(), nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("receipt_no", sa.String(length=60), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("results_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_files")),
    )
    op.create_index("ix_billing_files_due_at", "billing_files", ["due_at"])
    op.create_table(
        "billings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("gateway_order_id", sa.String(length=27), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            _words(
                "planned",
                "registered",
                "refused",
                "postponed",
                "paid",
                "not_paid",
                of="billings",
            ),
            nullable=False,
        ),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=True),
        sa.Column("by_file", sa.Boolean(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.String(length=1), nullable=False),
        sa.Column("error_codes", sa.String(length=400), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_billings_order_id")),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_billings_attempt_id")
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["billing_files.id"], name=op.f("fk_billings_file_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billings")),
        sa.UniqueConstraint("order_id", "month", name=op.f("uq_billings_order_id_month")),
    )
    for name in ("state", "file_id", "attempt_id", "gateway_order_id"):
        op.create_index(f"ix_billings_{name}", "billings", [name])
    for name, columns, condition in (
        ("subscriptions", ["payment_status", "ordered_at", "id"], "kind = 'subscription'"),
        ("subscription_id", ["subscription_id"], "subscription_id IS NOT NULL"),
        ("preorders", ["payment_status", "id"], "kind = 'preorder'"),
    ):
        op.create_index(
            f"ix_orders_{name}",
            "orders",
            columns,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )


def _words(*words: str, of: str) -> sa.Enum:
    name = op.f(f"ck_{of}_state")
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)
