"""Nothing stays uncertain: notifications received, a history that proves itself, alerts."""

import sqlalchemy as sa
from alembic import op

from sgpshop.domain import history_chain
from sgpshop.models.base import UtcDateTime, utc_now
from sgpshop.storage import vault

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _notifications()
    _history_chain()
    _alerts()
    _attempts()


def _notifications() -> None:
    """Result notifications of SMBC-GP, as they came in (P24, P25)."""
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=45), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "asked",
                "unmatched",
                "test",
                "ignored",
                name=op.f("ck_notifications_state"),
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shop_id", sa.String(length=13), nullable=False),
        sa.Column("gateway_order_id", sa.String(length=40), nullable=False),
        sa.Column("access_id", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("job", sa.String(length=20), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=True),
        sa.Column("tran_id", sa.String(length=28), nullable=False),
        sa.Column("tran_date", sa.String(length=14), nullable=False),
        sa.Column("error_codes", sa.String(length=200), nullable=False),
        sa.Column("pay_type", sa.String(length=2), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["card_transactions.id"],
            name=op.f("fk_notifications_transaction_id_card_transactions"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_notifications_fingerprint")),
    )
    for name, column in (("waiting", "transaction_id"), ("unmatched", "gateway_order_id")):
        in_that_state = sa.text(f"state = '{name}'")
        op.create_index(
            f"ix_notifications_{name}",
            "notifications",
            [column],
            sqlite_where=in_that_state,
            postgresql_where=in_that_state,
        )
    op.create_index("ix_notifications_last_at", "notifications", ["last_at"])
    op.create_table(
        "notification_looks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["card_transactions.id"],
            name=op.f("fk_notification_looks_transaction_id_card_transactions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_looks")),
    )
    op.create_index("ix_notification_looks_at", "notification_looks", ["at"])
    op.create_index(
        "ix_notification_looks_transaction_id_at", "notification_looks", ["transaction_id", "at"]
    )


def _history_chain() -> None:
    """The history is append-only and chained (P5)."""
    op.add_column(
        "orders",
        sa.Column("history_state", sa.String(length=64), nullable=False, server_default=""),
    )
    op.add_column("history", sa.Column("gateway_amount", sa.Integer(), nullable=True))
    # With its CHECK, which Alembic cannot add on SQLite; both databases take it in this form.
    op.execute(
        "ALTER TABLE history ADD COLUMN processing_class VARCHAR(32) "
        "CONSTRAINT ck_history_processing_class CHECK "
        "(processing_class IN ('unprocessed', 'delivered', 'cancelled', 'returned'))"
    )
    op.add_column(
        "history", sa.Column("mark", sa.String(length=32), nullable=False, server_default="")
    )
    _state_where_orders_stand()
    _chain_what_is_there()
    _refuse_changes()


def _state_where_orders_stand() -> None:
    """One entry per order to replay from: those before it were not bound to say everything."""
    stand = sa.text(
        "INSERT INTO history (order_id, at, actor_kind, actor, event, status_before, status_after,"
        " amount_before, amount_after, order_version, detail, gateway_amount, processing_class)"
        " SELECT o.id, :at, 'command', 'migrate', 'chain_begins', o.payment_status,"
        " o.payment_status, o.total, o.total, o.version, '{}', t.gateway_amount, o.processing_class"
        " FROM orders o LEFT JOIN card_transactions t ON t.order_id = o.id AND t.is_current"
        " ORDER BY o.id"
    )
    now = sa.bindparam("at", utc_now(), type_=UtcDateTime())
    op.get_bind().execute(stand.bindparams(now))


def _chain_what_is_there() -> None:
    """Link the entries of every order, some hundred orders at a time."""
    database = op.get_bind()
    meta = sa.MetaData()
    orders = sa.Table("orders", meta, autoload_with=database)
    history = sa.Table("history", meta, autoload_with=database)
    mark = sa.update(history).where(history.c.id == sa.bindparam("entry"))
    mark = mark.values(mark=sa.bindparam("new"))
    move = sa.update(orders).where(orders.c.id == sa.bindparam("order"))
    move = move.values(history_state=sa.bindparam("new"))
    key = vault.derived_key("history")
    last = 0
    while ids := list(
        database.scalars(
            sa.select(orders.c.id).where(orders.c.id > last).order_by(orders.c.id).limit(500)
        )
    ):
        last = ids[-1]
        states = dict.fromkeys(ids, history_chain.START)
        marks = []
        entries = database.execute(
            sa.select(history).where(history.c.order_id.in_(ids)).order_by(history.c.id)
        )
        for entry in entries.mappings():
            said = {name: entry[name] for name in entry if name not in ("id", "mark")}
            state = history_chain.link(key, states[entry["order_id"]], said)
            states[entry["order_id"]] = state
            marks.append({"entry": entry["id"], "new": history_chain.mark(key, state)})
        database.execute(mark, marks)
        database.execute(move, [{"order": i, "new": state} for i, state in states.items()])


def _refuse_changes() -> None:
    """The database itself refuses to change or delete an entry."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER history_no_{act.lower()} BEFORE {act} ON history "
                "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION history_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'history is append-only'; END $$"
    )
    for act, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER history_no_{act.lower()} BEFORE {act} ON history "
            f"FOR EACH {each} EXECUTE FUNCTION history_refuse()"
        )


def _alerts() -> None:
    """What a look-up found that a person has to acknowledge (R120, R121); work done once a day."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "hold_missing",
                "uncollected",
                "not_cancelled",
                "not_refunded",
                "amount_differs",
                "unexpected_charge",
                "captured_elsewhere",
                "cancelled_elsewhere",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("facts", sa.String(length=400), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_alerts_order_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["order_id", "kind"],
        unique=True,
        sqlite_where=sa.text("acknowledged_at IS NULL"),
        postgresql_where=sa.text("acknowledged_at IS NULL"),
    )
    op.create_index("ix_alerts_order_id", "alerts", ["order_id"])
    op.create_table(
        "daily_jobs",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("next_step_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", "day", name=op.f("pk_daily_jobs")),
    )


def _attempts() -> None:
    """Late answers, and outcomes closed by a person (P15, P16)."""
    op.create_table(
        "late_answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "sending",
                "done",
                "rejected",
                "unknown",
                name="late_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("error_codes", sa.String(length=400), nullable=False),
        sa.Column("tran_id", sa.String(length=28), nullable=False),
        sa.Column("is_contradiction", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_late_answers_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_late_answers")),
    )
    op.create_index("ix_late_answers_attempt_id", "late_answers", ["attempt_id"])
