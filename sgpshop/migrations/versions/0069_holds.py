"""The list by deadline, and what the first page says of holds, go along an index of what is held.

When a hold ends that somebody still may capture is kept beside its transaction, by whoever changes the
order or the transaction: it depends on both.
"""

# ruff: noqa: S608 - names of our own

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None

_IS_WAITED_FOR = (
    "EXISTS (SELECT 1 FROM orders WHERE orders.id = {0}order_id AND orders.kind = 'normal'"
    " AND orders.payment_status IN ('authorized', 'capture_failed'))"
)
_ENDS = f"CASE WHEN {{0}}is_current AND {_IS_WAITED_FOR} THEN {{0}}auth_expires_at END"
_ITS_OWN = _ENDS.format("card_transactions.")


def upgrade() -> None:
    op.add_column(
        "card_transactions", sa.Column("hold_ends_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute(
        f"UPDATE card_transactions SET hold_ends_at = {_ITS_OWN}"
        " WHERE is_current AND auth_expires_at IS NOT NULL"
    )
    is_held = sa.text("hold_ends_at IS NOT NULL")
    op.create_index(
        "ix_card_transactions_hold_ends_at",
        "card_transactions",
        ["hold_ends_at", "order_id"],
        sqlite_where=is_held,
        postgresql_where=is_held,
    )
    op.drop_index("ix_card_transactions_auth_expires_at", "card_transactions")
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    (_keep_on_sqlite if is_sqlite else _keep_on_postgresql)()


def _keep_on_sqlite() -> None:
    for name, when, whose, only in (
        (
            "card_transactions_hold_insert",
            "INSERT ON card_transactions",
            "id = NEW.id",
            "WHEN NEW.auth_expires_at IS NOT NULL OR NEW.hold_ends_at IS NOT NULL",
        ),
        (
            "card_transactions_hold_update",
            "UPDATE OF auth_expires_at, is_current, order_id ON card_transactions",
            "id = NEW.id",
            "",
        ),
        (
            "orders_hold_update",
            "UPDATE OF payment_status, kind ON orders",
            "order_id = NEW.id",
            "WHEN NEW.payment_status IS NOT OLD.payment_status OR NEW.kind <> OLD.kind",
        ),
    ):
        op.execute(
            f"CREATE TRIGGER {name} AFTER {when} {only} BEGIN"
            f" UPDATE card_transactions SET hold_ends_at = {_ITS_OWN}"
            f" WHERE {whose} AND hold_ends_at IS NOT {_ITS_OWN}; END"
        )


def _keep_on_postgresql() -> None:
    for name, steps in (
        ("card_transactions_hold", f"NEW.hold_ends_at := {_ENDS.format('NEW.')}; RETURN NEW"),
        (
            "orders_hold",
            f"UPDATE card_transactions SET hold_ends_at = {_ITS_OWN}"
            f" WHERE order_id = NEW.id AND hold_ends_at IS DISTINCT FROM {_ITS_OWN}; RETURN NULL",
        ),
    ):
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {steps}; END $$"
        )
    for act, columns in (("insert", ""), ("update", " OF auth_expires_at, is_current, order_id")):
        op.execute(
            f"CREATE TRIGGER card_transactions_hold_{act} BEFORE {act.upper()}{columns}"
            " ON card_transactions FOR EACH ROW EXECUTE FUNCTION card_transactions_hold()"
        )
    op.execute(
        "CREATE TRIGGER orders_hold_update AFTER UPDATE OF payment_status, kind ON orders"
        " FOR EACH ROW WHEN (NEW.payment_status IS DISTINCT FROM OLD.payment_status"
        " OR NEW.kind <> OLD.kind) EXECUTE FUNCTION orders_hold()"
    )
