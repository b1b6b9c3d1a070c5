"""Programs are told of every change of an order, however late its transaction ends.

Triggers note what changed, in the transaction that changes it; it gets its place when it is asked for.
Orders that are there are placed by when they were last changed; events begin now.
"""

# ruff: noqa: S608 - names of our own

import datetime as dt
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    feeds = op.create_table(
        "feeds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.String(8), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feeds")),
    )
    op.create_table(
        "order_changes",
        sa.Column("order_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("placed_at", _MOMENT),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_order_changes_order_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_changes")),
    )
    op.create_table(
        "order_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("history_id", sa.Integer()),
        sa.Column("alert_id", sa.Integer()),
        sa.Column("position", sa.BigInteger()),
        sa.Column("placed_at", _MOMENT),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_events_order_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["history_id"], ["history.id"], name=op.f("fk_order_events_history_id")
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_order_events_alert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_events")),
    )
    op.execute(
        "INSERT INTO order_changes (order_id, position, placed_at)"
        " SELECT id, row_number() OVER (ORDER BY updated_at, id), updated_at FROM orders"
    )
    for table, key in (("order_changes", "order_id"), ("order_events", "id")):
        is_unplaced = sa.text("position IS NULL")
        op.create_index(
            f"ix_{table}_unplaced",
            table,
            [key],
            sqlite_where=is_unplaced,
            postgresql_where=is_unplaced,
        )
        op.create_index(f"ix_{table}_position", table, ["position"])
        op.create_index(f"ix_{table}_placed_at_position", table, ["placed_at", "position"])
    op.create_index("ix_order_events_order_id", "order_events", ["order_id"])
    database = op.get_bind()
    last = database.scalar(sa.text("SELECT coalesce(max(position), 0) FROM order_changes"))
    # The time in its database's own form: SQLite keeps it without a zone.
    now = dt.datetime.now(dt.UTC)
    database.execute(
        sa.insert(feeds).values(
            id=1,
            generation=secrets.token_hex(4),
            position=last,
            forgotten=last,
            at=now.replace(tzinfo=None) if database.dialect.name == "sqlite" else now,
        )
    )
    (_note_on_sqlite if database.dialect.name == "sqlite" else _note_on_postgresql)()


_AGAIN = "ON CONFLICT (order_id) DO UPDATE SET position = NULL"


def _note_on_sqlite() -> None:
    for act in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER orders_feed_{act.lower()} AFTER {act} ON orders BEGIN"
            f" INSERT INTO order_changes (order_id) VALUES (NEW.id) {_AGAIN}; END"
        )
    for table, column in (("history", "history_id"), ("alerts", "alert_id")):
        op.execute(
            f"CREATE TRIGGER {table}_feed_insert AFTER INSERT ON {table} BEGIN INSERT INTO"
            f" order_events (order_id, {column}) VALUES (NEW.order_id, NEW.id); END"
        )


def _note_on_postgresql() -> None:
    # Once a statement: an import changes many orders with one.  Their rows are locked already, so
    # the order in which these are taken cannot bring two transactions into a deadlock.
    _statement_trigger(
        "order_changes_note",
        f"INSERT INTO order_changes (order_id)"
        f" SELECT DISTINCT id FROM changed ORDER BY id {_AGAIN}",
        [("orders", "INSERT"), ("orders", "UPDATE")],
    )
    for table, column in (("history", "history_id"), ("alerts", "alert_id")):
        _statement_trigger(
            f"order_events_note_{table}",
            f"INSERT INTO order_events (order_id, {column})"
            " SELECT order_id, id FROM changed ORDER BY id",
            [(table, "INSERT")],
        )


def _statement_trigger(function: str, text: str, on: list[tuple[str, str]]) -> None:
    op.execute(
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {text}; RETURN NULL; END $$"
    )
    for table, act in on:
        op.execute(
            f"CREATE TRIGGER {table}_feed_{act.lower()} AFTER {act} ON {table}"
            f" REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
