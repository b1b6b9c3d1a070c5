"""Count and yen of all orders by status are kept by whoever changes an order, not counted by who looks.

On SQLite one writes at a time, so one row a status is changed.  On PostgreSQL that row would make all
writers wait for each other: what a statement changes is a row of its own there, and the worker folds them.
Money that is to be given back for reported sales is found without looking at all unfinished orders.
"""

# ruff: noqa: S608 - names of our own

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_sums",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("yen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_sums")),
    )
    op.create_index("ix_order_sums_status", "order_sums", ["status"])
    op.execute(
        "INSERT INTO order_sums (status, count, yen)"
        " SELECT coalesce(payment_status, ''), count(*), sum(total) FROM orders GROUP BY 1"
    )
    is_back = sa.text(
        "CAST(payment_status AS VARCHAR) = 'billing_reported'"
        " AND processing_class IN ('returned', 'cancelled')"
    )
    op.create_index(
        "ix_orders_reported_back",
        "orders",
        ["id"],
        sqlite_where=is_back,
        postgresql_where=is_back,
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    (_keep_on_sqlite if is_sqlite else _keep_on_postgresql)()


def _keep_on_sqlite() -> None:
    more, less = _changed("NEW", "+"), _changed("OLD", "-")
    for name, when, steps in (
        ("insert", "INSERT", more),
        ("delete", "DELETE", less),
        ("update", "UPDATE OF payment_status, total", less + more),
    ):
        is_other = "NEW.payment_status IS NOT OLD.payment_status OR NEW.total <> OLD.total"
        only = f"WHEN {is_other}" if name == "update" else ""
        op.execute(
            f"CREATE TRIGGER orders_sums_{name} AFTER {when} ON orders {only} BEGIN {steps} END"
        )


def _changed(row: str, sign: str) -> str:
    status = f"coalesce({row}.payment_status, '')"
    its = f"SELECT id FROM order_sums WHERE status = {status} ORDER BY id LIMIT 1"
    return (
        f" INSERT INTO order_sums (status, count, yen) SELECT {status}, 0, 0"
        f" WHERE NOT EXISTS ({its});"
        f" UPDATE order_sums SET count = count {sign} 1, yen = yen {sign} {row}.total"
        f" WHERE id = ({its});"
    )


def _keep_on_postgresql() -> None:
    gone = "SELECT coalesce(payment_status, '') AS status, -1 AS one, -total AS yen FROM gone"
    come = "SELECT coalesce(payment_status, '') AS status, 1 AS one, total AS yen FROM come"
    for act, rows, tables in (
        ("insert", come, "NEW TABLE AS come"),
        ("delete", gone, "OLD TABLE AS gone"),
        ("update", f"{gone} UNION ALL {come}", "OLD TABLE AS gone NEW TABLE AS come"),
    ):
        op.execute(
            f"CREATE FUNCTION order_sums_{act}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO order_sums (status, count, yen)"
            f" SELECT status, sum(one), sum(yen) FROM ({rows}) AS changed GROUP BY status"
            " HAVING sum(one) <> 0 OR sum(yen) <> 0; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER orders_sums_{act} AFTER {act.upper()} ON orders REFERENCING {tables}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION order_sums_{act}()"
        )
