"""The sums over all orders are kept by kind too: 予約 and 定期購入 show their tabs without counting."""

# ruff: noqa: S608 - names of our own

import sqlalchemy as sa
from alembic import op

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "order_sums",
        sa.Column("kind", sa.String(32), nullable=False, server_default="normal"),
    )
    op.execute("DELETE FROM order_sums")
    op.execute(
        "INSERT INTO order_sums (status, kind, count, yen)"
        " SELECT coalesce(payment_status, ''), kind, count(*), sum(total) FROM orders GROUP BY 1, 2"
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    (_keep_on_sqlite if is_sqlite else _keep_on_postgresql)()


def _keep_on_sqlite() -> None:
    more, less = _changed("NEW", "+"), _changed("OLD", "-")
    is_other = (
        "NEW.payment_status IS NOT OLD.payment_status OR NEW.kind <> OLD.kind"
        " OR NEW.total <> OLD.total"
    )
    for name, when, only, steps in (
        ("insert", "INSERT", "", more),
        ("delete", "DELETE", "", less),
        ("update", "UPDATE OF payment_status, kind, total", f"WHEN {is_other}", less + more),
    ):
        op.execute(f"DROP TRIGGER orders_sums_{name}")
        op.execute(
            f"CREATE TRIGGER orders_sums_{name} AFTER {when} ON orders {only} BEGIN {steps} END"
        )


def _changed(row: str, sign: str) -> str:
    status = f"coalesce({row}.payment_status, '')"
    its = (
        f"SELECT id FROM order_sums WHERE status = {status} AND kind = {row}.kind"
        " ORDER BY id LIMIT 1"
    )
    return (
        f" INSERT INTO order_sums (status, kind, count, yen) SELECT {status}, {row}.kind, 0, 0"
        f" WHERE NOT EXISTS ({its});"
        f" UPDATE order_sums SET count = count {sign} 1, yen = yen {sign} {row}.total"
        f" WHERE id = ({its});"
    )


def _keep_on_postgresql() -> None:
    gone = "SELECT coalesce(payment_status, '') AS status, kind, -1 AS one, -total AS yen FROM gone"
    come = "SELECT coalesce(payment_status, '') AS status, kind, 1 AS one, total AS yen FROM come"
    for act, rows in (
        ("insert", come),
        ("delete", gone),
        ("update", f"{gone} UNION ALL {come}"),
    ):
        op.execute(
            f"CREATE OR REPLACE FUNCTION order_sums_{act}() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN INSERT INTO order_sums (status, kind, count, yen)"
            f" SELECT status, kind, sum(one), sum(yen) FROM ({rows}) AS changed"
            " GROUP BY status, kind HAVING sum(one) <> 0 OR sum(yen) <> 0; RETURN NULL; END $$"
        )
